"""One row a placement, with the numbers of `gembench compare` (harness/report/comparison.cpp)."""

import math
from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .intervals import (Blocks, Interval, mean_interval, proportion_interval, quantile_interval,
                        ratio_interval)
from .reduction import imbalance, planned_prediction
from .statistics import Difference, paired_difference, quantile


REASONS = ("speeds", "loads", "both")


@dataclass(frozen=True)
class Change:
    """A change of a placement that adapts: what moved, and what that took. Neither is part of its
    step times."""

    after_step: int
    reason: str  # one of REASONS
    experts_moved: int
    bytes_moved: int
    move_seconds: float  # s, wall clock of the slowest rank
    planning_seconds: float  # s, wall clock of rank 0
    predicted_gain: float  # s a step


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
    last_share: List[float]
    aggregate_imbalance: float
    step_imbalance: float
    predicted: float
    predicted_by_experts: float
    planned: float  # the one of both that was planned with
    measured: float
    moved_bytes: float
    moved_seconds: float
    replicas: float  # of a layer, beyond the first of each expert, at the beginning
    changes: List[Change] = field(default_factory=list)
    rates: Dict[str, float] = field(default_factory=dict)
    difference: Optional[Difference] = None  # to the first placement; None for itself
    intervals: Dict[str, Optional[Interval]] = field(default_factory=dict)  # 95 %, by name

    @property
    def straggler_share(self) -> float:
        """Of layers in which `straggler` arrives last."""
        return math.nan if self.straggler is None else self.last_share[self.straggler]


def _mean(values: xr.DataArray) -> float:
    known = values.values
    return float(known.mean()) if known.size else math.nan


def difference(reduced: xr.Dataset, reference: str, other: str) -> Difference:
    """Step time of `other` against `reference`, over the same steps; intervals of all placements
    against one hold together. On one rank, which holds every
    expert under any placement, it is noise and has no interval."""
    found = paired_difference(reduced["step_time"].sel(placement=reference).values,
                              reduced["step_time"].sel(placement=other).values,
                              np.nan_to_num(reduced["block"].sel(placement=other).values, nan=-1),
                              max(1, reduced.sizes["placement"] - 1))
    return found if reduced.sizes["rank"] > 1 else replace(found, low=None, high=None)


def _moves(run: xr.Dataset, index: int) -> Dict[str, float]:
    """Mean bytes and seconds of a switch to the placement."""
    if "turns_bytes_moved" not in run:
        return {"moved_bytes": 0.0, "moved_seconds": 0.0}
    mine = (run["turns_to_placement"].values == index) & (run["turns_bytes_moved"].values >= 0)
    if not mine.any():
        return {"moved_bytes": 0.0, "moved_seconds": 0.0}
    return {"moved_bytes": float(run["turns_bytes_moved"].values[mine].mean()),
            "moved_seconds": float(run["turns_move_seconds"].values[mine].mean())}


def _replicas(slots: NDArray[np.int32]) -> float:
    """`slots` is (layer, rank, slot), -1 = empty."""
    cells = slots.reshape(len(slots), -1)
    return float(sum((layer >= 0).sum() - np.unique(layer[layer >= 0]).size for layer in cells)
                 ) / len(cells)


def _changes(run: xr.Dataset, index: int) -> List[Change]:
    if "turns_replan_reason" not in run:
        return []
    reason = np.nan_to_num(run["turns_replan_reason"].values, nan=-1)
    found = []
    for turn in np.flatnonzero((run["turns_to_placement"].values == index) & (reason >= 0)):
        what = {name: run[f"turns_replan_{name}"].values[turn] for name in (
            "experts_moved", "bytes_moved", "move_seconds", "planning_seconds", "predicted_gain")}
        last = run["turns_first_step"].values[turn] + run["turns_steps"].values[turn] - 1
        found.append(Change(int(last), REASONS[int(reason[turn])], int(what["experts_moved"]),
                            int(what["bytes_moved"]), float(what["move_seconds"]),
                            float(what["planning_seconds"]), float(what["predicted_gain"])))
    return found


def _rates(run: xr.Dataset, one: xr.Dataset, index: int) -> Dict[str, float]:
    """Rates of a placement, under the names of the JSON of `gembench compare`."""
    model, steps = run.attrs["/model"], int(one["steps"])
    layers, ranks = run.sizes["layer"], run.sizes["rank"]
    if steps == 0:
        return {}
    sums = {name: float(one[name].sum(skipna=False)) * steps for name in (
        "tokens", "active_experts", "bytes_sent", "metadata_bytes", "inter_node_bytes",
        "expert_time", "dispatch_time", "combine_time")}
    tokens = float(one["tokens_of_step"].sum())
    pairs = sums["tokens"] + model["shared"] * tokens * layers

    def per(amount: float, seconds: float) -> float:
        return amount / seconds if seconds > 0 else math.nan

    rows = math.nan
    if model["row_bytes"] and run.attrs["config"].get("dispatch") != "hierarchical":
        rows = float(run["bytes_pair"].isel(placement=index).sum(skipna=False)
                     ) / model["row_bytes"]
    return {
        "tokens_per_s": per(tokens, float(one["step_time"].sum())),
        "expert_flops": per(pairs * 6.0 * model["hidden"] * model["ffn"], sums["expert_time"]),
        "active_experts": sums["active_experts"] / (steps * layers * ranks),
        "distinct_ranks": rows / layers / max(1.0, tokens),
        "dispatch_bytes_per_s": per(sums["bytes_sent"], sums["dispatch_time"]),
        "combine_bytes_per_s": per(sums["bytes_sent"], sums["combine_time"]),
        "payload_bytes": sums["bytes_sent"] / steps,
        "metadata_bytes": sums["metadata_bytes"] / steps,
        "inter_node_bytes": sums["inter_node_bytes"] / steps,
    }


def _intervals(used: xr.Dataset, straggler: Optional[int]) -> Dict[str, Optional[Interval]]:
    """Under the names of what they are of; None where steps are too few. `used` holds one
    placement's measured steps."""
    blocks = Blocks(used["block"].values.astype(np.int64))
    times, waits = used["step_time"].values, used["wait"].values
    usual = quantile(times, 0.5)
    found: Dict[str, Optional[Interval]] = {
        "step_mean": mean_interval(times, blocks, usual),
        "step_p50": quantile_interval(times, blocks, 0.5),
        "step_p90": quantile_interval(times, blocks, 0.9),
        "step_p99": quantile_interval(times, blocks, 0.99),
        "wait_mean": mean_interval(waits, blocks, usual),
        "wait_share": ratio_interval(waits, times, blocks, usual),
        "straggler_share": None}
    layers, ranks = used.sizes["layer"], used.sizes["rank"]
    if straggler is not None and ranks > 1:
        found["straggler_share"] = proportion_interval(
            used["last_of_step"].values[:, straggler] / layers, layers, blocks, ranks)
    return found


def summarise(run: xr.Dataset, reduced: xr.Dataset) -> List[Summary]:
    """A row a placement, the first is the reference. `reduced` is reduce(run)."""
    labels = [str(label) for label in reduced["placement"].values]
    rows = []
    for index, label in enumerate(labels):
        one = reduced.isel(placement=index)
        used = one.isel(step=np.flatnonzero(np.nan_to_num(one["block"].values, nan=-1) >= 0))
        times = used["step_time"].values
        last = one["last"].sum("layer").values
        readings = int(last.sum())
        step_mean, wait_mean = _mean(used["step_time"]), _mean(used["wait"])
        straggler = int(last.argmax()) if readings else None
        rows.append(Summary(
            placement=label, steps=len(times), step_mean=step_mean,
            step_p50=quantile(times, 0.5), step_p90=quantile(times, 0.9),
            step_p99=quantile(times, 0.99), wait_mean=wait_mean,
            wait_share=wait_mean / step_mean,
            straggler=straggler,
            last_share=[count / readings if readings else math.nan for count in last],
            aggregate_imbalance=float(imbalance(one["tokens"].values).mean()),
            step_imbalance=_mean(used["imbalance"]),
            predicted=_mean(used["predicted"]),
            predicted_by_experts=_mean(used["predicted_by_experts"]),
            planned=_mean(used[planned_prediction(reduced)]),
            measured=_mean(used["measured"]), **_moves(run, index),
            replicas=_replicas(run["slots"].isel(placement=index).values),
            changes=_changes(run, index),
            rates=_rates(run, used, index),
            difference=None if index == 0 else difference(reduced, labels[0], label),
            intervals=_intervals(used, straggler)))
    return rows


def drift(run: xr.Dataset) -> Optional[List[float]]:
    """[rank] how much longer the expert phase took in the profile after the run, median over loads;
    None when it was not taken again."""
    if "profile_after" not in run:
        return None
    before, after = run["profile_latency"].values[:, 1:], run["profile_after"].values[:, 1:]
    if np.isnan(after).any():
        return None
    return [quantile((new / old - 1)[old > 0], 0.5) for old, new in zip(before, after)]
