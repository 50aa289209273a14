"""One pass over a run, in bounded memory: all that tables and figures need."""

from typing import Any, Dict, Iterator, Tuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .attribution import CAUSES, Profile, split
from .loading import FileError

Array = NDArray[np.float64]
CELLS = 500_000  # (step, layer, rank) cells read at once: 4 MB an array
MEANS = ("route_time", "dispatch_time", "expert_time", "barrier_wait", "combine_time", "assignments")


def non_moe_time(run: xr.Dataset) -> float:
    """Seconds a step that --non-moe-time adds for attention and the rest."""
    stated = run.attrs["config"].get("non-moe-time", 0)
    return float(stated or 0) * run.sizes["layer"]


def _chunks(run: xr.Dataset) -> Iterator[slice]:
    steps = max(1, CELLS // (run.sizes["layer"] * run.sizes["rank"]))
    for first in range(0, run.sizes["step"], steps):
        yield slice(first, min(first + steps, run.sizes["step"]))


def imbalance(tokens: Array) -> Array:
    """max/mean over the last axis; 1 where there are no tokens."""
    mean = tokens.mean(axis=-1)
    return np.where(mean > 0, tokens.max(axis=-1) / np.where(mean > 0, mean, 1), 1.0)


class _Placement:
    """Sums of one placement. Arrays of a part are [step, layer, rank]."""

    def __init__(self, run: xr.Dataset, profile: "Profile | None") -> None:
        self.run, self.profile = run, profile
        steps, layers, ranks = (run.sizes[name] for name in ("step", "layer", "rank"))
        self.by_step: Dict[str, Array] = {
            name: np.full(steps, np.nan)
            for name in ("step_time", "wait", "measured", "predicted", "predicted_by_experts",
                         "imbalance", "tokens_of_step", "lead")}
        self.sums: Dict[str, Array] = {name: np.zeros((layers, ranks))
                                       for name in MEANS}
        self.last = np.zeros((layers, ranks), dtype=np.int64)
        self.causes = np.zeros((ranks, len(CAUSES)))
        self.steps = 0

    def add(self, part: xr.Dataset, at: slice) -> None:
        used = part["block"].values >= 0
        if not used.any():
            return
        where = np.arange(at.start, at.stop)[used]
        part = part.isel(step=used)
        read: Dict[str, Array] = {
            name: part[name].values.astype(float) for name in MEANS}
        for name, values in read.items():
            self.sums[name] += values.sum(axis=0)  # NaN stays NaN
        self.steps += len(where)
        compute = read["route_time"] + read["expert_time"]
        dispatch = np.nan_to_num(read["dispatch_time"])
        # Without a barrier layers do not begin together: who waits least came last.
        arrival = -read["barrier_wait"] if self.run.attrs["clock"] == "gpu-stamps" \
            else compute + dispatch
        row = self.by_step
        slowest = part["step_time"].values.astype(float).max(axis=1)
        row["step_time"][where] = slowest + non_moe_time(self.run)
        row["wait"][where] = read["barrier_wait"].sum(axis=(1, 2)) / self.run.sizes["rank"]
        row["measured"][where] = compute.max(axis=2).sum(axis=1)
        row["imbalance"][where] = imbalance(read["assignments"]).mean(axis=1)
        row["tokens_of_step"][where] = (read["assignments"].sum(axis=(1, 2)) /
                                        self.run.attrs["/model"]["topk"] / self.run.sizes["layer"])
        for name, source in (("predicted", "predicted_layer_time"),
                             ("predicted_by_experts", "predicted_by_experts")):
            row[name][where] = part[source].values.astype(float).sum(axis=1)
        if np.isnan(arrival).any():  # --whole-steps: which rank was last is unknown
            return
        last = arrival.argmax(axis=2)
        for rank in range(self.run.sizes["rank"]):
            self.last[:, rank] += (last == rank).sum(axis=0)
        causes = split(self.profile, read["assignments"], dispatch, arrival, last)
        row["lead"][where] = causes.sum(axis=(1, 2))
        np.add.at(self.causes, last.ravel(), causes.reshape(-1, len(CAUSES)))


def planned_prediction(data: xr.Dataset) -> str:
    """The prediction in a reduced run by the cost model used for planning."""
    planned = data.attrs.get("cost")
    if planned is None:  # files before 2.5.0
        config = data.attrs.get("config")
        planned = config.get("cost") if isinstance(config, dict) else None
    return "predicted_by_experts" if planned in ("per-expert", "experts") else "predicted"


def reduce(run: xr.Dataset) -> xr.Dataset:
    """A small Dataset, in memory, with the run's attrs. NaN or 0 where nothing was measured.

    (placement, step): step_time (s, slowest rank, --non-moe-time included), wait (s, mean over
    ranks, summed over layers), measured, predicted and predicted_by_experts (s, route + experts of
    the slowest rank, summed over layers), imbalance (max/mean of tokens, mean over layers),
    tokens_of_step, lead (s, how much later than the mean the last rank arrives, summed over
    layers), order, block.
    (placement, layer, rank): means over steps of route_time .. combine_time (s) and tokens; last
    (how often it arrives last).
    (placement, rank, cause): seconds a step by which the rank, when last, is later than the mean.
    (placement): steps, the measured ones.
    """
    profile = Profile.of(run)
    placements = []
    for index in range(run.sizes["placement"]):
        one = _Placement(run, profile)
        of = run.isel(placement=index)
        for at in _chunks(run):
            one.add(of.isel(step=at), at)
        placements.append(one)
    labels = [str(label) for label in run["placement"].values]
    data: Dict[str, Tuple[Tuple[str, ...], Any]] = {
        name: (("placement", "step"), np.stack([one.by_step[name] for one in placements]))
        for name in placements[0].by_step}
    data["order"] = (("placement", "step"), run["order"].values)
    data["block"] = (("placement", "step"), run["block"].values)
    steps = np.array([one.steps for one in placements])
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in MEANS:
            data[name] = (("placement", "layer", "rank"),
                          np.stack([one.sums[name] / one.steps for one in placements]))
        data["causes"] = (("placement", "rank", "cause"),
                          np.stack([one.causes / one.steps for one in placements]))
    data["last"] = (("placement", "layer", "rank"), np.stack([one.last for one in placements]))
    data["steps"] = (("placement",), steps)
    if not steps.any():
        raise FileError(f"{run.attrs['file']}: no step of it was finished; continue the run with"
                        " --resume")
    return xr.Dataset(data, coords={"placement": labels, "cause": list(CAUSES)}, attrs=run.attrs)
