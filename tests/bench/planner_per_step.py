#!/usr/bin/python3
"""What knowing the GPUs' speeds is worth to a system that rebalances every step, and the bar.

UltraEP's planner (`ultraep`) and its form with a threshold of time (`ultraep-speed`, ours) have the
same masters (`linear`) and redundant slots; LPLB (`lplb`, `lplb-speed`) splits the tokens of the
replicas that `eplb` puts into these slots. Loads are those of planner_recordings.py, in the folder
GEMBENCH_DATA; latencies are an H100's, built in. Speeds: drawn like those of real V100
(`builtin:v100-sgemm`), or one slow GPU (15 %) in every eight, another one in every draw. All steps
are judged: masters do not depend on them. Predicted, nothing ran; weights that move are not charged
(the last columns say how many do). Exit 1 when a bar is missed, unless --no-bars.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

import numpy

import planner_files
from planner_files import below, gembench, interval, write_trace
from planner_recordings import CASES, PROFILES, RANKS, loads

LEAST = 3  # percent that ultraep-speed is below ultraep: mean of a case's draws
SPEEDS = ["v100-sgemm", "1slow15%/8"]
SYSTEMS = ["ultraep", "ultraep-speed", "lplb", "lplb-speed"]


def slowdown(kind, ranks, seed):
    if kind == "v100-sgemm":
        return "--slowdown-from", "builtin:v100-sgemm", "--seed", seed
    slow = numpy.random.default_rng(seed).integers(8)
    return "--slowdown", ",".join("1.15" if rank % 8 == slow else "1" for rank in range(ranks))


def judged(trace, profile, cost, ranks, speeds, slots):
    """Seconds and fetched experts of a step by row; the bounds by perfect balance."""
    answer = json.loads(gembench(
        "score", "--trace", trace, "--profile", profile, "--cost", cost, "--ranks", ranks, *speeds,
        "--spare-slots", slots, "--strategies", "linear,eplb", "--per-step", ",".join(SYSTEMS),
        "--format", "json", "-q"))
    rows = answer["placements"]
    seconds = {row["placement"]: row["step_mean"] for row in rows}
    for bound in ("token_balance", "time_balance"):
        seconds[bound] = rows[0][bound]
    fetched = {row["placement"]: row["fetched_experts"] for row in rows}
    return seconds, fetched, answer["steps"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--gembench", help="the program (default: build/release, or GEMBENCH)")
    parser.add_argument("--cases", default="", help="only cases with this in their name")
    parser.add_argument("--draws", type=int, default=10, help="of speeds")
    parser.add_argument("--slots", type=int, default=2, help="redundant slots of a rank")
    parser.add_argument("--cost", default="sum", help="cost model")
    parser.add_argument("--ranks", type=int, action="append", help="(default: 8, 16 and 32 or 64)")
    parser.add_argument("--no-bars", action="store_true", help="exit 1 for nothing but failures")
    options = parser.parse_args()
    data = os.environ.get("GEMBENCH_DATA")
    if not data:
        sys.exit("planner_per_step.py: set GEMBENCH_DATA to the folder of recordings")
    if options.gembench:
        planner_files.PROGRAM = options.gembench
    print(f"# {options.draws} draws of speeds, {options.slots} redundant slots a rank, cost model "
          f"{options.cost}; percent of time below, mean over draws\n"
          f"# {'':<40}|ultraep-speed below ultraep|perfect time|    lplb-speed|  experts fetched\n"
          f"# {'case':<12} {'ranks':>5} {'speeds':<12} {'topk':>6} |  mean   least    most   |"
          " below tokens|    below lplb| by it  by ultraep, a layer")
    missed, every = 0, {kind: [] for kind in SPEEDS}
    with tempfile.TemporaryDirectory(prefix="gembench-per-step-") as name:
        folder = pathlib.Path(name)
        for case in [case for case in CASES if options.cases in case]:
            family = case.split("_")[0]
            tokens, topk = loads(pathlib.Path(data), folder, case)
            write_trace(folder / "case.h5", tokens, topk, f"{case} of planner_recordings.py")
            for ranks in options.ranks or [one for one in RANKS[family] if one >= 8]:
                for kind in SPEEDS:
                    gains, most, lplb, moved = [], [], [], []
                    for seed in range(1, options.draws + 1):
                        seconds, fetched, _ = judged(
                            folder / "case.h5", PROFILES[family], options.cost, ranks,
                            slowdown(kind, ranks, seed), options.slots)
                        gains.append(below(seconds, "linear + ultraep-speed", "linear + ultraep"))
                        most.append(below(seconds, "time_balance", "token_balance"))
                        lplb.append(below(seconds, "eplb + lplb-speed", "eplb + lplb"))
                        moved.append([fetched[f"linear + {one}"] / tokens.shape[1]
                                      for one in SYSTEMS[1::-1]])
                    every[kind] += [gains]
                    held = numpy.mean(gains) >= LEAST
                    missed += not held
                    ours, theirs = numpy.mean(moved, axis=0)
                    print(f"  {case:<12} {ranks:5} {kind:<12} {topk:6} | {numpy.mean(gains):5.2f} "
                          f"{min(gains):7.2f} {max(gains):7.2f}   | {numpy.mean(most):11.2f} |"
                          f" {numpy.mean(lplb):12.2f} | {ours:6.1f} {theirs:6.1f}"
                          f"  {'holds' if held else 'MISSED'}", flush=True)
    for kind, cells in every.items():
        mean, low, high = interval([numpy.mean(cell) for cell in cells])
        print(f"# {kind}: ultraep-speed {mean:.2f} % below ultraep (95 % interval over cases "
              f"{low:.2f} .. {high:.2f}), at least {LEAST:g}")
        missed += mean < LEAST
    sys.exit(0 if options.no_bars or not missed else 1)


if __name__ == "__main__":
    main()
