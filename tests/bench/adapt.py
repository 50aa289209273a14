#!/usr/bin/python3
"""Live adaptation: another rank becomes the slow one in the middle of a run (emulated).

`gem` stays as it was planned, `adapt:gem` watches and moves experts, `oracle:gem` is replanned for
the new speeds the moment they come. From 50 steps after the drift on, adapting has to have at least
80 % of what the oracle gains over the placement that stays. And where nothing drifts, it has to leave
the placement alone.
"""

import argparse
import pathlib
import statistics
import tempfile

import h5py

import support

SIZE = ["--model", "gpt-oss-20b", "--scale", "4", "--layers", "4", "--tokens", "1024", "--block", "8",
        "--profile-seconds", "3", "--check", "none", "--variability", "high"]
DRIFT, WITHIN, STEPS = 48, 50, 160
SHARE = 0.8


def change_text(row):
    changes = row["changes"]
    return (f"{len(changes)} change{'' if len(changes) == 1 else 's'}, "
            f"{sum(c['experts_moved'] for c in changes):4} experts moved in "
            f"{sum(c['move_seconds'] for c in changes):.3f} s")


def drifting(folder, ranks, seed):
    result = support.run(ranks, folder, *SIZE, "--placements", "gem,oracle:gem,adapt:gem", "--drift",
                         f"slow@{DRIFT}", "--steps", STEPS, "--seed", seed, "-o", f"d{seed}.h5")
    path = pathlib.Path(folder) / f"d{seed}.h5"
    with h5py.File(path) as file:
        steps = file["step_time"][:, DRIFT + WITHIN:].max(axis=2)
    static, oracle, adapt = (float(mean) for mean in steps.mean(axis=1))
    interval = support.paired_difference(path, 1, 2, first=DRIFT + WITHIN)
    return result, static, oracle, adapt, interval


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--quiet-runs", type=int, default=4, help="runs without drift")
    parser.add_argument("--ranks", type=int, default=4)
    options = parser.parse_args()

    shares, gains, changed = [], [], 0
    with tempfile.TemporaryDirectory(prefix="gembench-adapt-") as folder:
        for seed in range(1, options.runs + 1):
            result, static, oracle, adapt, (mean, low, high) = drifting(folder, options.ranks, seed)
            if seed == 1:
                print(f"{support.conditions(result)}\n# slow rank moves on at step {DRIFT}; from step "
                      f"{DRIFT + WITHIN} on, ms a step\n"
                      "# seed    static    oracle     adapt  share   adapt against oracle, 95 %")
            gains.append(static - oracle)
            shares.append(static - adapt)
            print(f"  {seed:4} {1e3 * static:9.2f} {1e3 * oracle:9.2f} {1e3 * adapt:9.2f} "
                  f"{100 * (static - adapt) / (static - oracle):5.0f} %   {100 * mean:+.2f} "
                  f"({100 * low:+.2f} .. {100 * high:+.2f}) %   {change_text(result['placements'][2])}",
                  flush=True)
        for seed in range(1, options.quiet_runs + 1):
            result = support.run(options.ranks, folder, *SIZE, "--placements", "gem,adapt:gem",
                                 "--steps", STEPS, "--seed", 100 + seed, "-o", f"q{seed}.h5")
            row = result["placements"][1]
            changed += len(row["changes"])
            one = row["difference"]
            print(f"  no drift: {100 * one['mean']:+.2f} ({100 * one['low']:+.2f} .. "
                  f"{100 * one['high']:+.2f}) %   {change_text(row)}", flush=True)
    share = statistics.fmean(shares) / statistics.fmean(gains)
    support.verdict([
        (share >= SHARE, f"{100 * share:.0f} % of the oracle's gain, at least {100 * SHARE:g} %"),
        (changed == 0, f"{changed} changes in {options.quiet_runs} runs in which nothing drifts"),
    ])


if __name__ == "__main__":
    main()
