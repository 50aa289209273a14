#!/usr/bin/python3
"""The planted effect: a difference known beforehand must be found.

Planted are speeds (one rank, the last or the first in turn, is slowed down by a known factor) and loads (a
trace in which the experts that linear puts on that rank are hot). `relabel:linear` gives that row of experts to a rank
of full speed. The hot row sets the pace of every layer under both placements, with the same loads
step for step, so the time to the barriers falls to 1 / factor of what it was: that is the planted
difference, whatever the latency curve. Both stragglers are far ahead of the next rank: were two
ranks alike, chance would decide which is last, and the mean of a maximum is more than the maximum of
the means.

Compared is the time to the barriers, the sum over layers of route + experts of the slowest rank, as
measured (raw `route_time` and `expert_time`). On cpu-time this is `step_time` itself. On wall
step_time also holds communication, which no factor stretches, so it is the same sum of compute there.

The planted difference holds for ranks that are equally fast by themselves. They never quite are: two CPUs
of a virtual machine differ by a few percent for as long as a run lasts. A run's own interval says what its
ranks did, rightly, so the bar is on what all runs say together: Student's t over the launches, in half of
which the slow rank is the first, so that a faster CPU helps as often as it harms. How many single intervals
hold the planted difference is printed too.

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


def write_loads(path, ranks, slow, seed):
    """Counts as CSV: the experts that linear puts on rank `slow` get twice the tokens of the
    others, give or take what chance does to a batch of tokens."""
    random = numpy.random.default_rng(seed)
    weight = numpy.ones((ranks, EXPERTS // ranks))
    weight[slow] = 2
    weight = weight.ravel()
    lines = ["step,layer," + ",".join(f"e{e}" for e in range(EXPERTS))]
    for step in range(1 + STEPS):
        for layer in range(LAYERS):
            counts = random.multinomial(TOKENS * TOPK, weight / weight.sum())
            lines.append(f"{step},{layer}," + ",".join(map(str, counts)))
    path.write_text("\n".join(lines) + "\n")


def times_to_barriers(path):
    """(predicted[placement, step], measured[placement, step]) of a results file."""
    with h5py.File(path) as file:
        compute = file["route_time"][()].astype(float) + file["expert_time"][()]
        return (file["predicted_layer_time"][()].astype(float).sum(axis=2),
                compute.max(axis=3).sum(axis=2))


def one_run(options, folder, seed):
    """Imports the loads and measures: the run's JSON, and relabelled against linear (predicted,
    mean, low, high)."""
    slow = 0 if seed % 2 == 0 else options.ranks - 1
    write_loads(folder / "loads.csv", options.ranks, slow, seed)
    support.good([support.PROGRAM, "trace", "import", "csv", "loads.csv", "--model", MODEL,
                  "--layers", LAYERS, "-o", "loads.h5", "--overwrite"], folder)
    slowdown = ",".join(str(SLOW) if rank == slow else "1" for rank in range(options.ranks))
    result = support.run(options.ranks, folder, *SIZE, "--trace", "loads.h5", "--slowdown",
                         slowdown, "--clock", options.clock, "--seed", seed, "-o", f"{seed}.h5")
    path = folder / f"{seed}.h5"
    predicted, measured = times_to_barriers(path)
    return result, (predicted[1].sum() / predicted[0].sum() - 1,
                    *support.paired_difference(path, 0, 1, measured))


def over_launches(errors):
    """95 % interval of their mean."""
    mean, error = numpy.mean(errors), numpy.std(errors, ddof=1) / len(errors) ** 0.5
    reach = error * support.student_quantile(0.975, len(errors) - 1)
    return mean - reach, mean + reach


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

    low, high = over_launches(errors)
    error = abs(float(numpy.median(errors)))
    prediction_error = float(numpy.median(numpy.abs(prediction_errors)))
    support.verdict([
        (low <= 0 <= high, f"all launches together: {100 * low:+.2f} .. {100 * high:+.2f} points off the "
                           f"planted difference, which has to hold 0 (of single ones {inside} of "
                           f"{options.runs} do)"),
        (error <= LARGEST_ERROR, f"median error {100 * error:.2f} percentage points, at most "
                                 f"{100 * LARGEST_ERROR:g}"),
        (prediction_error <= LARGEST_PREDICTION_ERROR,
         f"the profile's median error {100 * prediction_error:.2f} percentage points, at most "
         f"{100 * LARGEST_PREDICTION_ERROR:g}"),
    ])


if __name__ == "__main__":
    main()
