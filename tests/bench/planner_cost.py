#!/usr/bin/python3
"""Does --cost auto find the cost model that a device follows, where the profile has no routed loads?

`devices`: latencies are calculated for two kinds of device, so that the truth is known: one takes a
time for every active expert and every token, the other reads all weights and counts tokens. Profiles
hold loads that are even over experts only, as others publish them. `built-in`: the truth is not
known; shown is what auto takes, and what a wrong choice would cost. Loads are synthetic (`serving`)
or, with GEMBENCH_DATA, recorded ones of planner_recordings.py. gem plans on the earlier half of the
steps with either cost model and is judged on the later half by the true one. Everything goes through
gembench's command line. Exit 1 when auto is more than
0.2 points above the better of both on a device, unless --no-bars.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

import numpy

import planner_files
from planner_files import gembench, read_tokens, write_profile, write_trace
from planner_quality import LAUNCH, MODELS
from planner_recordings import PROFILES, loads

MOST = 0.2  # points
KINDS = ["sum", "per-expert"]
DEVICES = [("qwen3", 8, 64), ("qwen3", 16, 64), ("qwen3", 16, 2048), ("dsv3", 32, 64),
           ("dsv3", 32, 512)]  # ranks, tokens of a step
RECORDED = {"qwen_w64": (8, 16), "gpt_b256": (4, 8), "ds_dec_512": (32, 64)}


def write_device(path, name, kind, ranks, most):
    """Even loads: as many experts are active as there are tokens, until all are."""
    model, experts, _, _, read, token = MODELS[name]
    slots = experts // ranks
    points = numpy.unique(numpy.concatenate([[0], 2 ** numpy.arange(24), [slots, 4 * slots]]))
    points = points[points <= max(most, 4 * slots)]
    weights = read * (numpy.minimum(points, slots) if kind == "per-expert" else slots)
    latency = weights + token * points if kind == "per-expert" else numpy.maximum(weights, token * points)
    write_profile(path, latency * 1e-6, points, [LAUNCH] * ranks, f"{model}, {kind} by construction")


def judged(folder, trace, profile, ranks, seed):
    """(percent [truth][planned with] above planning with the truth, what auto takes)."""
    at = ["--trace", trace, "--profile", profile, "--ranks", ranks, "--slowdown-from",
          "builtin:v100-sgemm", "--seed", seed]
    half = len(read_tokens(trace)) // 2
    for kind in KINDS:
        gembench("plan", *at, "--plan-steps", half, "--strategy", "gem", "--cost", kind, "-q",
                 "--overwrite", "-o", folder / f"{kind}.json")
    table = numpy.zeros((2, 2))
    for i, truth in enumerate(KINDS):
        rows = json.loads(gembench("score", *at, "--plan-steps", half, "--cost", truth, "--format",
                                   "json", *(folder / f"{kind}.json" for kind in KINDS)))
        seconds = [row["step_mean"] for row in rows["placements"]]
        table[i] = [100 * (one / seconds[i] - 1) for one in seconds]
    auto = json.loads(gembench("score", *at, "--strategies", "linear", "--format", "json"))["profile"]
    return table, KINDS.index(auto.split("cost model ")[1].split(" ")[0])


def case(folder, label, trace, profile, ranks, draws, truth=None):
    """Points that auto costs against the better of both, if the truth is known."""
    found = [judged(folder, trace, profile, ranks, seed) for seed in range(1, draws + 1)]
    table, auto = numpy.mean([one for one, _ in found], axis=0), found[0][1]
    cost = None if truth is None else table[truth][auto] - min(table[truth])
    print(f"  {label:<34} {ranks:5} {KINDS[auto]:>11} {table[0][1]:20.2f} {table[1][0]:20.2f} "
          + ("" if cost is None else f"{KINDS[truth]:>11} {cost:6.2f}"), flush=True)
    return cost


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--gembench", help="the program (default: build/release, or GEMBENCH)")
    parser.add_argument("--draws", type=int, default=8, help="of speeds")
    parser.add_argument("--no-bars", action="store_true")
    options = parser.parse_args()
    if options.gembench:
        planner_files.PROGRAM = options.gembench
    costs = []
    print(f"# {options.draws} draws of speeds; percent above planning with the true model, mean\n"
          f"# {'case':<34} ranks        auto  truth sum, by expert  truth expert, by sum       truth   auto")
    with tempfile.TemporaryDirectory(prefix="gembench-cost-") as name:
        folder = pathlib.Path(name)
        for model, ranks, tokens in DEVICES:
            gembench("trace", "make", "--preset", "serving", "--model", MODELS[model][0], "--layers", 2,
                     "--tokens", tokens, "--steps", 256, "--overwrite", "-q", "-o", folder / "trace.h5")
            for truth, kind in enumerate(KINDS):
                most = tokens * MODELS[model][2]
                write_device(folder / "profile.h5", model, kind, ranks, most)
                costs.append((f"{model} {tokens} on {ranks} ranks, {kind}",
                              case(folder, f"device {model} {tokens}", folder / "trace.h5",
                                   folder / "profile.h5", ranks, options.draws, truth)))
        data = os.environ.get("GEMBENCH_DATA")
        for recorded, many in RECORDED.items() if data else ():
            family = recorded.split("_")[0]
            tokens, topk = loads(pathlib.Path(data), folder, recorded)
            write_trace(folder / "trace.h5", tokens, topk, recorded)
            for ranks in many:
                for local in ("", "/local"):
                    case(folder, f"{recorded} {PROFILES[family].split(':')[1]}{local}",
                         folder / "trace.h5", PROFILES[family] + local, ranks, options.draws)
    missed = [(label, cost) for label, cost in costs if cost > MOST]
    for label, cost in missed:
        print(f"# MISSED {label}: auto costs {cost:.2f} points, at most {MOST:g}")
    print(f"# {len(costs) - len(missed)} of {len(costs)} devices within {MOST:g} points")
    sys.exit(0 if options.no_bars or not missed else 1)


if __name__ == "__main__":
    main()
