#!/usr/bin/python3
"""Are plans on speeds shrunk by their reliability safe where speeds wobble, and no worse where not?

Speeds are those of real GPUs in three jobs (GEMBENCH_DATA/pal_gpu_variability/gpu_slowdown.csv: per
GPU its median run, how many runs, their coefficient of variation; published with PAL, SC24, MIT
licence). A run is the GPU's lasting speed times a normal deviation of that coefficient; the largest
tenth of the coefficients count as their 90 % quantile, since single runs that took half as long
again are not normal. Lasting speeds are the medians, drawn to their mean until their variance is the
medians' less what so few runs add. `rho` of a job is the share of a single run's variance that lasts.

Every draw takes other GPUs and runs of them. A placement is planned by gem+ on the earlier half of
bursty prefill and on one run's profile: as measured, shrunk (with another run, or --older of them, as
--history), or with equal speeds. All are judged on the later half with four more runs, in the mean.
Everything goes through gembench's command line. Exit 1 when a bar is missed, unless --no-bars.
"""

import argparse
import csv
import json
import os
import pathlib
import sys
import tempfile

import numpy

import planner_files
import planner_quality
from planner_files import gembench, interval

JOBS = {"sgemm": "longhorn_v100_sgemm", "resnet": "longhorn_v100_resnet50",
        "bert": "longhorn_v100_bert"}
CONFIGURATIONS = [("mixtral", 8), ("qwen3", 16), ("dsv3", 32)]
KINDS = ["measured", "shrunk", "equal"]
OUTLYING, JUDGED = 0.9, 4  # quantile of the coefficients; runs that judge
MEDIAN = numpy.pi / 2  # variance of a median by that of a mean, normal runs
ABOVE_EPLB = 1  # percent, in any draw


def speeds_of(data, job):
    """(log of the lasting slowdown, deviation of a run's log) of every GPU with several runs, and
    rho."""
    with (data / "pal_gpu_variability/gpu_slowdown.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file)
                if row["system_app"] == JOBS[job] and int(row["runs"]) > 1]
    logs = numpy.log([float(row["slowdown_vs_median"]) for row in rows])
    deviations = numpy.array([float(row["run_cv"]) for row in rows])
    deviations = numpy.minimum(deviations, numpy.quantile(deviations, OUTLYING))
    runs = numpy.array([int(row["runs"]) for row in rows])
    total, passing = numpy.var(logs), numpy.mean(deviations ** 2)
    lasting = max(0.0, total - MEDIAN * numpy.mean(deviations ** 2 / runs))
    return (logs - logs.mean()) * numpy.sqrt(lasting / total), deviations, \
        lasting / (lasting + passing)


def draw(folder, name, ranks, speeds, older, random):
    """Percent against eplb by kind, and rho as the program found it."""
    lasting, deviations, _ = speeds
    gpus = random.choice(len(lasting), ranks, replace=False)
    history, judges = [f"old{i}" for i in range(older)], [f"judge{i}" for i in range(JUDGED)]
    for file in ["now", *history, *judges]:
        run = lasting[gpus] + deviations[gpus] * random.standard_normal(ranks)
        planner_quality.roofline(folder / f"{file}.h5", name, ranks, False, numpy.exp(run))
    planner_quality.roofline(folder / "equal.h5", name, ranks, False)
    how = {"measured": ["--profile", folder / "now.h5", "--speeds", "measured"],
           "shrunk": ["--profile", folder / "now.h5", "--history",
                      ",".join(str(folder / f"{file}.h5") for file in history)],
           "equal": ["--profile", folder / "equal.h5"]}
    said = {kind: json.loads(gembench("plan", "--trace", folder / "trace.h5", "--strategy", "gem+",
                                      "--plan-steps", planner_quality.STEPS // 2, *words, "-q",
                                      "--format", "json", "--overwrite", "-o",
                                      folder / f"{kind}.json"))
            for kind, words in how.items()}
    seconds = dict.fromkeys(["eplb", *KINDS], 0)
    for file in judges:
        judged = json.loads(gembench("score", "--trace", folder / "trace.h5", "--split", 0.5,
                                     "--profile", folder / f"{file}.h5", "--strategies", "eplb",
                                     "--format", "json", "-q",
                                     *(folder / f"{kind}.json" for kind in KINDS)))
        for one in judged["placements"]:
            seconds[one["placement"].removesuffix(".json")] += one["step_mean"]
    change = {kind: 100 * (seconds[kind] / seconds["eplb"] - 1) for kind in KINDS}
    return {**change, "rho": said["shrunk"]["shrinkage"]["rho"]}


def judge(job, name, ranks, rows):
    """Bars as (name, held, sentence). A mean misses its bar where its whole interval is above."""
    worst = max(row["shrunk"] for row in rows)
    case = f"{job}, {name} on {ranks} ranks"
    bars = [(f"{case}: every draw against eplb", worst <= ABOVE_EPLB,
             f"{worst:+.2f} % at worst, at most {ABOVE_EPLB:+g}")]
    for other in ["equal", "measured"] if job == "sgemm" else ["equal"]:
        mean, low, high = interval([row["shrunk"] - row[other] for row in rows])
        bars.append((f"{case}: against {other} speeds", low <= 0,
                     f"{mean:+.2f} points (95 % interval {low:+.2f} .. {high:+.2f}), not above 0"))
    return bars


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--gembench", help="the program (default: build/release, or GEMBENCH)")
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--older", type=int, default=1, help="profiles in --history")
    parser.add_argument("--no-bars", action="store_true")
    options = parser.parse_args()
    if options.gembench:
        planner_files.PROGRAM = options.gembench
    data = pathlib.Path(os.environ.get("GEMBENCH_DATA", "/nowhere"))
    if not data.is_dir():
        sys.exit("planner_wobble.py: set GEMBENCH_DATA to the folder with pal_gpu_variability")
    bars = []
    print(f"# percent against eplb, mean (worst) of {options.draws} draws\n"
          "# job     rho  found  configuration  " + "".join(f"{kind:>18}" for kind in KINDS))
    with tempfile.TemporaryDirectory(prefix="gembench-wobble-") as path:
        folder = pathlib.Path(path)
        for name, ranks in CONFIGURATIONS:
            model, _, _, tokens, _, _ = planner_quality.MODELS[name]
            gembench("trace", "make", "--preset", "bursty", "--model", model, "--layers", 1,
                     "--tokens", tokens, "--steps", planner_quality.STEPS, "--seed", 1,
                     "--overwrite", "-q", "-o", folder / "trace.h5")
            for job in JOBS:
                speeds = speeds_of(data, job)
                random = numpy.random.default_rng([ranks, list(JOBS).index(job)])
                rows = [draw(folder, name, ranks, speeds, options.older, random)
                        for _ in range(options.draws)]
                found = numpy.mean([row["rho"] for row in rows])
                print(f"  {job:<8}{speeds[2]:5.2f}  {found:5.2f}  {name + f'/G{ranks}':<13}  "
                      + "".join("{:>9.2f} ({:>6.2f})".format(
                          numpy.mean([row[kind] for row in rows]),
                          max(row[kind] for row in rows)) for kind in KINDS), flush=True)
                bars += judge(job, name, ranks, rows)
    for name, held, text in bars:
        print(f"# {'holds ' if held else 'MISSED'} {name}: {text}")
    sys.exit(0 if options.no_bars or all(held for _, held, _ in bars) else 1)


if __name__ == "__main__":
    main()
