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

# Percent that ultraep-speed is below ultraep, mean over cases and draws. Single cases may leave less:
# what perfect balance of time saves over perfect balance of tokens stands beside.
LEAST = 3
SPEEDS = ["v100-sgemm", "1slow15%/8"]
SYSTEMS = ["ultraep", "ultraep-speed", "lplb", "lplb-speed"]


def slowdown(kind, ranks, seed):
    if kind == "v100-sgemm":
        return "--slowdown-from", "builtin:v100-sgemm", "--seed", seed
    slow = numpy.random.default_rng(seed).integers(8)
    return "--slowdown", ",".join("1.15" if rank % 8 == slow else "1" for rank in range(ranks))


def judged(trace, profile, ranks, speeds, options):
    """Seconds and fetched experts of a step by row; the bounds by perfect balance."""
    rows = json.loads(gembench(
        "score", "--trace", trace, "--profile", profile, "--cost", options.cost, "--ranks", ranks,
        *speeds, "--spare-slots", options.slots, "--strategies", "linear,eplb", "--per-step",
        ",".join(SYSTEMS), "--format", "json", "-q"))["placements"]
    seconds = {row["placement"]: row["step_mean"] for row in rows}
    seconds.update({bound: rows[0][bound] for bound in ("token_balance", "time_balance")})
    return seconds, {row["placement"]: row["fetched_experts"] for row in rows}


def print_row(case, ranks, kind, draws, layers):
    """The mean gain of ultraep-speed."""
    def gains(strategy, other):
        return [below(seconds, strategy, other) for seconds, _ in draws]

    ours = gains("linear + ultraep-speed", "linear + ultraep")
    moved = [numpy.mean([fetched[f"linear + {system}"] / layers for _, fetched in draws])
             for system in ("ultraep-speed", "ultraep")]
    print(f"  {case:<12} {ranks:5} {kind:<12} {numpy.mean(ours):8.2f} ({min(ours):6.2f} .. "
          f"{max(ours):6.2f}) {numpy.mean(gains('time_balance', 'token_balance')):25.2f} "
          f"{numpy.mean(gains('eplb + lplb-speed', 'eplb + lplb')):22.2f} {moved[0]:16.1f} "
          f"{moved[1]:8.1f}", flush=True)
    return numpy.mean(ours)


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
          f"# {'case':<12} {'ranks':>5} {'speeds':<12} {'ultraep-speed below ultraep':>29} "
          "perfect time below tokens  lplb-speed below lplb  fetched a layer, ultraep")
    every = {kind: [] for kind in SPEEDS}
    with tempfile.TemporaryDirectory(prefix="gembench-per-step-") as name:
        trace = pathlib.Path(name) / "case.h5"
        for case in [case for case in CASES if options.cases in case]:
            family = case.split("_")[0]
            tokens, topk = loads(pathlib.Path(data), trace.parent, case)
            write_trace(trace, tokens, topk, f"{case} of planner_recordings.py")
            for ranks in options.ranks or [one for one in RANKS[family] if one >= 8]:
                for kind in SPEEDS:
                    draws = [judged(trace, PROFILES[family], ranks, slowdown(kind, ranks, seed),
                                    options) for seed in range(1, options.draws + 1)]
                    every[kind].append(print_row(case, ranks, kind, draws, tokens.shape[1]))
    missed = 0
    for kind, cells in every.items():
        mean, low, high = interval(cells)
        missed += mean < LEAST
        print(f"# {'holds ' if mean >= LEAST else 'MISSED'} {kind}: ultraep-speed {mean:.2f} % below "
              f"ultraep (95 % interval over cases {low:.2f} .. {high:.2f}), at least {LEAST:g}")
    sys.exit(0 if options.no_bars or not missed else 1)


if __name__ == "__main__":
    main()
