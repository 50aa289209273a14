"""What the proofs in this folder share: starting gembench, saying on what it ran, intervals."""

import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import h5py

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "analysis/reproduction"))
from student import student_quantile  # noqa: E402, F401

PROGRAM = os.environ.get("GEMBENCH", str(TOP / "build/release/gembench"))
ENVIRONMENT = {**os.environ, "GEMBENCH": PROGRAM}  # as jobs/local.sh reads it
TAIL = 0.025  # on either side of a 95 % interval


def launch(ranks, *words):
    """The command that starts gembench on `ranks` ranks as a user would."""
    return [str(TOP / "jobs/local.sh"), "-n", str(ranks), *map(str, words)]


def call(command, folder):
    return subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True,
                          check=False, env=ENVIRONMENT)


def good(command, folder):
    """Standard output of a command that has to succeed."""
    done = call(command, folder)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexited {done.returncode}:\n"
                 f"{done.stdout}{done.stderr}")
    return done.stdout


def quickstart():
    """Ranks and options of the command in jobs/quickstart.sh."""
    text = (TOP / "jobs/quickstart.sh").read_text().replace("\\\n", " ")
    ranks, words = re.search(r'local\.sh" -n (\d+) run (.*)', text).groups()
    return int(ranks), words.replace('--output "$output" "${@:2}"', "").split()


def run(ranks, folder, *words):
    """gembench run; what its --format json printed."""
    return json.loads(good(launch(ranks, "run", *words, "--format", "json", "-q"), folder))


def conditions(result):
    """Header lines of a table: device, clock, cores, emulation of a run (its JSON)."""
    facts, slowdown = result["facts"], result["emulated_slowdown"]
    emulated = ("slowdown " + ",".join(f"{s:g}" for s in slowdown) + " emulated"
                if any(s != 1 for s in slowdown) else "nothing emulated")
    return (f"# {facts['program']}, {facts['device']}\n"
            f"# {len(slowdown)} ranks, {len(os.sched_getaffinity(0))} cores, {emulated}\n"
            f"# clock {result['clock']}: {facts['clock_reason']}")


def cpu():
    """What this machine calls its processor, and how many there are."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    kind = next((name for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 BF16"),
                                         ("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    return f"{len(names)} x {names[0] if names else 'unknown CPU'} {kind}".strip()


@contextlib.contextmanager
def busy_loops(count):
    """Runs this many endless loops during the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def least_inside(runs, chance=1 - 2 * TAIL, error=0.02):
    """How many of `runs` independent intervals must hold the truth: the most that honest ones,
    each right with `chance`, miss in at most `error` of the cases. 17 of 20."""
    missed = 0.0
    for inside in range(runs + 1):
        missed += math.comb(runs, inside) * chance**inside * (1 - chance) ** (runs - inside)
        if missed > error:
            return inside
    return runs


def paired_difference(path, a, b, of=None, first=0):
    """Placement b of a results file against a, from step `first` on: (typical, low, high), as gembench
    says it. `of` [placement, step] in the place of step times."""
    other = path.with_suffix(".other.h5")
    shutil.copy(path, other)
    with h5py.File(other, "a") as file:
        if of is not None:
            file["step_time"][()] = of[:, :, None]
        file["block"][:, :first] = -1  # not measured
        names = list(file["placement"].asstr())
    pairs = json.loads(good([PROGRAM, "compare", other, "--against", names[a], "--format", "json"],
                            path.parent))["pairs"]
    other.unlink()
    found = next(pair for pair in pairs if pair["placement"] == names[b])
    return found["typical"], found["low"], found["high"]


def verdict(lines):
    """Prints (held, sentence) pairs and exits: 1 when one does not hold."""
    for held, sentence in lines:
        print(f"# {'ok  ' if held else 'MISS'} {sentence}")
    sys.exit(0 if all(held for held, _ in lines) else 1)
