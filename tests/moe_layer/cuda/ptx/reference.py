"""What the functions of moe_layer/cuda/kernels.hpp promise, in plain numpy, from their documentation: loops
over tokens, ranks and pairs in the order that is named there, sums of real numbers in f64."""

import numpy as np

from arithmetic import from_bf16, to_bf16
from host import DType

BITS = (1 << 64) - 1
CHUNK = 256  # kChunk of kernels.hpp


def payload(values, dtype):
    return to_bf16(np.asarray(values, np.float32)) if dtype == DType.bf16 else np.asarray(values, np.float32)


def real(values):
    return from_bf16(values) if values.dtype == np.uint16 else values


def mix64(z):
    """splitmix64, placement/base/random.hpp."""
    z = (z + 0x9E3779B97F4A7C15) & BITS
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB & BITS
    return z ^ z >> 31


def inputs(first_token, tokens, hidden, key, step):
    """moe_layer/model/uniform.hpp: a hash makes two neighbours."""
    x = np.zeros((tokens, hidden), np.float32)
    for token in range(tokens):
        row_key = mix64(key ^ mix64(first_token + token))
        for i in range(hidden):
            bits = mix64((row_key + i // 2) & BITS) >> (32 if i % 2 else 0)
            # The lower 24 bits, to the middle of their step around 0: exact up to the product.
            x[token, i] = np.float32((bits & 0xFFFFFF) - 2**23 + 0.5) * np.float32(step)
    return x


def norm(x):
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        return wide / np.sqrt((wide * wide).mean(axis=1, keepdims=True) + 1e-6)


def choose(logits, topk, replay=None):
    """(router's ids, used ids, weights). NaN logits are never chosen; -1 where any expert will do."""
    tokens, _ = logits.shape
    gate = np.full((tokens, topk), -1)
    for token, row in enumerate(logits):
        order = sorted((e for e in range(len(row)) if not np.isnan(row[e])), key=lambda e: (-row[e], e))
        gate[token, :len(order[:topk])] = order[:topk]
    used = gate if replay is None else replay.astype(int)
    with np.errstate(all="ignore"):
        chosen = np.take_along_axis(logits.astype(np.float64), used, axis=1)
        shares = np.exp(chosen - chosen.max(axis=1, keepdims=True))
        return gate, used, shares / shares.sum(axis=1, keepdims=True)


def pack(ids, weights, locations, ranks, slots, pair_type):
    """What count_pairs and place_pairs leave, by name."""
    tokens, topk = ids.shape
    chunks = max(-(-tokens // CHUNK), 1)
    made = {"counts": np.zeros((ranks, 2 + slots), np.int32), "chunk_counts": np.zeros((ranks, chunks, 2), np.int32),
            "token_row": np.full((tokens, ranks), -1, np.int32)}
    pairs, row_token = [], []
    for rank in range(ranks):
        first_row = len(row_token)
        for token in range(tokens):
            here = [k for k in range(topk) if locations[ids[token, k]]["rank"] == rank]
            if not here:
                continue
            row = len(row_token) - first_row
            made["token_row"][token, rank] = len(row_token)
            row_token.append(token)
            made["counts"][rank, :2] += (1, len(here))
            made["chunk_counts"][rank, token // CHUNK] += (1, len(here))
            for k in here:
                slot = locations[ids[token, k]]["slot"]
                made["counts"][rank, 2 + slot] += 1
                pairs.append((row, slot, weights[token, k], 0))
    made["pairs"] = np.array(pairs, pair_type)
    made["row_token"] = np.array(row_token, np.int32)
    made["rows"] = np.array([len(row_token)], np.int32)
    return made


def sort(pairs, pair_at, row_at, slots):
    """What sort_pairs leaves, by name."""
    order, source = [], np.zeros(len(pairs), int)
    for rank in range(len(pair_at) - 1):
        source[pair_at[rank]:pair_at[rank + 1]] = rank
    rows = np.array([row_at[source[p]] + pairs[p]["row"] for p in range(len(pairs))], np.int32)
    for slot in range(slots):
        order += [p for p in range(len(pairs)) if pairs[p]["slot"] == slot]
    position = np.zeros(len(pairs), np.int32)
    position[order] = np.arange(len(pairs))
    return {"sorted_row": rows[order], "position": position,
            "first_pair": np.unique(rows, return_index=True)[1].astype(np.int32),
            "slot_tokens": np.array([(pairs["slot"] == slot).sum() for slot in range(slots)], np.int32)}


def swiglu(both):
    gate, up = np.split(real(both).astype(np.float64), 2, axis=1)
    with np.errstate(all="ignore"):
        return gate / (1 + np.exp(-gate)) * up


def weigh(outputs, weight, position, first_pair):
    """(sums, sums of magnitudes)"""
    ends = [*first_pair[1:], len(weight)]
    terms = weight[:, None].astype(np.float64) * real(outputs)[position]
    return tuple(np.array([part[begin:end].sum(axis=0) for begin, end in zip(first_pair, ends)])
                 .reshape(len(first_pair), outputs.shape[1]) for part in (terms, np.abs(terms)))


def add(x, token_row, returned, shared):
    """In f32, in the documented order: bit for bit."""
    x = x.copy()
    for token, rows in enumerate(token_row):
        for row in rows:
            if row >= 0:
                x[token] += real(returned)[row]
        if shared is not None:
            x[token] += shared[token]
    return x


def forward(pairs, pair_at, row_at, rank_of, ranks, slots):
    """What count_node_pairs and place_node_pairs leave, by name."""
    locals_, rows = len(rank_of), int(row_at[-1])
    chunks = -(-len(pairs) // CHUNK)
    made = {"counts": np.zeros((ranks, 2 + slots), np.int32), "sent_row": np.full((rows, locals_), -1, np.int32),
            "chunk_counts": np.zeros((locals_, chunks, 2), np.int32)}
    row_of = np.concatenate([row_at[source] + pairs["row"][pair_at[source]:pair_at[source + 1]]
                             for source in range(len(pair_at) - 1)])
    sent, row_source = [], []
    for local, rank in enumerate(rank_of):
        first_row = len(row_source)
        for p, pair in enumerate(pairs):
            if pair["slot"] // slots != local:
                continue
            chunk = made["chunk_counts"][local, p // CHUNK]
            if made["sent_row"][row_of[p], local] < 0:
                made["sent_row"][row_of[p], local] = len(row_source)
                row_source.append(row_of[p])
                chunk[0] += 1
                made["counts"][rank, 0] += 1
            chunk[1] += 1
            made["counts"][rank, 1] += 1
            made["counts"][rank, 2 + pair["slot"] % slots] += 1
            sent.append((made["sent_row"][row_of[p], local] - first_row, pair["slot"] % slots, pair["weight"], 0))
    made["sent_pairs"] = np.array(sent, pairs.dtype)
    made["row_source"], made["rows"] = np.array(row_source, np.int32), np.array([len(row_source)], np.int32)
    return made


def merge(sent_row, returned):
    """In f32, in the order of local ranks."""
    made = np.zeros((len(sent_row), returned.shape[1]), np.float32)
    return add(made, sent_row, returned, None)
