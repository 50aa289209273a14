#!/usr/bin/python3
"""The planted effect: a difference known beforehand must be found.

Planted are speeds (the last rank is slowed down by a known factor) and loads (a trace in which the
experts that linear puts on that rank are hot). `relabel:linear` gives that row of experts to a rank
of full speed. The hot row sets the pace of every layer under both placements, with the same loads
step for step, so the time to the barriers falls to 1 / factor of what it was: that is the planted
difference, whatever the latency curve. Both stragglers are far ahead of the next rank: were two
ranks alike, chance would decide which is last, and the mean of a maximum is more than the maximum of
the means.

Compared is the time to the barriers, the sum over layers of route + experts of the slowest rank, as
measured (raw `route_time` and `expert_time`). On cpu-time this is `step_time` itself. On wall
step_time also holds communication, which no factor stretches, so it is the same sum of compute there.

What the profile predicts (`predicted_layer_time`) is printed beside it and has a bar of its own, on
its error: a profile is measured too, and the interval holds only the noise of the steps.
"""

import argparse
import pathlib
import tempfile

import h5py
import numpy

import support

# Medians over runs, so that one disturbed run does not decide; 0.01 is a percentage point.
LARGEST_ERROR = 0.01  # of the measured difference
LARGEST_PREDICTION_ERROR = 0.02  # of what the profile predicts, against the measured one
SLOW = 1.25
PLANTED = 1 / SLOW - 1
MODEL = "gpt-oss-20b"
EXPERTS, LAYERS, TOPK, TOKENS = 32, 2, 4, 512
STEPS = 120
SIZE = ["--model", MODEL, "--scale", "8", "--layers", LAYERS, "--plan-steps", "1",
        "--steps", STEPS, "--profile-seconds", "5", "--placements",
        "linear,relabel:linear"]


def write_loads(path, ranks, seed):
    """Counts as CSV: the experts that linear puts on the last rank get twice the tokens of the
    others, give or take what chance does to a batch of tokens."""
    random = numpy.random.default_rng(seed)
    weight = numpy.ones(EXPERTS)
    weight[-EXPERTS // ranks:] = 2
    lines = ["step,layer," + ",".join(f"e{e}" for e in range(EXPERTS))]
    for step in range(1 + STEPS):
        for layer in range(LAYERS):
            counts = random.multinomial(TOKENS * TOPK, weight / weight.sum())
            lines.append(f"{step},{layer}," + ",".join(map(str, counts)))
    path.write_text("\n".join(lines) + "\n")


def times_to_barriers(path):
    """(block[step], predicted[placement, step], measured[placement, step]) of a results file."""
    with h5py.File(path) as file:
        compute = file["route_time"][()].astype(float) + file["expert_time"][()]
        return (file["block"][0], file["predicted_layer_time"][()].astype(float).sum(axis=2),
                compute.max(axis=3).sum(axis=2))


def one_run(options, folder, seed):
    """Imports the loads and measures: the run's JSON, and relabelled against linear (predicted,
    mean, low, high)."""
    write_loads(folder / "loads.csv", options.ranks, seed)
    support.good([support.PROGRAM, "trace", "import", "csv", "loads.csv", "--model", MODEL,
                  "--layers", LAYERS, "-o", "loads.h5", "--overwrite"], folder)
    slowdown = ",".join(["1"] * (options.ranks - 1) + [str(SLOW)])
    result = support.run(options.ranks, folder, *SIZE, "--trace", "loads.h5", "--slowdown",
                         slowdown, "--clock", options.clock, "--seed", seed, "-o", f"{seed}.h5")
    block, predicted, measured = times_to_barriers(folder / f"{seed}.h5")
    return result, (predicted[1].sum() / predicted[0].sum() - 1,
                    *support.paired_difference(*measured, block))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--ranks", type=int, choices=[2, 4, 8], default=4)
    parser.add_argument("--clock", choices=["auto", "wall", "cpu-time"], default="auto")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside the runs")
    options = parser.parse_args()

    inside, errors, prediction_errors = 0, [], []
    with tempfile.TemporaryDirectory(prefix="gembench-planted-") as name, \
            support.busy_loops(options.busy):
        for seed in range(1, options.runs + 1):
            result, (predicted, mean, low, high) = one_run(options, pathlib.Path(name), seed)
            if seed == 1:
                print(f"{support.conditions(result)}\n"
                      f"# relabel:linear against linear; planted {100 * PLANTED:+.2f} %\n"
                      "# seed  measured %   95 % interval      inside  by profile %")
            holds = low <= PLANTED <= high
            inside += holds
            errors.append(mean - PLANTED)
            prediction_errors.append(predicted - mean)
            print(f"  {seed:4}  {100 * mean:+10.2f}   {100 * low:+6.2f} .. {100 * high:+6.2f}   "
                  f"{'yes' if holds else 'no':6}  {100 * predicted:+12.2f}", flush=True)

    bar = support.least_inside(options.runs)
    error = abs(float(numpy.median(errors)))
    prediction_error = float(numpy.median(numpy.abs(prediction_errors)))
    support.verdict([
        (inside >= bar, f"{inside} of {options.runs} intervals hold the planted difference, "
                        f"at least {bar} must"),
        (error <= LARGEST_ERROR, f"median error {100 * error:.2f} percentage points, at most "
                                 f"{100 * LARGEST_ERROR:g}"),
        (prediction_error <= LARGEST_PREDICTION_ERROR,
         f"the profile's median error {100 * prediction_error:.2f} percentage points, at most "
         f"{100 * LARGEST_PREDICTION_ERROR:g}"),
    ])


if __name__ == "__main__":
    main()
