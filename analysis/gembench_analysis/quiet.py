"""How quiet the machine was: /quiet of results.h5, as harness/report/quiet_report.cpp reads it."""

from dataclasses import dataclass
from typing import List, Optional

import numpy as np
import xarray as xr

# Those of harness/report/quiet_report.hpp.
NOISY_LOST, NOISY_SPREAD, NOISY_OTHER, NOISY_STEAL = 0.05, 0.05, 0.10, 0.02


@dataclass(frozen=True)
class Quiet:
    """The worst over ranks, and of before and after the run; NaN = unknown. Shares of time, except
    `longest_pause`, `skew_median`, `skew_p99` (s) and `switches` (per rank and step). `lost` is on
    the run's clock."""

    lost: float
    spread: float
    longest_pause: float
    other_work: float
    steal: float
    pressure: float
    switches: float
    skew_median: float
    skew_p99: float


def _worst(values: List[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return max(known) if known else float("nan")


def _of_ranks(run: xr.Dataset, name: str) -> List[float]:
    return [float(value) for value in run[f"quiet_{name}"].values]


def quiet(run: xr.Dataset) -> Optional[Quiet]:
    """None for files before 2.5.0."""
    if "quiet_lost_before" not in run:
        return None
    lost = "lost" if run.attrs["clock"] != "cpu-time" else "lost_cpu"
    moments = [_of_ranks(run, f"{lost}_{when}") for when in ("before", "after")]
    skews = run.attrs.get("/quiet", {})

    def skew(name: str) -> float:
        return _worst([float(skews.get(f"barrier_skew_{name}_{when}", np.nan))
                       for when in ("before", "after")])

    return Quiet(
        lost=_worst(moments[0] + moments[1]),
        spread=_worst([max(moment) - min(moment) for moment in moments]),
        longest_pause=_worst(_of_ranks(run, "longest_pause_before")
                             + _of_ranks(run, "longest_pause_after")),
        other_work=_worst(_of_ranks(run, "other_work")), steal=_worst(_of_ranks(run, "steal")),
        pressure=_worst(_of_ranks(run, "pressure")),
        switches=_worst(_of_ranks(run, "involuntary_switches")),
        skew_median=skew("median"), skew_p99=skew("p99"))


def _duration(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f} us"


def sentence(run: xr.Dataset) -> str:
    """The known values as a sentence and a space; else empty."""
    found = quiet(run)
    if found is None:
        return ""
    kind = "time lost to other work" if run.attrs["clock"] != "cpu-time" \
        else "CPU time lost to disturbances"
    parts = [(found.lost, f"{100 * found.lost:.1f} % of {kind} (longest pause "
              f"{_duration(found.longest_pause)})"),
             (found.other_work, f"other programs used {100 * found.other_work:.1f} % of the CPUs"),
             (found.steal, f"steal {100 * found.steal:.1f} %"),
             # Ranks that share CPUs wait for one another, which says nothing about the machine.
             *([(found.pressure, f"CPU pressure {100 * found.pressure:.1f} %"),
                (found.switches, f"{found.switches:.1f} involuntary switches a step")]
               if run.attrs["clock"] != "cpu-time" else []),
             (found.skew_median, f"barrier exit skew {_duration(found.skew_median)} (p99 "
              f"{_duration(found.skew_p99)})")]
    said = [text for value, text in parts if np.isfinite(value)]
    return f"Machine: {', '.join(said)}. " if said else ""


def warnings(run: xr.Dataset) -> List[str]:
    """The reasons why the machine is noisy."""
    found = quiet(run)
    if found is None:
        return []
    said = []
    if found.lost > NOISY_LOST:
        said.append(f"The machine was noisy: a rank lost {100 * found.lost:.1f} % of its "
                    f"{'time' if run.attrs['clock'] == 'wall' else 'CPU time'} to other work just "
                    "before or after the run. Stop other programs there, or measure longer.")
    if found.spread > NOISY_SPREAD:
        said.append("Ranks were disturbed unequally: their lost time differs by "
                    f"{100 * found.spread:.1f} % of the time. Look for other work on the CPU of "
                    "the rank that lost most.")
    if found.other_work > NOISY_OTHER:
        said.append(f"Other programs used {100 * found.other_work:.1f} % of the ranks' CPUs while "
                    "steps were measured.")
    if found.steal > NOISY_STEAL:
        said.append(f"The hypervisor took {100 * found.steal:.1f} % of the CPUs' time (steal) "
                    "while steps were measured.")
    return said
