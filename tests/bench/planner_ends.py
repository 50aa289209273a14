#!/usr/bin/python3
"""That planning ends: made traces of small models by several strategies on several profiles, each
within a limit. Small batches on profiles of whole microseconds tie again and again, and the measured
kind of curve falls here and there: both have kept a search going for ever.

Every plan must end with exit 0 within the limit: seconds of CPU time for each core that its threads
may use, which whatever else runs does not change. Exit 1 when one does not.
"""

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy

from planner_files import write_profile
from support import PROGRAM, good

STRATEGIES = ["gem", "gem+", "flashlb"]
PROFILES = ["equal", "builtin", "dents"]
MODELS = {"gpt-oss-20b": 4, "olmoe-1b-7b": 8}  # top-k
BUILTIN = "builtin:l40s/gpt-oss-20b"
TOKENS = [16, 24, 32, 48, 64]
PRESETS = ["serving", "serving", "bursty"]


def cases(count):
    """What is made, drawn: (model, layers, tokens, preset, steps, ranks, more options, seed)."""
    random = numpy.random.default_rng(16)
    for seed in range(1, count + 1):
        model = random.choice(list(MODELS))
        more = [[], [], ["--spare-slots", "1"], ["--spare-slots", "2", "--replicas", "4"],
                ["--cost", "per-expert"]][random.integers(5)]
        layers, steps = int(random.integers(2, 9)), int(random.choice([256, 512, 1024]))
        if "--replicas" in more:  # every number of them is planned
            layers, steps = min(layers, 4), 256
        yield (str(model), layers, int(random.choice(TOKENS)), str(random.choice(PRESETS)), steps,
               int(random.choice([2, 4, 4, 8])), more, seed)


def dented(path, ranks, most, random):
    """Whole microseconds that rise on the whole and fall here and there, as measured curves do."""
    load_points = numpy.unique(numpy.concatenate([[0, 1], numpy.linspace(2, most, 14).astype(int)]))
    speed = 1 + 0.1 * random.integers(0, 3, ranks)
    curve = 20 + load_points * 0.5
    latency = numpy.round(speed[:, None] * curve * random.uniform(0.8, 1.2, (ranks, len(load_points))))
    write_profile(path, latency * 1e-6, load_points, [0] * ranks, "made, with dents")


def plan(command, folder, limit):
    """CPU seconds of a plan, and what went wrong, "" when nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU,
                                                                (int(limit), int(limit) + 1)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode in (-24, -9):  # SIGXCPU
        return seconds, f"not ended after {limit} s of CPU"
    return seconds, "" if done.returncode == 0 else done.stderr.strip() or f"{done.returncode}"


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=500)
    parser.add_argument("--first", type=int, default=1, help="begin with this one")
    parser.add_argument("--limit", type=int, default=10, help="CPU seconds that a plan may take on each core")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    plans, failed, longest, begin = 0, [], (0, ""), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gembench-ends-") as name:
        folder = pathlib.Path(name)
        for model, layers, tokens, preset, steps, ranks, more, seed in cases(options.traces):
            if seed < options.first:
                continue
            good([PROGRAM, "trace", "make", "--model", model, "--layers", layers, "--tokens", tokens,
                  "--preset", preset, "--steps", steps, "--seed", seed, "-o", "t.h5",
                  "--overwrite"], folder)
            most = tokens * MODELS[model]
            dented(folder / "dents.h5", ranks, most, numpy.random.default_rng([16, seed]))
            for profile in PROFILES:
                words = {"equal": ["--ranks", ranks],
                         "builtin": ["--ranks", ranks, "--profile", BUILTIN],
                         "dents": ["--profile", "dents.h5"]}[profile]
                for strategy in STRATEGIES:
                    command = [PROGRAM, "plan", "--trace", "t.h5", "--strategy", strategy, *words,
                               *more, "-q", "-o", "p.json", "--overwrite"]
                    command = [str(word) for word in command]
                    what = (f"{model} {layers} layers, {tokens} tokens, {preset}, {steps} steps, seed "
                            f"{seed}, {ranks} ranks: {' '.join(command[4:-4])}")
                    seconds, said = plan(command, folder, options.limit * cores)
                    plans += 1
                    longest = max(longest, (seconds, what))
                    if said:
                        failed.append(f"{what}\n    {said}")
                        print(f"# MISS {failed[-1]}", flush=True)
    print(f"# CPU {cpu()}, {cores} cores, load {os.getloadavg()[0]:.1f}\n"
          f"# {plans} plans of {options.traces - options.first + 1} traces x {len(STRATEGIES)} "
          f"strategies x {len(PROFILES)} profiles in {time.monotonic() - begin:.0f} s\n"
          f"# longest {longest[0]:.2f} s of CPU: {longest[1]}\n"
          f"# {'MISS' if failed else 'ok  '} {plans - len(failed)} of {plans} ended within "
          f"{options.limit} s of CPU on each core")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
