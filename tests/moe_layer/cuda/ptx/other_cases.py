"""Like cases.py, for calls beside a layer's own: the plain product, timers, and hierarchical dispatch."""

import numpy as np

import reference
from cases import BF16, CHUNK_BORDERS, F32, F32_ERROR, WIDTHS, equal, kind, near, numbers, passes, precision, received
from machine import TICK


def plain_product(host, dtype, rows, n, k, matrices):
    a = reference.payload(numbers((rows, k), n), dtype)
    b = [reference.payload(numbers((k, n), seed), dtype) for seed in range(matrices)]
    matrix = np.random.default_rng(rows).integers(0, matrices, rows).astype(np.int32)
    device = host.device
    c = device.room(kind(dtype), (rows, n))
    host.call("plain_product", dtype=dtype, rows=rows, n=n, k=k, a=device.put(a),
              b=device.put(np.array([device.put(part) for part in b], np.uint64)), matrix=device.put(matrix), c=c)
    wide_a, wide_b = reference.real(a).astype(np.float64), [reference.real(part).astype(np.float64) for part in b]
    terms = np.array([wide_a[row] @ wide_b[matrix[row]] for row in range(rows)]).reshape(rows, n)
    sizes = np.array([np.abs(wide_a[row]) @ np.abs(wide_b[matrix[row]]) for row in range(rows)]).reshape(rows, n)
    near(device.get(c), terms, precision(dtype, k * F32_ERROR), "c",
         sizes if dtype == F32 else np.abs(terms) + 1e-3 * sizes)


def write_stamp(host):
    at = host.device.room(np.uint64, (1,))
    passes(host, 0, "write_stamp", stamp=at)
    assert host.device.get(at)[0] == host.device.clock


def spin_since(host, before, factor):
    """Until the time since the stamp, `before` ns before the call, is so many times as long."""
    begin = host.device.clock - before
    host.call("spin_since", stamp=host.device.put(np.array([begin], np.uint64)), factor=factor)
    least = int((before + TICK) * factor)
    assert least <= host.device.clock - begin <= max(least, before) + 4 * TICK, "it spins for another time"


def timer_step(host):
    at = host.device.room(np.uint64, (1,))
    host.call("timer_step", step=at)
    assert host.device.get(at)[0] == TICK


def forward(host, rows_of, most_pairs, node_ranks, slots, ranks, pairs_of=None):
    pair = np.dtype(host.declarations.struct("Pair"))
    pairs, pair_at, row_at = received(pair, rows_of, most_pairs, node_ranks * slots, sum(rows_of) + slots)
    assert pairs_of in (None, len(pairs)), f"the case has {len(pairs)} pairs"
    rank_of = np.arange(ranks - node_ranks, ranks).astype(np.int32)
    expected = reference.forward(pairs, pair_at, row_at, rank_of, ranks, slots)
    device = host.device
    out = {name: device.room(value.dtype, (len(pairs),) if name == "row_source" else value.shape)
           for name, value in expected.items()}
    given = {"pairs": len(pairs), "sources": len(rows_of), "node_ranks": node_ranks, "slots": slots,
             "pair": device.put(pairs), "pair_at": device.put(pair_at), "row_at": device.put(row_at),
             "rank_of": device.put(rank_of)}
    host.call("count_node_pairs", ranks=ranks, **given, **out)
    equal(device.get(out["counts"]), expected["counts"], "counts")
    if len(pairs):  # else nothing is launched
        equal(device.get(out["chunk_counts"]), expected["chunk_counts"], "chunk_counts")
        host.call("place_node_pairs", **given, **out)
        for name, value in expected.items():
            equal(device.get(out[name], len(value)), value, name)


def merge_rows(host, dtype, rows, node_ranks, hidden, first_rank=0):
    sent = (np.random.default_rng(rows + hidden).random((rows, node_ranks)) < 0.6) & \
        (np.arange(node_ranks) >= first_rank)
    sent_row = np.where(sent.T, np.cumsum(sent.T.reshape(-1)).reshape(node_ranks, rows) - 1, -1).T.astype(np.int32)
    returned = reference.payload(numbers((max(int(sent.sum()), 1), hidden), hidden), dtype)
    device = host.device
    results = device.room(kind(dtype), (rows, hidden))
    host.call("merge_rows", dtype=dtype, rows=rows, node_ranks=node_ranks, hidden=hidden,
              sent_row=device.put(sent_row), returned=device.put(returned), results=results)
    equal(device.get(results), reference.payload(reference.merge(sent_row, returned), dtype), "results")


CASES = {
    "plain_product": (plain_product, [(dtype, 4, n, 9, 3) for dtype in (F32, BF16) for n in (*WIDTHS, 257)] +
                      [(F32, 1, 1, 1, 1), (BF16, 3, 5, 33, 1), (F32, 0, 4, 4, 1)]),
    "write_stamp": (write_stamp, [()]),
    "spin_since": (spin_since, [(0, 1.0), (1000, 2.5), (1000, 1.0)]),
    "timer_step": (timer_step, [()]),
    "count_node_pairs": (forward, [([count], 1, 2, 3, 4, count) for count in CHUNK_BORDERS] +
                         [([5, 0, 3], 4, 1, 4, 3), ([40, 60, 1], 6, 4, 2, 8), ([0, 1], 1, 2, 1, 2), ([0, 0], 1, 2, 2, 2),
                          ([1], 8, 8, 1, 16), ([120], 8, 3, 4, 3)]),
    "merge_rows": (merge_rows, [(dtype, 4, ranks, hidden) for dtype in (F32, BF16) for ranks in (1, 3, 8)
                                for hidden in (*WIDTHS, 96, 301, 2056)] +
                   [(dtype, 2, 8, 8, first) for dtype in (F32, BF16) for first in range(1, 8)] + [(F32, 0, 2, 4)]),
}
CASES["place_node_pairs"] = CASES["count_node_pairs"]
