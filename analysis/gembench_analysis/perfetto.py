"""Steps as a trace in Chrome's JSON format, which ui.perfetto.dev and chrome://tracing open."""

import json
from typing import Any, Dict, List

import numpy as np
import xarray as xr

MOST_EVENTS = 400_000
PHASES = {"route_time": "route", "dispatch_time": "dispatch", "expert_time": "experts",
          "barrier_wait": "wait", "combine_time": "combine"}


def _starts(run: xr.Dataset, placement: int, step: int, layer_ends: "np.ndarray[Any, Any]",
            now: float) -> "np.ndarray[Any, Any]":
    """[layer, rank] start of every layer in s: as read, on rank 0's clock, or (clock cpu-time) one
    layer after the other from `now` on."""
    start = run["start_time"].isel(placement=placement, step=step).values
    if np.isfinite(start).all():
        if "topology_clock_offset_before" in run:
            start = start + np.nan_to_num(run["topology_clock_offset_before"].values)
        return np.asarray(start)
    before = np.concatenate([[0.0], layer_ends[:-1]])
    return now + np.repeat(before[:, None], run.sizes["rank"], axis=1)


def trace(run: xr.Dataset, reduced: xr.Dataset) -> str:
    """One process per rank, one track per placement; steps in the order they ran, as many as fit
    into MOST_EVENTS. Clock cpu-time has no start times: layers are placed end to end."""
    ranks, layers = run.sizes["rank"], run.sizes["layer"]
    labels = [str(label) for label in run["placement"].values]
    measured = [(int(reduced["order"].values[p, s]), p, s)
                for p in range(len(labels)) for s in range(run.sizes["step"])
                if np.isfinite(reduced["step_time"].values[p, s])]
    most = max(1, MOST_EVENTS // (ranks * layers * len(PHASES)))
    events: List[Dict[str, Any]] = []
    for rank in range(ranks):
        slow = float(run["slowdown"].values[rank])
        name = f"rank {rank}" + (f" (emulated slowdown {slow:g})" if slow != 1 else "")
        events.append({"ph": "M", "pid": rank, "name": "process_name", "args": {"name": name}})
        events += [{"ph": "M", "pid": rank, "tid": p, "name": "thread_name",
                    "args": {"name": label}} for p, label in enumerate(labels)]
    now = 0.0
    for _, p, s in sorted(measured)[:most]:
        read = {name: np.nan_to_num(run[name].isel(placement=p, step=s).values.astype(float))
                for name in PHASES}
        tokens = run["assignments"].isel(placement=p, step=s).values
        ends = np.cumsum(sum(read.values()).max(axis=1))  # type: ignore[union-attr]
        starts = _starts(run, p, s, ends, now)
        now += float(ends[-1])
        for layer in range(layers):
            for rank in range(ranks):
                at = float(starts[layer, rank])
                for name, values in read.items():
                    took = float(values[layer, rank])
                    if took > 0:
                        events.append({"ph": "X", "pid": rank, "tid": p, "name": PHASES[name],
                                       "ts": round(at * 1e6, 3), "dur": round(took * 1e6, 3),
                                       "args": {"step": s, "layer": layer,
                                                "tokens": int(tokens[layer, rank])}})
                    at += took
    shown = min(most, len(measured))
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms",
                       "otherData": {"file": run.attrs["file"], "clock": run.attrs["clock"],
                                     "steps": f"{shown} of {len(measured)}"}},
                      separators=(",", ":"))
