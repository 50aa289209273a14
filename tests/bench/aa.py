#!/usr/bin/python3
"""The A/A proof: `--placements linear,linear` must come out as no difference.

Whatever differs between the two is the harness: the order of its segments, what a switch leaves in the
caches, a machine that drifts. So over many seeded runs the 95 % interval has to hold 0 about 19
times in 20, and the differences have to average out. Each run has weights, inputs, loads and an
order of segments of its own, since all are drawn from the seed.
"""

import argparse
import statistics
import tempfile

import support

LARGEST_MEAN = 0.005
# Single steps in turn, as where the experts of all placements fit in memory: some 6 s on two cores.
SIZE = ["--model", "gpt-oss-20b", "--scale", "8", "--layers", "2", "--tokens", "256", "--steps",
        "160", "--plan-steps", "1", "--profile-seconds", "0"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--clock", choices=["auto", "wall", "cpu-time"], default="auto")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside the runs")
    options = parser.parse_args()

    differences, inside = [], 0
    with tempfile.TemporaryDirectory(prefix="gembench-aa-") as folder, \
            support.busy_loops(options.busy):
        for seed in range(1, options.runs + 1):
            result = support.run(options.ranks, folder, *SIZE, "--placements", "linear,linear",
                                 "--clock", options.clock, "--seed", seed, "-o", f"{seed}.h5")
            if seed == 1:
                print(f"{support.conditions(result)}\n"
                      "# seed  difference %   95 % interval      holds 0")
            one = result["placements"][1]["difference"]
            holds = one["low"] <= 0 <= one["high"]
            differences.append(one["typical"])
            inside += holds
            print(f"  {seed:4}  {100 * one['typical']:+12.2f}   {100 * one['low']:+6.2f} .. "
                  f"{100 * one['high']:+6.2f}   {'yes' if holds else 'no'}", flush=True)

    mean, bar = statistics.fmean(differences), support.least_inside(options.runs)
    support.verdict([
        (inside >= bar, f"{inside} of {options.runs} intervals hold 0, at least {bar} have to"),
        (abs(mean) < LARGEST_MEAN, f"mean of the differences {100 * mean:+.2f} %, below "
                                   f"{100 * LARGEST_MEAN:g} % either way"),
    ])


if __name__ == "__main__":
    main()
