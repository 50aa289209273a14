"""What the quality benches of the planner share: starting gembench, the files it reads, means with
their intervals. Files follow results/SCHEMA.md."""

import json
import os
import pathlib
import subprocess
import sys

import h5py
import numpy

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("GEMBENCH", str(TOP / "build/release/gembench"))
STRATEGIES = ["linear", "eplb", "vibe", "gem", "gem+"]
BELOW = "nothing below its lower bound"


def gembench(*words):
    """Standard output of gembench WORDS, which must succeed."""
    try:
        done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True,
                              check=False)
    except OSError as error:
        sys.exit(f"{PROGRAM}: {error.strerror}; build it, or name it with --gembench")
    if done.returncode:
        sys.exit(f"gembench {' '.join(map(str, words))}\n"
                 f"exited {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def score(trace, *words, split=0.5, strategies=None):
    """Seconds of a step by strategy, all layers of the trace together, and the lower bound under
    `bound`: planned on the first `split` of the steps, judged on the others; without a split
    planned and judged on all of them."""
    if split:
        words = ("--split", split, *words)
    judged = json.loads(gembench("score", "--trace", trace, "--strategies",
                                 ",".join(strategies or STRATEGIES), "--format", "json", *words))
    assert judged["held_out"] == bool(split)
    seconds = {one["placement"]: one["step_mean"] for one in judged["placements"]}
    return {**seconds, "bound": judged["placements"][0]["bound"]}


def _scale(file, name, values):
    file[name] = values
    file[name].attrs["units"] = "1"
    file[name].make_scale(name)


def _array(file, name, values, scales, units):
    file[name] = values
    file[name].attrs["units"] = units
    for i, scale in enumerate(scales):
        file[name].dims[i].attach_scale(file[scale])


def write_profile(path, latency, load_points, overhead, model):
    """A profile.h5 that was calculated: its device says so. `latency` [load_point],
    for every rank the same, or [rank][load_point], and `overhead` [rank] in s."""
    ranks = len(overhead)
    with h5py.File(path, "w") as file:
        file.attrs.update({"schema": "gembench-profile", "schema_version": "1.0.0", "model": model,
                           "device": "analytic, ours: nothing was measured", "clock": "analytic"})
        _scale(file, "rank", numpy.arange(ranks, dtype="i4"))
        _scale(file, "load_point", numpy.asarray(load_points, dtype="i8"))
        curves = numpy.broadcast_to(latency, (ranks, len(load_points))).astype("f8")
        _array(file, "latency", curves, ["rank", "load_point"], "s")
        _array(file, "spread", numpy.zeros_like(curves), ["rank", "load_point"], "s")
        _array(file, "overhead", numpy.asarray(overhead, dtype="f8"), ["rank"], "s")
        _array(file, "slowdown", numpy.ones(ranks), ["rank"], "1")


def write_trace(path, tokens, topk, source):
    """A trace.h5 of counts `tokens` [step][layer][expert]."""
    tokens = numpy.asarray(tokens, dtype="i4")
    with h5py.File(path, "w") as file:
        file.attrs.update({"schema": "gembench-trace", "schema_version": "1.1.0",
                           "topk": numpy.int64(topk), "source": source})
        for name, extent in zip(["step", "layer", "expert"], tokens.shape):
            _scale(file, name, numpy.arange(extent, dtype="i4"))
        _array(file, "tokens", tokens, ["step", "layer", "expert"], "1")


def read_tokens(path):
    with h5py.File(path) as file:
        return file["tokens"][()]


def below(seconds, strategy, other):
    """How much less time `strategy` takes than `other`, percent."""
    return 100 * (1 - seconds[strategy] / seconds[other])


def above_bound(suite, readings):
    """A bar: nothing may take less than the lower bound. Does the program contradict itself?"""
    least = min(one[name] / one["bound"] for one in readings for name in STRATEGIES)
    return [(f"{suite}: {BELOW}", least >= 1 - 1e-9,
             f"least time / bound {least:.4f}")]


def interval(cells, resamples=10000):
    """(mean, low, high): the mean of equally weighted cells and its 95 % interval from resampling
    them."""
    cells = numpy.asarray(cells, dtype=float)
    drawn = numpy.random.default_rng(0).integers(len(cells), size=(resamples, len(cells)))
    low, high = numpy.quantile(cells[drawn].mean(axis=1), [0.025, 0.975])
    return float(cells.mean()), float(low), float(high)
