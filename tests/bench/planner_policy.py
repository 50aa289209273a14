#!/usr/bin/python3
"""What replanning while serving saves with its moves charged, and the bar.

`gem+` planned once on the earlier half of the steps, and replanned every quarter of the later half on
the latest half as many (`score --replan-every`), afresh or with few moves (`--max-moves`). Loads are those
of planner_recordings.py, in the folder GEMBENCH_DATA; latencies are an H100's, built in; speeds are
drawn like those of real V100 (`builtin:v100-sgemm`). Predicted, nothing ran. Weights arrive at
--bandwidth, and nothing else runs meanwhile. The judged steps are few (128 where loads are drawn):
a quarter of them must pay for its moves. Exit 1 when the bar is missed, unless --no-bars.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

import numpy

import planner_files
from planner_files import gembench, write_trace
from planner_recordings import CASES, PROFILES, RANKS, loads
from support import cpu

SHIFTING = ("ds_shift", "ds_flip")  # the later half has other workloads than the earlier one
LEAST = 0.5  # percent below gem+ planned once, mean over draws
PARTS = 4  # of the judged steps
COLUMNS = ["afresh", "few moves"]


def judged(trace, ranks, profile, every, options, seed, *words):
    """Change in percent by replanning, the same without the charge, and the experts that move a
    layer and replanning."""
    answer = json.loads(gembench(
        "score", "--trace", trace, "--profile", profile, "--cost", options.cost, "--ranks", ranks,
        "--slowdown-from", "builtin:v100-sgemm", "--seed", seed, "--split", 0.5, "--strategies",
        "gem+", "--replan-every", every, "--bandwidth", options.bandwidth, *words, "--format", "json",
        "-q"))
    once, policy = answer["placements"]
    return (100 * policy["against_first"], 100 * (policy["step_mean"] / once["step_mean"] - 1),
            policy["moved_experts"] / max(1, policy["replannings"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--gembench", help="the program (default: build/release, or GEMBENCH)")
    parser.add_argument("--cases", default="", help="only cases with this in their name")
    parser.add_argument("--draws", type=int, default=6, help="of speeds")
    parser.add_argument("--moves", type=int, default=8, help="of few moves, a layer and replanning")
    parser.add_argument("--bandwidth", type=float, default=450e9, help="bytes/s a rank receives")
    parser.add_argument("--cost", default="sum", help="cost model")
    parser.add_argument("--ranks", type=int, action="append", help="(default: the middle one)")
    parser.add_argument("--no-bars", action="store_true", help="exit 1 for nothing but failures")
    options = parser.parse_args()
    data = os.environ.get("GEMBENCH_DATA")
    if not data:
        sys.exit("planner_policy.py: set GEMBENCH_DATA to the folder of recordings")
    if options.gembench:
        planner_files.PROGRAM = options.gembench
    print(f"# {cpu()}; {options.draws} draws of speeds, cost model {options.cost}, weights at "
          f"{options.bandwidth / 1e9:g} GB/s\n# percent against gem+ planned once, mean (worst) over "
          f"draws; without charge; moved a layer\n# {'case':<12} {'ranks':>5} {'steps':>6}"
          + "".join(f"{name:>19} without moves" for name in COLUMNS))
    bars = []
    with tempfile.TemporaryDirectory(prefix="gembench-policy-") as name:
        trace = pathlib.Path(name) / "case.h5"
        for case in [case for case in CASES if options.cases in case]:
            family = case.split("_")[0]
            tokens, topk = loads(pathlib.Path(data), trace.parent, case)
            write_trace(trace, tokens, topk, f"{case} of planner_recordings.py")
            steps = len(tokens) - round(len(tokens) / 2)
            for ranks in options.ranks or RANKS[family][1:2]:
                text = f"  {case:<12} {ranks:5} {steps:6}"
                for column, words in zip(COLUMNS, ([], ["--max-moves", options.moves])):
                    rows = numpy.array([judged(trace, ranks, PROFILES[family], -(-steps // PARTS),
                                               options, seed, *words)
                                        for seed in range(1, options.draws + 1)])
                    change, free, moves = rows.mean(axis=0)
                    text += (f"{change:>10.2f} ({rows[:, 0].max():6.2f}) {free:>7.2f} "
                             f"{moves / tokens.shape[1]:>5.1f}")
                    if case in SHIFTING:
                        bars.append((-change, f"{case}, {ranks} ranks, {column}"))
                print(text, flush=True)
    for gain, name in bars:
        print(f"# {'holds ' if gain >= LEAST else 'MISSED'} {name}: replanned gem+ {gain:.2f} % below "
              f"gem+, at least {LEAST:g}")
    sys.exit(0 if options.no_bars or all(gain >= LEAST for gain, _ in bars) else 1)


if __name__ == "__main__":
    main()
