"""The numbers behind every figure: pure functions of a run (load) and its reduction (reduce)."""

from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .attribution import Profile
from .reduction import planned_prediction

Array = NDArray[np.float64]


def labels(reduced: xr.Dataset) -> List[str]:
    """Placements in the order of the file; the first is the reference."""
    return [str(label) for label in reduced["placement"].values]


def step_times(reduced: xr.Dataset) -> Dict[str, Array]:
    """Placement -> step times [measured step] in s, slowest rank."""
    return {label: _known(reduced["step_time"].sel(placement=label).values)
            for label in labels(reduced)}


def _known(values: Array) -> Array:
    known: Array = values[~np.isnan(values)]
    return known


def barrier_share(reduced: xr.Dataset) -> Dict[str, float]:
    """Placement -> share of the step time spent waiting at barriers, mean over ranks; NaN after
    --whole-steps."""
    share = reduced["wait"].mean("step") / reduced["step_time"].mean("step")
    return {label: float(share.sel(placement=label)) for label in labels(reduced)}


def straggler_share(reduced: xr.Dataset) -> xr.DataArray:
    """(placement, rank): share of (step, layer) in which the rank arrives last."""
    last = reduced["last"].sum("layer")
    share: xr.DataArray = last / last.sum("rank").where(lambda total: total > 0)
    return share


def causes(reduced: xr.Dataset) -> xr.DataArray:
    """(placement, rank, cause): s a step by which the rank, when last, arrives after the mean
    rank. Summed over ranks and causes this is the mean barrier wait where nothing but the last
    rank is waited for."""
    return reduced["causes"]


def wait_map(reduced: xr.Dataset) -> xr.DataArray:
    """(placement, rank, layer): mean barrier wait in s. The others wait for a rank that waits
    little."""
    return reduced["barrier_wait"].transpose("placement", "rank", "layer")


def prediction_error(reduced: xr.Dataset) -> xr.DataArray:
    """(placement, step): predicted / measured time to the barriers - 1, by the cost model used for
    planning."""
    error: xr.DataArray = reduced[planned_prediction(reduced)] / reduced["measured"] - 1
    return error


def imbalance(reduced: xr.Dataset) -> xr.DataArray:
    """(placement, step): max/mean over ranks of tokens, mean over layers."""
    return reduced["imbalance"]


@dataclass(frozen=True)
class Course:
    """Step time of one placement over the run: `order` (running number) and `seconds`."""

    order: Array
    seconds: Array
    pooled: bool  # means of neighbouring steps, since there are many


def over_the_run(reduced: xr.Dataset, most: int = 240) -> Dict[str, Course]:
    """Placement -> step times in the order of execution: shows drift of the machine."""
    result = {}
    for label in labels(reduced):
        one = reduced.sel(placement=label)
        used = ~np.isnan(one["step_time"].values)
        order, seconds = one["order"].values[used].astype(float), one["step_time"].values[used]
        by = np.argsort(order)
        order, seconds = order[by], seconds[by]
        each = max(1, -(-len(order) // most))
        if each > 1:
            starts = np.arange(0, len(order), each)
            count = np.diff(np.append(starts, len(order)))
            order = np.add.reduceat(order, starts) / count
            seconds = np.add.reduceat(seconds, starts) / count
        result[label] = Course(order, seconds, each > 1)
    return result


@dataclass(frozen=True)
class Speeds:
    """`tokens` [point], `seconds` [rank, point] of the expert phase, `at` the mean load of a rank
    and layer, `relative` [rank] time at that load over the fastest rank's."""

    tokens: Array
    seconds: Array
    at: float
    relative: Array


def rank_speeds(run: xr.Dataset, reduced: xr.Dataset) -> Optional[Speeds]:
    """Each rank's profiled latency by load, with the run's emulated slowdowns; None without a
    profile."""
    profile = Profile.of(run)
    if profile is None:
        return None
    at = float(reduced["assignments"].mean())
    here = profile.seconds(np.array(at))
    return Speeds(profile.load_points, profile.latency, at, here / here.min())


LEAST_FALL = 0.02  # placement/speeds/profile_dents.hpp


@dataclass(frozen=True)
class Fall:
    """Rank whose latency at a load point is `share` below that at the point before."""

    rank: int
    point: int
    share: float


def falls(run: xr.Dataset) -> List[Fall]:
    """Where the profile falls while load grows, by LEAST_FALL and by more than half of the two
    points' interquartile ranges. The program's test needs the single readings, which results.h5
    does not hold, and finds smaller falls: its sentences are the attribute `profile_dents`. This
    one also speaks of files and profiles that have no such sentences."""
    if "profile_latency" not in run:
        return []
    value, spread = run["profile_latency"].values, run["profile_spread"].values
    drop = value[:, :-1] - value[:, 1:]
    noise = np.nan_to_num(spread[:, :-1] + spread[:, 1:]) / 2
    real = (drop > LEAST_FALL * value[:, :-1]) & (drop > noise)
    return [Fall(int(rank), int(point) + 1, float(drop[rank, point] / value[rank, point]))
            for rank, point in zip(*np.nonzero(real))]


def bytes_pair(run: xr.Dataset) -> xr.DataArray:
    """(placement, src, dst): dispatch payload of all measured steps and layers in byte; the
    diagonal stayed on its rank. NaN in an unfinished file."""
    return run["bytes_pair"].sum("layer", skipna=False)


@dataclass(frozen=True)
class Arrivals:
    """One step: `phases` name -> [placement, layer, rank] s."""

    step: int
    why: str
    phases: Dict[str, Array]


def chosen_steps(reduced: xr.Dataset) -> Dict[str, int]:
    """Why -> step: the reference's median and slowest step, and the one where the best other
    placement gains most."""
    time = reduced["step_time"]
    complete = np.flatnonzero(~np.isnan(time.values).any(axis=0))
    if complete.size == 0:
        return {}
    first = time.values[0, complete]
    by = np.argsort(first, kind="stable")
    chosen = {f"median step of {labels(reduced)[0]}": int(complete[by[len(by) // 2]]),
              f"slowest step of {labels(reduced)[0]}": int(complete[by[-1]])}
    if time.sizes["placement"] > 1:
        gain = first - time.values[1:, complete].min(axis=0)
        chosen["largest gain"] = int(complete[gain.argmax()])
    return chosen


def arrivals(run: xr.Dataset, step: int, why: str) -> Arrivals:
    """The phases of one step, read from the file; NaN (not measured) becomes 0."""
    names = ("route_time", "dispatch_time", "expert_time", "barrier_wait", "combine_time")
    return Arrivals(step, why, {
        name: np.nan_to_num(run[name].isel(step=step).values.astype(float)) for name in names})
