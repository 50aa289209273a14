"""What opcodes compute, on arrays of all threads' values: exactly as the PTX manual says, where it says it."""

import numpy as np

U = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
DTYPES = {f"{kind}{8 * size}": np.dtype(f"{letter}{size}")
          for kind, letter in (("u", "u"), ("s", "i"), ("b", "u")) for size in U}
DTYPES.update(f32=np.dtype(np.float32), f64=np.dtype(np.float64), pred=np.dtype(bool),
              bf16=np.dtype(np.uint16))  # bf16 as bits

WIDER = {"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64"}


def shift(values, by, left):
    """Shifts by the width or more leave nothing (or the sign)."""
    bits = 8 * values.dtype.itemsize
    most = np.minimum(by, bits - 1).astype(values.dtype)
    moved = np.left_shift(values, most) if left else np.right_shift(values, most)
    if not left and values.dtype.kind == "i":
        return moved
    return np.where(by >= bits, values.dtype.type(0), moved)


def divide(a, b):
    """Towards zero."""
    if np.any(b == 0):
        raise ZeroDivisionError
    quotient = a // b
    return quotient + ((a - quotient * b != 0) & ((a < 0) != (b < 0))).astype(quotient.dtype)


def remainder(a, b):
    return a - divide(a, b) * b


def high_product(a, b):
    wide = np.dtype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")
    return (a.astype(wide) * b.astype(wide) >> 8 * a.dtype.itemsize).astype(a.dtype)


def sum_to_odd(a, b):
    """a + b in f64, rounded to odd: rounding it again, to f32, then gives the one right rounding."""
    total = a + b
    part = total - a
    rest = (a - (total - part)) + (b - part)  # exactly what was lost
    bits = total.view(np.int64)
    lost = (rest != 0) & np.isfinite(total) & (bits & 1 == 0)
    step = np.where((rest > 0) == (total > 0), 1, -1)
    return np.where(lost, bits + step, bits).view(np.float64)


def to_f32(exact, mode):
    """`exact` is f64, or rounded to odd."""
    nearest = exact.astype(np.float32)
    back = nearest.astype(np.float64)
    if mode == "rm":
        return np.where(back > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    if mode == "rp":
        return np.where(back < exact, np.nextafter(nearest, np.float32(np.inf)), nearest)
    if mode == "rz":
        return np.where(np.abs(back) > np.abs(exact), np.nextafter(nearest, np.float32(0)), nearest)
    return nearest


def fused(a, b, c, mode="rn"):
    """a b + c with one rounding; the product of two f32 is exact in f64."""
    wide = [np.atleast_1d(x).astype(np.float64) for x in (a, b, c)]
    return to_f32(sum_to_odd(np.multiply(wide[0], wide[1]), wide[2] + np.zeros_like(wide[0])), mode)


def to_bf16(values):
    """Bits of the nearest bf16, ties to even; every NaN is 0x7fff."""
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint32(0x7FFF), rounded).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def flush(values):
    """Subnormal numbers become 0, with their sign."""
    tiny = np.abs(values) < np.finfo(np.float32).tiny
    return np.where(tiny, np.copysign(np.float32(0), values), values)


def approximate(function, values):
    """As if rounded correctly; a GPU may be off by what the PTX manual allows (2 ulp or so)."""
    return flush(function(flush(values).astype(np.float64)).astype(np.float32))


def to_integer(values, dtype, mode):
    """cvt: to an integer that exists, NaN to 0."""
    rounded = {"rzi": np.trunc, "rni": np.rint, "rmi": np.floor, "rpi": np.ceil}[mode](values.astype(np.float64))
    limits = np.iinfo(dtype)
    inside = np.clip(np.nan_to_num(rounded, nan=0.0), float(limits.min), float(limits.max))
    result = np.zeros(inside.shape, dtype)
    fits = (inside > float(limits.min)) & (inside < float(limits.max))
    result[fits] = inside[fits].astype(dtype)
    result[~fits & (inside > 0)] = limits.max
    result[~fits & (inside < 0)] = limits.min
    return result


def count_ones(values):
    bytes_of = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    return np.unpackbits(bytes_of, axis=1).sum(axis=1).astype(np.uint32)


def leading_zeros(values):
    bytes_of = np.ascontiguousarray(values).astype(values.dtype.newbyteorder(">")).view(np.uint8)
    bits = np.unpackbits(bytes_of.reshape(len(values), -1), axis=1)
    return np.where(bits.any(axis=1), bits.argmax(axis=1), bits.shape[1]).astype(np.uint32)


def compare(how, a, b):
    """setp: ordered comparisons are false with a NaN, those with u behind are true."""
    operators = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
                 "ge": np.greater_equal, "lo": np.less, "ls": np.less_equal, "hi": np.greater,
                 "hs": np.greater_equal}
    floats = np.asarray(a).dtype.kind == "f"
    missing = np.isnan(a) | np.isnan(b) if floats else np.False_
    if how in ("num", "nan"):
        return missing if how == "nan" else ~missing
    if how in operators:
        return operators[how](a, b) & ~missing
    if floats and how.endswith("u") and how[:-1] in operators:
        return operators[how[:-1]](a, b) | missing
    return None


# opcode without type -> (kinds of types, operands, function). Shifts count in u32.
INTEGERS, FLOATS, BITS = "us", "f", "b"
ARITHMETIC = {
    "add": (INTEGERS, 2, np.add),
    "sub": (INTEGERS, 2, np.subtract),
    "mul.lo": (INTEGERS, 2, np.multiply),
    "mul.hi": (INTEGERS, 2, high_product),
    "mad.lo": (INTEGERS, 3, lambda a, b, c: a * b + c),
    "div": (INTEGERS, 2, divide),
    "rem": (INTEGERS, 2, remainder),
    "min": (INTEGERS, 2, np.minimum),
    "max": (INTEGERS, 2, np.maximum),
    "abs": (INTEGERS, 1, np.abs),
    "neg": (INTEGERS, 1, np.negative),
    "and": (BITS, 2, np.bitwise_and),
    "or": (BITS, 2, np.bitwise_or),
    "xor": (BITS, 2, np.bitwise_xor),
    "not": (BITS, 1, np.invert),
    "shl": (BITS, 2, lambda a, b: shift(a, b, True)),
    "shr": (INTEGERS + BITS, 2, lambda a, b: shift(a, b, False)),
    "popc": (BITS, 1, count_ones),
    "clz": (BITS, 1, leading_zeros),
}
FLOATING = {
    "add": (2, np.add), "add.rn": (2, np.add), "sub": (2, np.subtract), "sub.rn": (2, np.subtract),
    "mul": (2, np.multiply), "mul.rn": (2, np.multiply), "div.rn": (2, np.divide),
    "rcp.rn": (1, lambda a: np.float32(1) / a), "sqrt.rn": (1, np.sqrt),
    "neg": (1, np.negative), "abs": (1, np.abs), "min": (2, np.fmin), "max": (2, np.fmax),
    "fma.rn": (3, fused), "fma.rm": (3, lambda a, b, c: fused(a, b, c, "rm")),
    "fma.rp": (3, lambda a, b, c: fused(a, b, c, "rp")), "fma.rz": (3, lambda a, b, c: fused(a, b, c, "rz")),
    "ex2.approx.ftz": (1, lambda a: approximate(np.exp2, a)),
    "lg2.approx.ftz": (1, lambda a: approximate(np.log2, a)),
    "rcp.approx.ftz": (1, lambda a: approximate(lambda x: 1 / x, a)),
    "rsqrt.approx.ftz": (1, lambda a: approximate(lambda x: 1 / np.sqrt(x), a)),
}
ALSO_F64 = {"add", "add.rn", "sub", "sub.rn", "mul", "mul.rn", "div.rn", "sqrt.rn", "neg", "abs", "min", "max"}
ATOMIC = {"add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or,
          "xor": np.bitwise_xor, "exch": lambda old, value: value,
          "cas": lambda old, compared, value: value if old == compared else old}
