#!/usr/bin/env python3
"""Ten thousand random problems, planned as the plug-ins do: every map passes the engines' rules, and is the same
in two processes and with 1, 2 and 4 threads. Needs gembench and numpy; with torch and vLLM also their
compute_logical_maps. `random_calls.py [--calls N]`; prints one line, exit 1 for a map that is wrong."""

import argparse
import hashlib
import logging
import multiprocessing
import sys

import numpy as np

from gembench.engine_planner import EnginePlanner
from gembench.engine_settings import Settings

STRATEGIES = ("gem", "gem", "gem", "eplb", "linear", "vibe", "flashlb")


def problem(number):
    """Small layers, all zeros, rows of zeros, dead ranks, maps in use (also with an expert twice on a rank)."""
    random = np.random.default_rng(number)
    ranks = int(random.integers(1, 9))
    slots = int(random.integers(1, 7))
    dead = [int(r) for r in np.flatnonzero(random.random(ranks) < (0.2 if random.random() < 0.3 else 0))][:ranks - 1]
    room = (ranks - len(dead)) * slots
    experts = int(random.integers(max(slots, 1), room + 1))
    layers, steps = int(random.integers(1, 5)), int(random.integers(1, 12))
    loads = random.poisson(random.gamma(0.4, 50, (1, layers, experts)), (steps, layers, experts))
    loads[random.random(steps) < 0.3] = 0
    loads[:, random.random(layers) < 0.2] = 0
    loads = loads.astype(np.int32 if random.random() < 0.5 else np.int64)
    previous = None
    if random.random() < 0.5:
        base = np.arange(ranks * slots) % experts
        previous = np.stack([base if random.random() < 0.5 else random.permutation(base) for _ in range(layers)])
    speeds = tuple(random.uniform(0.5, 1, ranks)) if random.random() < 0.7 else None
    settings = Settings(strategy=str(random.choice(STRATEGIES)), max_moves=int(random.integers(0, 4)), speeds=speeds,
                        rows=int(random.integers(1, 9)))
    return settings, loads, dict(ranks=ranks, all_slots=ranks * slots, previous=previous, dead=dead)


def solve(number, threads):
    """The map, or why there is none."""
    settings, loads, given = problem(number)
    settings = Settings(**{**vars(settings), "threads": threads})
    try:
        return EnginePlanner(settings, logging.getLogger("random")).plan(loads, **given)
    except (ValueError, RuntimeError) as error:
        return str(error)


def faults(number, phy2log):
    """What an engine would say of the map, from its own checks where it has any."""
    _, loads, given = problem(number)
    ranks, dead, experts = given["ranks"], given["dead"], loads.shape[2]
    if phy2log.shape != (loads.shape[1], given["all_slots"]) or phy2log.dtype != np.int64:
        yield "shape or type"
    for row in phy2log.reshape(len(phy2log), ranks, -1):
        live = np.delete(row, dead, axis=0)
        if set(live.ravel().tolist()) != set(range(experts)):
            yield "an expert is missing, or a slot empty"
        if any(len(set(slots)) != len(slots) for slots in live.tolist()):
            yield "an expert is twice on a rank"
        if (row[dead] != -1).any():
            yield "a dead rank holds experts"
    if given["previous"] is not None:  # vllm-ascend: an expert that stays on a rank keeps its slot
        was = given["previous"].reshape(len(phy2log), ranks, -1)
        now = phy2log.reshape(was.shape)
        for layer, rank in np.ndindex(was.shape[:2]):
            if rank in dead or len(set(was[layer, rank].tolist())) < was.shape[2]:
                continue
            for slot, expert in enumerate(was[layer, rank]):
                if expert in now[layer, rank] and now[layer, rank, slot] != expert:
                    yield "an expert changed its slot"
    if COMPUTE_LOGICAL_MAPS is not None:
        import torch
        slots_of, counts = COMPUTE_LOGICAL_MAPS(torch.from_numpy(phy2log), experts)
        if int(counts.min()) < 1 or int((slots_of >= 0).sum()) != int((phy2log >= 0).sum()):
            yield "vLLM's compute_logical_maps"


def engine_checks():
    try:
        import stubs
        import engine_support
        stubs.stand_in_for(engine_support.STUBS)
        from vllm.distributed.eplb.eplb_state import compute_logical_maps
        return compute_logical_maps
    except ImportError:
        return None


def digest(task):
    """In another process."""
    numbers, threads = task
    text = hashlib.sha256()
    for number in numbers:
        found = solve(number, threads)
        text.update(found.encode() if isinstance(found, str) else found.tobytes())
    return text.hexdigest()


COMPUTE_LOGICAL_MAPS = None


def main():
    global COMPUTE_LOGICAL_MAPS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10000)
    calls = parser.parse_args().calls
    with multiprocessing.get_context("spawn").Pool(1) as other:  # before this process starts threads
        elsewhere = other.apply_async(digest, ((range(calls), 4),))
        COMPUTE_LOGICAL_MAPS = engine_checks()
        text, wrong, refused = hashlib.sha256(), [], 0
        for number in range(calls):
            found = solve(number, 1)
            text.update(found.encode() if isinstance(found, str) else found.tobytes())
            again = solve(number, 2)
            if isinstance(found, str):
                refused += 1
                if again != found:
                    wrong.append((number, "2 threads"))
                continue
            if isinstance(again, str) or again.tobytes() != found.tobytes():
                wrong.append((number, "2 threads"))
            wrong += [(number, fault) for fault in faults(number, found)]
        if elsewhere.get() != text.hexdigest():
            wrong.append(("all", "another process with 4 threads"))
    checks = "with" if COMPUTE_LOGICAL_MAPS else "without"
    print(f"{calls} calls, {refused} refused, {len(wrong)} wrong, {checks} vLLM's check {wrong[:5] or ''}")
    sys.exit(1 if wrong or refused > calls // 20 else 0)


if __name__ == "__main__":
    main()
