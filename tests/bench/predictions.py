#!/usr/bin/python3
"""The proof that a profile measures what runs: two bars, on the quickstart's command.

1. Times to the barriers as the chosen cost model predicts them, for every placement, against those
   measured: medians over the runs.
2. The profile's routed loads against the run at the very same loads. The run measures the steps that
   it planned on (--in-sample), so every load that the profile met as the linear placement has it comes
   again: same rank, same tokens of every expert. It comes once a step, among other layers and ranks,
   so placement linear is run many times over. Loads of experts dealt again never come and are left out.

Both hold on an otherwise idle machine; what the run says of disturbances is printed with them.
"""

import argparse
import pathlib
import statistics
import tempfile

import h5py
import numpy
import support

MODEL_ERROR, LOAD_ERROR = 0.05, 0.03
MODELS = {"per-expert": "predicted_by_experts", "sum": "predicted"}
SMALL = {"--scale": 16, "--layers": 2, "--tokens": 128, "--steps": 8}
STEPS = 48


def changed(words, options):
    """The command with other values of options that take one."""
    words = list(words)
    for option, value in options.items():
        words[words.index(option) + 1] = str(value)
    return words


def load_average():
    return pathlib.Path("/proc/loadavg").read_text().split()[0]


def predictions(ranks, words, runs, folder):
    """(placement, model chosen) to the errors of that model, one a run."""
    errors = {}
    for seed in range(1, runs + 1):
        before = load_average()
        result = support.run(ranks, folder, *words, "--seed", seed, "-o", "quick.h5")
        if seed == 1:
            print(support.conditions(result))
        print(f"# run {seed}: model '{result['cost_model']}' chosen; load average {before} before")
        print("# placement         measured us    " + "".join(f"{name:>10} %" for name in MODELS))
        for one in result["placements"]:
            off = {name: one[key] / one["measured"] - 1 for name, key in MODELS.items()}
            errors.setdefault(one["placement"], []).append(off[result["cost_model"]])
            print(f"  {one['placement']:<16} {1e6 * one['measured']:12.0f}    "
                  + "".join(f"{100 * off[name]:+12.2f}" for name in MODELS), flush=True)
    return errors


def same_loads(path):
    """(rank, pairs, profile's time, run's median, readings) of all routed loads that the run met."""
    with h5py.File(path) as file:
        spent, tokens, slots = (file[name][:] for name in ("expert_time", "expert_tokens", "slots"))
        routed, latency = file["profile_routed_tokens"][:], file["profile_routed_latency"][:]
    found = []
    for rank in range(routed.shape[0]):
        # [step][layer][slot] of placement 0; all of them are alike.
        met = numpy.stack([numpy.where(here >= 0, tokens[:, layer, here], 0)
                           for layer, here in enumerate(slots[0, :, rank])], axis=1)
        for load, seconds in zip(routed[rank], latency[rank]):
            same = (met == load).all(axis=-1)
            if load.any() and same.any():
                readings = spent[:, :, :, rank][:, same]
                found.append((rank, int(load.sum()), seconds, float(numpy.median(readings)),
                              readings.size))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=3, help="of either kind")
    parser.add_argument("--copies", type=int, default=16, help="placements linear, to read a load as often")
    parser.add_argument("--small", action="store_true", help="a shape of a second: only that all runs")
    parser.add_argument("--no-bars", action="store_true", help="exit 0 though bars are missed")
    options = parser.parse_args()
    ranks, words = support.quickstart()
    words = changed([*words, "--steps", STEPS], SMALL if options.small else {})

    off = []
    with tempfile.TemporaryDirectory(prefix="gembench-predictions-") as folder:
        errors = predictions(ranks, words, options.runs, folder)
        print("# rank   pairs  profile us      run us   run %  readings")
        for seed in range(1, options.runs + 1):
            copies = changed(words, {"--placements": ",".join(["linear"] * options.copies), "--steps": 8})
            support.run(ranks, folder, *copies, "--in-sample", "--seed", seed, "-o", "same.h5")
            for rank, pairs, profile, run, readings in same_loads(f"{folder}/same.h5"):
                off.append(run / profile - 1)
                print(f"  {rank:4} {pairs:7} {1e6 * profile:11.1f} {1e6 * run:11.1f} "
                      f"{100 * off[-1]:+7.2f} {readings:9}", flush=True)
    if not off:
        raise SystemExit("predictions.py: no load of the profile came again in the run")

    worst = max((abs(statistics.median(each)), name) for name, each in errors.items())
    middle = statistics.median(off)
    apart = statistics.median(abs(one) for one in off)
    lines = [
        (worst[0] <= MODEL_ERROR, f"the chosen model is off by {100 * worst[0]:.2f} % at most "
                                  f"({worst[1]}), at most {100 * MODEL_ERROR:g} %"),
        (apart <= LOAD_ERROR, f"at {len(off)} same loads the run is {100 * middle:+.2f} % off the profile, "
                              f"{100 * apart:.2f} % either way (medians), at most {100 * LOAD_ERROR:g} %"),
    ]
    if options.no_bars:
        lines = [(True, f"(no bars) {sentence}") for _, sentence in lines]
    support.verdict(lines)


if __name__ == "__main__":
    main()
