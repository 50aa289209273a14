"""One row per placement: the numbers of `gembench compare`, from the file's /summary."""

import math
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Dict, List, Optional

import numpy as np
import xarray as xr

from .loading import DAMAGE, FileError, with_summary
from .reduction import planned_prediction

REASONS = ("speeds", "loads", "both")
LEAST_BLOCKS = 6  # needed for an interval: harness/statistics/interval.hpp says why
NUMBERS = ("step_mean", "step_p50", "step_p90", "step_p99", "wait_mean", "wait_share",
           "straggler_share", "aggregate_imbalance", "step_imbalance", "predicted",
           "predicted_by_experts", "measured", "moved_bytes", "moved_seconds", "replicas",
           "energy_per_token", "energy_per_assignment")
INTERVALS = ("step_mean", "step_p50", "step_p90", "step_p99", "wait_mean", "wait_share",
             "straggler_share")


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, in the unit of its number."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A relative difference, all as fractions (-0.05 = 5 % less): of the sums, of a typical pair,
    and the 95 % interval of the latter, which needs LEAST_BLOCKS blocks."""

    mean: float
    typical: float
    low: Optional[float]
    high: Optional[float]
    blocks: int

    @property
    def sure(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Change:
    """A change of an adaptive placement: what moved, and how long it took. Neither is part of its
    step times."""

    after_step: int
    reason: str  # one of REASONS
    experts_moved: int
    bytes_moved: int
    move_seconds: float  # s, wall clock of the slowest rank
    planning_seconds: float  # s, wall clock of rank 0
    predicted_gain: float  # s a step


@dataclass(frozen=True)
class Rate:
    """A number of the table of rates, and how it is displayed."""

    value: float
    heading: str
    factor: float
    digits: int


@dataclass(frozen=True)
class Summary:
    """Times in s, shares and imbalances as fractions and ratios; NaN = not measured. Names and
    meanings are those of harness/OUTPUT.md."""

    placement: str
    steps: int
    step_mean: float
    step_p50: float
    step_p90: float
    step_p99: float
    wait_mean: float
    wait_share: float
    straggler: Optional[int]
    straggler_share: float
    last_share: List[float]
    aggregate_imbalance: float
    step_imbalance: float
    predicted: float
    predicted_by_experts: float
    planned: float # by the cost model used for planning
    measured: float
    moved_bytes: float
    moved_seconds: float
    replicas: float  # of a layer, beyond the first of each expert, at the beginning
    energy_per_token: float = math.nan  # J of all GPUs
    energy_per_assignment: float = math.nan
    changes: List[Change] = field(default_factory=list)
    rates: Dict[str, Rate] = field(default_factory=dict)
    against: Dict[str, Difference] = field(default_factory=dict)  # to the others; see /summary in SCHEMA.md
    difference: Optional[Difference] = None  # to the first placement; None for itself
    intervals: Dict[str, Optional[Interval]] = field(default_factory=dict)  # by name


def _ask(file: str) -> xr.Dataset:
    """/summary for a file without one, made by the program."""
    lacking = f"{file}: holds no summary (the run was killed, or gembench older than 2.7.0), and "
    program = os.environ.get("GEMBENCH") or shutil.which("gembench")
    if not program:
        raise FileError(lacking + "there is no gembench on the PATH to make one; name the program in "
                        "GEMBENCH")
    with tempfile.TemporaryDirectory(prefix="gembench-report") as folder:
        made = os.path.join(folder, "summary.h5")
        try:
            done = subprocess.run([program, "compare", os.path.abspath(file), "--summary", made],
                                  capture_output=True, text=True, check=False)
        except OSError as error:
            raise FileError(f"{lacking}{program} does not start ({error.strerror}); name gembench "
                            "in GEMBENCH") from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise FileError(f"{lacking}{program} makes none: {said}")
        return with_summary(xr.Dataset(), made)


def _difference(found: xr.Dataset, against: int, index: int) -> Difference:
    low, high, mean, typical, blocks = (
        float(found[f"summary_difference{part}"].values[against, index])
        for part in ("_low", "_high", "_mean", "", "_blocks"))
    return Difference(mean, typical, None if math.isnan(low) else low,
                      None if math.isnan(high) else high, int(np.nan_to_num(blocks)))


def _changes(run: xr.Dataset, index: int) -> List[Change]:
    if "segments_replan_reason" not in run:
        return []
    reason = np.nan_to_num(run["segments_replan_reason"].values, nan=-1)
    found = []
    for segment in np.flatnonzero((run["segments_to_placement"].values == index) & (reason >= 0)):
        what = {name: run[f"segments_replan_{name}"].values[segment] for name in (
            "experts_moved", "bytes_moved", "move_seconds", "planning_seconds", "predicted_gain")}
        last = run["segments_first_step"].values[segment] + run["segments_steps"].values[segment] - 1
        found.append(Change(int(last), REASONS[int(reason[segment])], int(what["experts_moved"]),
                            int(what["bytes_moved"]), float(what["move_seconds"]),
                            float(what["planning_seconds"]), float(what["predicted_gain"])))
    return found


def summarise(run: xr.Dataset) -> List[Summary]:
    """One row per placement; the first is the reference. `run` is the result of load. A file
    without a summary needs the program: $GEMBENCH, or gembench on the PATH. Raises FileError."""
    file = str(run.attrs["file"])
    stored = "summary_steps" in run and not np.isnan(run["summary_steps"].values).all()
    found = run if stored else _ask(file)
    try:
        return _rows(run, found)
    except DAMAGE as error:
        raise FileError(f"{file}: is damaged (its summary: {error}); run it again") from None


def _rows(run: xr.Dataset, found: xr.Dataset) -> List[Summary]:
    """`found` holds the summary."""
    labels = [str(label) for label in run["placement"].values]
    shown = sorted((name for name in found.data_vars if "heading" in found[name].attrs),
                   key=lambda name: int(found[name].attrs["column"]))
    rows = []
    for index, label in enumerate(labels):

        def number(name: str, at: int = index) -> float:
            key = f"summary_{name}"  # missing in a file of an earlier minor version
            return float(found[key].values[at]) if key in found else math.nan

        def interval(name: str) -> Optional[Interval]:
            low, high = number(f"{name}_low"), number(f"{name}_high")
            return None if math.isnan(low) else Interval(low, high)

        rates = {}
        for name in shown:
            key, how = str(name).removeprefix("summary_"), found[name].attrs
            rates[key] = Rate(number(key), str(how["heading"]), float(how["factor"]),
                              int(how["digits"]))
        straggler = number("straggler")
        against = {other: _difference(found, k, index) for k, other in enumerate(labels)
                   if k != index}
        rows.append(Summary(
            placement=label, steps=int(number("steps")),
            straggler=None if math.isnan(straggler) else int(straggler),
            last_share=[float(share) for share in found["summary_last_share"].values[index]],
            planned=number(planned_prediction(run)), changes=_changes(run, index), rates=rates,
            against=against, difference=None if index == 0 else against[labels[0]],
            intervals={name: interval(name) for name in INTERVALS},
            **{name: number(name) for name in NUMBERS}))
    return rows


def drift(run: xr.Dataset) -> Optional[List[float]]:
    """[rank] how much longer the expert phase took in the profile after the run, median over loads;
    None if it was not measured again."""
    if "profile_after" not in run:
        return None
    before, after = run["profile_latency"].values[:, 1:], run["profile_after"].values[:, 1:]
    if np.isnan(after).any():
        return None
    ratios = [(new / old - 1)[old > 0] for old, new in zip(before, after)]
    return [float(np.median(one)) if one.size else math.nan for one in ratios]
