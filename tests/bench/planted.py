#!/usr/bin/python3
"""The planted effect: a difference known beforehand must be found.

Planted are speeds (the last rank is slowed down by a known factor) and loads (a trace in which the
experts that linear puts on that rank are hot). Round-robin spreads the hot experts, so that the
time to the barriers falls by a third (2 ranks: by a quarter). The slow rank stays the last under
both: between equal ranks chance would decide who is, and the mean of a maximum is more than the
maximum of the means.

Compared is the time to the barriers, the sum over layers of route + experts of the slowest rank: as
profile and loads predict it (`predicted_layer_time`) and as measured (raw `route_time` and
`expert_time`), round-robin against linear over the same steps. On cpu-time this is `step_time`
itself. On wall step_time also holds communication, which no profile predicts, so it is the same sum
of compute there.

The interval holds the noise of the measured steps, not the error of the profile, which is measured
too: about 1 % of either placement, as much as the interval is wide. So even an honest prediction is
outside more often than once in 20, and the bar is 80 %. The error in percentage points is printed
and has a bar as well: a wide interval cannot hide a bad prediction.
"""

import argparse
import math
import pathlib
import tempfile

import h5py
import numpy

import support

BAR = 0.8  # share of the predictions inside
LARGEST_ERROR = 0.02  # of a prediction, mean over runs: 2 percentage points
SLOW = 1.5
MODEL = "gpt-oss-20b"
EXPERTS, LAYERS, TOPK, TOKENS = 32, 2, 4, 512
STEPS = 120
SIZE = ["--model", MODEL, "--scale", "8", "--layers", LAYERS, "--plan-steps", "1",
        "--steps", STEPS, "--block", "8", "--profile-seconds", "5", "--placements",
        "linear,round-robin"]


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
    """Imports the loads and measures: the run's JSON, and round-robin against linear (predicted,
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
    options = parser.parse_args()

    inside, errors = 0, []
    with tempfile.TemporaryDirectory(prefix="gembench-planted-") as name:
        for seed in range(1, options.runs + 1):
            result, (predicted, mean, low, high) = one_run(options, pathlib.Path(name), seed)
            if seed == 1:
                print(f"{support.conditions(result)}\n# round-robin against linear\n"
                      "# seed  predicted %  measured %   95 % interval      inside  error pp")
            holds = low <= predicted <= high
            inside += holds
            errors.append(predicted - mean)
            print(f"  {seed:4}  {100 * predicted:+11.2f}  {100 * mean:+10.2f}   {100 * low:+6.2f} "
                  f".. {100 * high:+6.2f}   {'yes' if holds else 'no':6}  {100 * errors[-1]:+8.2f}",
                  flush=True)

    bar = math.floor(BAR * options.runs)
    error = float(numpy.mean(numpy.abs(errors)))
    support.verdict([
        (inside >= bar, f"{inside} of {options.runs} predictions inside, at least {bar} must be"),
        (error <= LARGEST_ERROR, f"mean error {100 * error:.2f} percentage points, at most "
                                 f"{100 * LARGEST_ERROR:g}"),
    ])


if __name__ == "__main__":
    main()
