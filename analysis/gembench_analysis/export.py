"""A placement of a run as gembench's placement.json, which `gembench convert` reads."""

import json
from typing import Any, Dict

import xarray as xr


def placement_json(run: xr.Dataset, placement: str) -> str:
    """Text of the file. For a placement that adapts: the one that it begins with."""
    labels = [str(label) for label in run["placement"].values]
    slots = run["slots"].isel(placement=labels.index(placement)).values.astype(int)
    layers, ranks, width = slots.shape
    model = str(run.attrs.get("model", "any"))
    content: Dict[str, Any] = {
        "schema": "gembench-placement", "schema_version": "1.2.0",
        "program": str(run.attrs.get("program", "gembench")), "model": model.split(":")[0],
        "strategy": str(run.attrs["strategies"][labels.index(placement)]),
        "seed": int(run.attrs.get("seed", 0)),
        "trace_source": str(run.attrs.get("trace_source", "")),
        "profile_source": str(run.attrs.get("profile_source", "")),
        "layers": layers, "ranks": ranks, "slots": width, "experts": run.sizes["expert"],
        "slot_expert": slots.tolist()}
    return json.dumps(content, separators=(",", ":")) + "\n"
