"""Instructions as functions of a machine and the threads that execute them. An opcode, a type or a modifier
that is not known is an error when a kernel is prepared, whether or not it would be executed."""

import re

import numpy as np

import arithmetic
from arithmetic import DTYPES
from module import PtxError, REGISTER_BYTES

SPECIAL = re.compile(r"%(tid|ntid|ctaid|nctaid)\.([xyz])|%(laneid|globaltimer|clock64|warpid)")
HINTS = {"nc", "weak", "relaxed", "acquire", "release", "volatile", "cta", "gpu", "sys", "ca", "cg", "cs", "lu",
         "wb", "wt", "cv", "L1::no_allocate", "L2::128B", "L2::256B", "L1::evict_last", "L1::evict_first", "sync",
         "aligned", "noinc"}


def literal(text, dtype):
    """A number as PTX writes it, None for anything else."""
    if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", text):
        bits = np.uint32(int(text[2:], 16))
    elif re.fullmatch(r"0[dD][0-9a-fA-F]{16}", text):
        bits = np.uint64(int(text[2:], 16))
    elif re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)U?", text):
        number = int(text.rstrip("U"), 0)
        if dtype == bool:
            return np.bool_(number != 0)
        unsigned = arithmetic.U[dtype.itemsize]
        bits = unsigned(number & ((1 << 8 * dtype.itemsize) - 1))
    else:
        return None
    return bits.view(dtype)


def reader(kernel, text, dtype):
    """A function that gives an operand's values, of a type, for a machine and threads."""
    kind = kernel.register_type(text)
    if kind == "pred":
        return lambda m, at: m.registers[text][at]
    if kind:
        size = REGISTER_BYTES[kind]
        if dtype == bool or dtype.itemsize > size:
            raise PtxError(f"register {text} is too narrow")
        narrow = arithmetic.U[dtype.itemsize]
        if size == dtype.itemsize:
            return lambda m, at: m.registers[text][at].view(dtype)
        return lambda m, at: m.registers[text][at].astype(narrow).view(dtype)
    if SPECIAL.fullmatch(text):
        return lambda m, at: m.special(text, at).astype(dtype)
    if text in kernel.shared:
        return lambda m, at: np.full(m.count(at), m.shared_begin(text), dtype)
    value = literal(text, dtype)
    if value is None:
        raise PtxError(f"the operand {text} is not known")
    return lambda m, at: np.full(m.count(at), value, dtype)


def extended(values, size):
    """As bits of a wider register: with the sign, if the type has one."""
    if values.dtype == bool:
        return values
    if values.dtype.itemsize == size:
        return values.view(arithmetic.U[size])
    if values.dtype.kind == "f" or values.dtype.itemsize > size:
        raise PtxError("a register is too narrow for its value")
    return values.astype(f"{values.dtype.kind}{size}").view(arithmetic.U[size])


def writer(kernel, text):
    kind = kernel.register_type(text)
    if text == "_":
        return lambda m, at, values: None
    if kind is None:
        raise PtxError(f"{text} is no register")
    size = REGISTER_BYTES[kind]
    return lambda m, at, values: m.write(text, at, extended(values, size) if size else values)


def computing(kernel, instruction, dtypes, function):
    """An instruction that reads operands of these types and writes the first one."""
    if len(instruction.operands) != len(dtypes) + 1:
        raise PtxError("it has another number of operands than is known")
    write = writer(kernel, instruction.operands[0])
    reads = [reader(kernel, text, dtype) for text, dtype in zip(instruction.operands[1:], dtypes)]

    def run(m, at):
        write(m, at, function(*[read(m, at) for read in reads]))
    return run


def arithmetic_of(kernel, instruction, words):
    name, kind = ".".join(words[:-1]), words[-1]
    dtype = DTYPES[kind]
    if kind == "f32" and name in arithmetic.FLOATING or kind == "f64" and name in arithmetic.ALSO_F64:
        operands, function = arithmetic.FLOATING[name]
        return computing(kernel, instruction, [dtype] * operands, function)
    if kind == "pred" and name in ("and", "or", "xor", "not"):
        function = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not}[name]
        return computing(kernel, instruction, [dtype] * (1 if name == "not" else 2), function)
    if name in arithmetic.ARITHMETIC:
        kinds, operands, function = arithmetic.ARITHMETIC[name]
        if kind[0] in kinds:
            dtypes = [dtype] * operands
            if name in ("shl", "shr"):
                dtypes[1] = DTYPES["u32"]
            return computing(kernel, instruction, dtypes, function)
    if name in ("mul.wide", "mad.wide") and kind in arithmetic.WIDER:
        wide = DTYPES[arithmetic.WIDER[kind]]
        dtypes = [dtype, dtype] + [wide] * (name == "mad.wide")
        return computing(kernel, instruction, dtypes,
                         lambda a, b, c=wide.type(0): a.astype(wide) * b.astype(wide) + c)
    return None


def move(kernel, instruction, words):
    dtype = DTYPES[words[-1]]
    to, source = instruction.operands
    packed = re.fullmatch(r"\{(.*)\}", source)
    if packed:  # values side by side, the lowest first
        parts = [part.strip() for part in packed.group(1).split(",")]
        half = np.dtype(f"u{dtype.itemsize // len(parts)}")
        reads, write = [reader(kernel, part, half) for part in parts], writer(kernel, to)

        def pack(m, at):
            joined = np.stack([read(m, at) for read in reads], axis=1)
            write(m, at, np.ascontiguousarray(joined).view(arithmetic.U[dtype.itemsize]).reshape(-1))
        return pack
    unpacked = re.fullmatch(r"\{(.*)\}", to)
    if unpacked:
        parts = [part.strip() for part in unpacked.group(1).split(",")]
        half, read = np.dtype(f"u{dtype.itemsize // len(parts)}"), reader(kernel, source, dtype)
        writes = [writer(kernel, part) for part in parts]

        def unpack(m, at):
            halves = np.ascontiguousarray(read(m, at)).view(half).reshape(-1, len(parts))
            for number, write in enumerate(writes):
                write(m, at, np.ascontiguousarray(halves[:, number]))
        return unpack
    return computing(kernel, instruction, [dtype], np.array)


def convert(kernel, instruction, words):
    """cvt: from the last type to the one before."""
    to, source, modes = words[-2], words[-1], words[1:-2]
    if to == "bf16x2" and source == "f32" and modes == ["rn"]:  # the first operand goes up
        return computing(kernel, instruction, [DTYPES["f32"]] * 2, lambda high, low:
                         arithmetic.to_bf16(high).astype(np.uint32) << np.uint32(16) | arithmetic.to_bf16(low))
    sources, target = [DTYPES[source]], DTYPES[to]
    if to == "bf16":
        function = arithmetic.to_bf16 if (source, modes) == ("f32", ["rn"]) else None
    elif source == "bf16":
        function = arithmetic.from_bf16 if (to, modes) == ("f32", []) else None
    elif (to, source, modes) == ("f32", "f32", ["sat"]):
        def function(a):
            return np.where(np.isnan(a), np.float32(0), np.clip(a, np.float32(0), np.float32(1)))
    elif to[0] == "f" and source[0] in "us" and modes == ["rn"]:
        def function(a):
            return a.astype(target)  # numpy rounds to the nearest, ties to even
    elif to[0] in "us" and source[0] == "f" and len(modes) == 1 and modes[0][0] == "r":
        def function(a):
            return arithmetic.to_integer(a, target, modes[0])
    elif (to, source) in (("f64", "f32"), ("f32", "f64")) and modes in ([], ["rn"]):
        def function(a):
            return a.astype(target)
    elif to[0] in "us" and source[0] in "us" and not modes:
        def function(a):
            return a.astype(target)
    else:
        function = None
    return function and computing(kernel, instruction, sources, function)


def set_predicate(kernel, instruction, words):
    """setp.lt.s32 p, a, b; setp.lt.and.s32 p, a, b, q."""
    dtype, how = DTYPES[words[-1]], words[1]
    joined = words[2] if len(words) == 4 else ""
    if joined not in ("", "and", "or", "xor") or arithmetic.compare(how, dtype.type(0), dtype.type(0)) is None:
        return None
    join = {"": None, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}[joined]

    def function(a, b, *other):
        result = arithmetic.compare(how, a, b)
        return join(result, other[0]) if join else result
    return computing(kernel, instruction, [dtype, dtype] + [DTYPES["pred"]] * bool(joined), function)


def address(kernel, text):
    """[register+offset], [variable+offset] or [number]; a function as of reader()."""
    base, offset = re.fullmatch(r"\[\s*([^+\]]+?)\s*(?:\+\s*(-?\w+))?\s*\]", text).groups()
    if kernel.register_type(base) or base in kernel.shared:
        narrow = kernel.register_type(base) in ("b32", "f32")
        read = reader(kernel, base, DTYPES["u32" if narrow else "u64"])
        add = np.int64(int(offset or "0", 0))
        return lambda m, at: (read(m, at).astype(np.int64) + add).astype(np.uint64)
    return None


def vector(text):
    return [part.strip() for part in text.strip("{}").split(",")]


def space_of(words, others):
    """Of an access; None if a word is neither a space, a hint nor one of `others`. A generic address, which names
    none, is one of global memory: cvta, which makes those of shared memory, is not known."""
    spaces = [word for word in words if word in ("param", "global", "shared")] or ["global"]
    known = set(words[1:-1]) - set(spaces) <= HINTS | set(others)
    return spaces[0] if known and len(spaces) == 1 else None


def moving(kernel, instruction, words):
    """ld and st: space and hints in some order, .v2 or .v4, type."""
    loads, dtype = words[0] == "ld", DTYPES[words[-1]]
    space = space_of(words, ["v2", "v4"])
    if space is None:
        return None
    what, where = instruction.operands if loads else instruction.operands[::-1]
    what = vector(what)
    if space == "param":
        name, offset = re.fullmatch(r"\[(\w+)(?:\+(\d+))?\]", where).groups()
        begin, writes = int(offset or 0), [writer(kernel, text) for text in what]

        def read_parameters(m, at):
            values = np.frombuffer(m.parameters[name], dtype, len(what), begin)
            for value, write in zip(values, writes):
                write(m, at, np.full(m.count(at), value, dtype))
        return read_parameters if loads else None
    place = address(kernel, where)
    if place is None:
        return None
    if loads:
        writes = [writer(kernel, text) for text in what]

        def load(m, at):
            for values, write in zip(m.memory(space).load(m.at(space, place(m, at), at), dtype, len(what),
                                                          m.who(at)), writes):
                write(m, at, values)
        return load
    reads = [reader(kernel, text, dtype) for text in what]

    def store(m, at):
        m.memory(space).store(m.at(space, place(m, at), at), np.stack([read(m, at) for read in reads]), m.who(at))
    return store


def atomic(kernel, instruction, words):
    """atom.global.add.u32 d, [a], b; red without d; atom.global.cas.b32 d, [a], compared, b."""
    how, dtype = words[-2], DTYPES[words[-1]]
    space = space_of(words, [how])
    if space not in ("global", "shared"):
        return None
    function = arithmetic.ATOMIC[how]
    operands = instruction.operands if words[0] == "atom" else ["_", *instruction.operands]
    write, place = writer(kernel, operands[0]), address(kernel, operands[1])
    reads = [reader(kernel, text, dtype) for text in operands[2:]]

    def run(m, at):
        values = [read(m, at) for read in reads]
        write(m, at, m.memory(space).update(
            m.at(space, place(m, at), at), dtype,
            lambda old, thread: function(old, *[value[thread] for value in values]), m.who(at)))
    return run


def select(kernel, instruction, words):
    dtype = DTYPES[words[-1]]
    return computing(kernel, instruction, [dtype, dtype, DTYPES["pred"]], lambda a, b, p: np.where(p, a, b))


def nothing(_kernel, _instruction, _words):
    """Fences: here every access is complete at once."""
    return lambda m, at: None


def change_space(kernel, instruction, words):
    """cvta.to.global: addresses are the same in both. Those of shared memory are not known here."""
    return computing(kernel, instruction, [DTYPES["u64"]], np.array) if words[1:] == ["to", "global", "u64"] else None


BY_OPCODE = {"mov": move, "cvt": convert, "cvta": change_space, "setp": set_predicate, "selp": select, "ld": moving,
             "st": moving, "atom": atomic, "red": atomic, "membar": nothing, "fence": nothing}


def operation(kernel, instruction):
    """What an instruction does, other than steer threads (machine.py)."""
    words = instruction.opcode.split(".")
    try:
        run = BY_OPCODE.get(words[0], arithmetic_of)(kernel, instruction, words)
    except (KeyError, IndexError, ValueError, AttributeError):
        run = None
    except PtxError as error:
        raise PtxError(f"PTX line {instruction.line} ({instruction.text}): {error}") from error
    if run is None:
        raise PtxError(f"PTX line {instruction.line}: the opcode {instruction.opcode} is not known: "
                       f"{instruction.text}")
    return run
