"""One function for every call of kernels.hpp: makes inputs of a shape, calls, and compares with the reference.
CASES lists the shapes. To add a kernel, add a function and its row."""

import numpy as np

import reference
from host import DType
from machine import TICK
from memory import SET

F32, BF16 = DType.f32, DType.bf16
# Largest relative errors: of a sum or a few f32 operations, of ex2.approx (2 ulp, PTX manual), of bf16.
F32_ERROR, EXP_ERROR, BF16_ERROR = 4e-7, 2e-6, 2.0**-8


def numbers(shape, seed, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def equal(got, expected, what):
    """Bit for bit, apart from the bits of a NaN."""
    np.testing.assert_array_equal(reference.real(got) if got.dtype == np.uint16 and expected.dtype != np.uint16
                                  else got, expected, err_msg=what)


def near(got, expected, error, what, magnitude=None):
    """Within a share of the expected values, or of `magnitude`; infinite and NaN where those are."""
    got, expected = reference.real(got).astype(np.float64), np.asarray(expected, np.float64)
    with np.errstate(all="ignore"):
        allowed = error * (np.abs(expected) if magnitude is None else magnitude) + 1e-37
        good = (np.abs(got - expected) <= allowed) | (got == expected) | (np.isnan(got) & np.isnan(expected))
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        raise AssertionError(f"{what}{list(at)} is {got[at]}, not {expected[at]}: {(~good).sum()} values differ")


def precision(dtype, error):
    return error if dtype == F32 else BF16_ERROR


def kind(dtype):
    return np.uint16 if dtype == BF16 else np.float32


class Stamp:
    """The time of a launch, if the call has a place for it: given, and looked at afterwards."""

    def __init__(self, host, function):
        self.device, self.at = host.device, None
        if host.declarations.has(function, "stamp"):
            self.at, self.begin = self.device.room(np.uint64, (1,)), self.device.clock
        self.given = {"stamp": self.at} if self.at else {}

    def check(self, launched=True):
        if self.at and launched:
            (time,) = self.device.get(self.at)
            assert self.begin < time <= self.device.clock, f"the stamp says {time}"


def fill_inputs(host, tokens, hidden, first_token=0):
    key, step = 0x0123456789ABCDEF + hidden, np.float32(2.0**-23 * 1.7320508)
    x = host.device.room(np.float32, (tokens, hidden))
    host.call("fill_inputs", first_token=first_token, tokens=tokens, hidden=hidden, key=key, step=step, x=x)
    equal(host.device.get(x), reference.inputs(first_token, tokens, hidden, key, step), "x")


def norm_rows(host, dtype, tokens, hidden, special=False):
    x = numbers((tokens, hidden), hidden, 3)
    if special:  # each in a row of its own: no row may touch another
        x[0, hidden // 2], x[1, 0], x[2] = np.nan, np.inf, 0
    normed, out = host.device.room(np.float32, x.shape), host.device.room(kind(dtype), x.shape)
    stamp = Stamp(host, "norm_rows")
    host.call("norm_rows", dtype=dtype, tokens=tokens, hidden=hidden, x=host.device.put(x), normed=normed,
              payload=out, **stamp.given)
    stamp.check(tokens > 0)
    got = host.device.get(normed)
    near(got, reference.norm(x), F32_ERROR, "normed")
    equal(host.device.get(out), reference.payload(got, dtype), "payload")


def choose_experts(host, tokens, experts, topk, replayed=False, special=""):
    logits = numbers((tokens, experts), experts + topk, 2)
    if special == "ties":
        logits = np.round(logits)
    if special == "same":
        logits[:] = 1
    if special in ("falling", "rising"):
        logits.sort(axis=1)
        logits = logits[:, ::-1].copy() if special == "falling" else logits
    if special == "large":  # exp() of the logits themselves would overflow
        logits *= 100
    if special == "nan":
        logits[0], logits[1, 1:] = np.nan, np.nan
        logits[2, ::2] = np.nan
    if special == "infinite":
        logits[0, -1], logits[1] = -np.inf, -np.inf
        logits[2, experts // 2:] = -np.inf
    replay = None
    if replayed:
        rng = np.random.default_rng(topk)
        replay = np.array([rng.permutation(experts)[:topk] for _ in range(tokens)], np.uint16).reshape(tokens, topk)
    room = host.device.room
    gate_ids, ids = room(np.uint16, (tokens, topk)), room(np.uint16, (tokens, topk))
    weights = room(np.float32, (tokens, topk))
    host.call("choose_experts", tokens=tokens, experts=experts, topk=topk, logits=host.device.put(logits),
              replay=None if replay is None else host.device.put(replay), gate_ids=gate_ids, ids=ids, weights=weights)
    gate, used, shares = reference.choose(logits, topk, replay)
    got, got_used, got_weights = (host.device.get(part) for part in (gate_ids, ids, weights))
    assert (got < experts).all(), "an expert that is none was chosen"
    equal(np.where(gate < 0, -1, got.astype(int)), gate, "gate_ids")
    equal(got_used, got if replay is None else replay, "ids")
    real = (used >= 0).all(axis=1) & ~np.isnan(shares).any(axis=1)  # weights of others are not documented
    near(got_weights[real], shares[real], EXP_ERROR + 1e-6, "weights")


def packing(tokens, topk, ranks, slots, to_rank=None):
    """Ids, weights and locations; all pairs to one rank, or anywhere."""
    rng = np.random.default_rng(tokens + 7 * topk + ranks)
    experts = ranks * slots
    places = [(e // slots, e % slots) for e in rng.permutation(experts)]
    wanted = [e for e in range(experts) if to_rank in (None, places[e][0])]
    ids = np.array([rng.permutation(wanted)[:topk] for _ in range(tokens)], np.uint16).reshape(tokens, topk)
    return ids, rng.random((tokens, topk)).astype(np.float32), places


def pack(host, tokens, topk, ranks, slots, to_rank=None):
    ids, weights, places = packing(tokens, topk, ranks, slots, to_rank)
    pair = np.dtype(host.declarations.struct("Pair"))
    locations = np.array(places, np.dtype(host.declarations.struct("Location")))
    expected = reference.pack(ids, weights, locations, ranks, slots, pair)
    device = host.device
    sizes = {"counts": (ranks, 2 + slots), "chunk_counts": expected["chunk_counts"].shape, "pairs": (tokens * topk,),
             "row_token": (tokens * min(ranks, topk),), "token_row": (tokens, ranks), "rows": (1,)}
    out = {name: device.room(pair if name == "pairs" else np.int32, shape) for name, shape in sizes.items()}
    given = {"tokens": tokens, "topk": topk, "ranks": ranks, "slots": slots, "ids": device.put(ids),
             "weights": device.put(weights), "locations": device.put(locations)}
    stamp = Stamp(host, "count_pairs")
    host.call("count_pairs", **given, **out, **stamp.given)
    stamp.check()
    equal(device.get(out["counts"]), expected["counts"], "counts")
    equal(device.get(out["chunk_counts"]), expected["chunk_counts"], "chunk_counts")
    host.call("place_pairs", **given, **out)
    for name, value in expected.items():
        equal(device.get(out[name], len(value)), value, name)


def copy_rows(host, row_bytes, count, most, sources=None):
    sources = sources or count + 1
    rng = np.random.default_rng(row_bytes + count)
    rows = rng.integers(0, 1 << 16, (sources, row_bytes // 2)).astype(np.uint16)
    index = rng.integers(0, sources, most).astype(np.int32)
    to = host.device.room(np.uint16, (most, row_bytes // 2))
    host.call("copy_rows", row_bytes=row_bytes, most=most, count=host.device.put(np.array([count], np.int32)),
              index=host.device.put(index), to=to, **{"from": host.device.put(rows)})
    equal(host.device.get(to, count), rows[index[:count]], "to")


def received(pair, rows_of, most_pairs, slots, seed, one_slot=None):
    """Pairs of every source: (pairs, pair_at, row_at)."""
    rng = np.random.default_rng(seed)
    made, pair_at, row_at = [], [0], [0]
    for rows in rows_of:
        for row in range(rows):
            count = most_pairs if row == 0 else rng.integers(1, most_pairs + 1)
            for slot in rng.permutation(slots)[:count]:
                made.append((row, slot if one_slot is None else one_slot, rng.random(), 0))
        pair_at.append(len(made))
        row_at.append(row_at[-1] + rows)
    return np.array(made, pair), np.array(pair_at, np.int32), np.array(row_at, np.int32)


def sort_pairs(host, rows_of, most_pairs, slots, one_slot=None, pairs_of=None):
    pair = np.dtype(host.declarations.struct("Pair"))
    pairs, pair_at, row_at = received(pair, rows_of, most_pairs, slots, sum(rows_of), one_slot)
    if pairs_of is not None:
        assert len(pairs) == pairs_of, f"the case has {len(pairs)} pairs"
    expected = reference.sort(pairs, pair_at, row_at, slots)
    slot_at = np.concatenate([[0], np.cumsum(expected["slot_tokens"])]).astype(np.int32)
    chunks = max(-(-len(pairs) // reference.CHUNK), 1)
    device = host.device
    out = {name: device.room(np.int32, value.shape) for name, value in expected.items()}
    stamp = Stamp(host, "sort_pairs")
    host.call("sort_pairs", pairs=len(pairs), ranks=len(rows_of), slots=slots, pair=device.put(pairs),
              pair_at=device.put(pair_at), row_at=device.put(row_at), slot_at=device.put(slot_at),
              chunk_pairs=device.room(np.int32, (slots, chunks)), **out, **stamp.given)
    stamp.check()
    for name, value in expected.items():
        equal(device.get(out[name]), value, name)


def swiglu(host, dtype, rows, ffn, special=False):
    both = numbers((rows, 2 * ffn), rows + ffn, 4)
    if special:
        both[0, 0], both[1, 0], both[2, 0], both[3, 0] = np.nan, np.inf, -200, 200
        both[4, ffn] = np.inf
    both = reference.payload(both, dtype)
    inner = host.device.room(kind(dtype), (rows, ffn))
    host.call("swiglu", dtype=dtype, rows=rows, ffn=ffn, both=host.device.put(both), inner=inner)
    near(host.device.get(inner), reference.swiglu(both), precision(dtype, EXP_ERROR), "inner")


def weigh_rows(host, dtype, rows_of, most_pairs, hidden):
    pair = np.dtype(host.declarations.struct("Pair"))
    pairs, pair_at, row_at = received(pair, rows_of, most_pairs, 12, sum(rows_of) + hidden)
    sorted_pairs = reference.sort(pairs, pair_at, row_at, 12)
    outputs = reference.payload(numbers((len(pairs), hidden), hidden), dtype)
    rows, device = int(row_at[-1]), host.device
    sums = device.room(kind(dtype), (rows, hidden))
    host.call("weigh_rows", dtype=dtype, rows=rows, pairs=len(pairs), hidden=hidden, pair=device.put(pairs),
              position=device.put(sorted_pairs["position"]), first_pair=device.put(sorted_pairs["first_pair"]),
              outputs=device.put(outputs), sums=sums)
    expected, magnitude = reference.weigh(outputs, pairs["weight"], sorted_pairs["position"],
                                          sorted_pairs["first_pair"])
    # A sum of bf16 is rounded once, from f32.
    rounded = magnitude if dtype == F32 else np.abs(expected) + 1e-4 * magnitude
    near(device.get(sums), expected, precision(dtype, 2 * F32_ERROR), "sums", rounded)


def add_rows(host, dtype, tokens, ranks, hidden, shared=True, everywhere=False, first_rank=0):
    rng = np.random.default_rng(tokens + ranks + hidden)
    sent = ((rng.random((tokens, ranks)) < 0.6) | everywhere) & (np.arange(ranks) >= first_rank)
    token_row = np.where(sent.T, np.cumsum(sent.T.reshape(-1)).reshape(ranks, tokens) - 1, -1).T.astype(np.int32)
    returned = reference.payload(numbers((max(int(sent.sum()), 1), hidden), hidden), dtype)
    x, own = numbers((tokens, hidden), 1), numbers((tokens, hidden), 2) if shared else None
    device = host.device
    at, stamp = device.put(x, SET), Stamp(host, "add_rows")
    host.call("add_rows", dtype=dtype, tokens=tokens, ranks=ranks, hidden=hidden, token_row=device.put(token_row),
              returned=device.put(returned), shared=None if own is None else device.put(own), x=at,
              **stamp.given)
    stamp.check(tokens > 0)
    equal(device.get(at), reference.add(x, token_row, returned, own), "x")


def passes(host, least, call, **values):
    """The clock goes on by so many ns, and some looks at it, during a call."""
    begin = host.device.clock
    host.call(call, **values)
    passed = host.device.clock - begin
    assert least <= passed <= max(least, TICK) + TICK, f"{passed} ns passed, not {least}"


def spin(host, nanoseconds):
    passes(host, nanoseconds, "spin", nanoseconds=nanoseconds)


WIDTHS = (1, 7, 33, 100)
CHUNK_BORDERS = (255, 256, 257)
# function of kernels.hpp -> (function here, arguments of every case)
CASES = {
    "fill_inputs": (fill_inputs, [(1, hidden) for hidden in (*WIDTHS, 600)] + [(3, 8, 1000), (0, 4)]),
    "norm_rows": (norm_rows, [(dtype, 2, hidden) for dtype in (F32, BF16) for hidden in (*WIDTHS, 255, 257, 1024)] +
                  [(F32, 4, 12, True), (BF16, 4, 300, True), (BF16, 0, 8), (F32, 1, 1)]),
    "choose_experts": (choose_experts,
                       [(5, 8, topk) for topk in range(1, 9)] +
                       [(3, 1, 1), (1, 33, 4), (7, 130, 3), (3, 90, 4), (2, 257, 8),
                        (4, 40, 8, True), (9, 5, 5, True), (6, 64, 6, False, "ties"), (5, 300, 4, False, "ties"),
                        (2, 300, 8, False, "falling"), (2, 70, 3, False, "falling"), (2, 300, 8, False, "rising"),
                        (2, 300, 5, False, "same"),
                        (5, 9, 1, False, "large"), (3, 50, 7, False, "large"), (2, 20, 4, True, "large"),
                        (4, 40, 6, False, "nan"), (4, 40, 8, True, "nan"), (4, 40, 6, False, "infinite"), (0, 4, 2)]),
    "count_pairs": (pack, [(tokens, 2, 3, 4) for tokens in (0, 1, *CHUNK_BORDERS)] +
                    [(20, topk, 8, 2) for topk in range(1, 9)] +
                    [(5, 1, 1, 1), (300, 4, 1, 4), (8, 2, 258, 1), (70, 3, 3, 3, 1),
                     (300, 2, 3, 2, 2), (600, 1, 8, 1, 0)]),
    "copy_rows": (copy_rows, [(2, 3, 3), (14, 5, 8), (66, 9, 9), (200, 3, 4), (4, 1, 1), (36, 3, 3), (132, 6, 7),
                              (258, 3, 3), (516, 4, 4), (1100, 2, 3),
                              (16, 3, 5), (2048, 2, 2), (2064, 9, 12), (4096, 17, 17), (256, 0, 2), (128, 0, 0),
                              (8, 33000, 33000, 5)]),
    "sort_pairs": (sort_pairs, [([1], 1, 1), ([3, 0, 2], 2, 4), ([0, 0, 5], 3, 3), ([255], 1, 2, None, 255),
                                ([100, 156], 1, 3, None, 256), ([100, 100, 57], 1, 3, None, 257), ([257], 1, 3, 1),
                                ([40, 30, 20, 1, 0, 0, 9, 7], 8, 8), ([0], 1, 2), ([200, 100], 3, 5), ([900, 500], 1, 3)]),
    "swiglu": (swiglu, [(dtype, 5, ffn) for dtype in (F32, BF16) for ffn in (1, 7, 33, 100, 96)] +
               [(F32, 6, 5, True), (BF16, 6, 8, True), (F32, 0, 8), (F32, 65, 2000)]),
    "weigh_rows": (weigh_rows, [(dtype, [4, 0, 3], 9, hidden) for dtype in (F32, BF16) for hidden in (*WIDTHS, 1028)] +
                   [(F32, [1], 12, 4), (BF16, [1], 1, 2), (BF16, [1, 1], 12, 5), (F32, [0], 1, 8)]),
    "add_rows": (add_rows, [(dtype, 3, ranks, hidden) for dtype in (F32, BF16) for ranks in (1, 3, 8)
                            for hidden in (1, 7, 100)] +
                 [(dtype, 2, ranks, hidden, shared) for dtype in (F32, BF16) for hidden in (301, 1028)
                  for ranks, shared in ((3, False), (5, True))] +
                 [(dtype, 2, ranks, hidden, True, True, first) for dtype in (F32, BF16) for hidden in (5, 12)
                  for ranks, first in (*((8, first) for first in range(1, 8)), (7, 4), (7, 5), (7, 6))] +
                 [(BF16, 2, 8, 1028, True, True), (BF16, 5, 3, 33, False), (F32, 1, 1, 4), (F32, 0, 2, 4)]),
    "spin": (spin, [(0,), (1,), (5000,)]),
}
CASES["place_pairs"] = CASES["count_pairs"]
