"""results.h5 as an xarray Dataset. results/SCHEMA.md is the contract."""

import json
import os
from typing import Any, Dict, Union

import h5py
import numpy as np
import xarray as xr

SCHEMA = "gembench-results"
MAJOR = 2
MEASURED = ("placement", "step", "layer", "rank")
# What the rest of the package takes for granted; SCHEMA.md has more.
NEEDED = {
    **dict.fromkeys(("start_time", "route_time", "dispatch_time", "expert_time", "barrier_wait",
                     "combine_time", "layer_time", "assignments", "active_experts", "bytes_sent",
                     "metadata_bytes"), MEASURED),
    "step_time": ("placement", "step", "rank"),
    "order": ("placement", "step"),
    "block": ("placement", "step"),
    "expert_tokens": ("step", "layer", "expert"),
    "predicted_layer_time": ("placement", "step", "layer"),
    "predicted_by_experts": ("placement", "step", "layer"),
    "bytes_pair": ("placement", "layer", "src", "dst"),
    "slots": ("placement", "layer", "rank", "slot"),
    "slowdown": ("rank",),
}
PROFILE = {"profile_latency": ("rank", "load_point"), "profile_slowdown": ("rank",)}
# Name now -> name in older files.
RENAMED = {"assignments": "tokens", "load_point": "knot", "segment": "turn", "segments": "turns"}
MODEL = ("topk", "shared", "hidden", "ffn", "row_bytes")
GROUPS = ("environment", "topology", "gpu", "segments", "quiet", "series")  # datasets
SAID = ("long_name", "units", "heading", "factor", "digits", "column")  # of numbers in /summary
SUMMARY = (("placement",), ("placement", "rank"), ("against", "placement"))  # what spans its arrays
FACTS = ("model", "timing", "check", "quiet", "soak", "summary")  # attributes


# What h5py, h5netcdf and xarray raise on damaged files.
DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError,
          NotImplementedError)


class FileError(Exception):
    """A file that cannot be used; its text is one sentence with the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # reasons of libraries may have several lines


def _text(value: Any) -> Any:
    """Attributes as plain Python values."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [_text(one) for one in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


def _check(path: str) -> Dict[str, Dict[str, Any]]:
    """Rejects files that are not gembench's; returns the attributes of FACTS by group."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if not os.path.exists(path):
            raise FileError(f"{path}: there is no such file; name one that gembench run wrote"
                            ) from None
        raise FileError(f"{path}: cannot be read as HDF5 ({error}); name a results.h5 that gembench"
                        " run wrote") from None
    with file:
        try:
            schema, version = (str(_text(file.attrs.get(name, "")))
                               for name in ("schema", "schema_version"))
            facts = {"/" + group: {name: _text(value) for name, value in file[group].attrs.items()}
                     for group in FACTS if group in file}
            there = "placement" in file
        except DAMAGE as error:
            raise FileError(f"{path}: is damaged ({error}); run it again") from None
        if schema != SCHEMA:
            raise FileError(f"{path}: its schema is '{schema}', not '{SCHEMA}'; name a file that"
                            " gembench run wrote")
        if version.split(".")[0] != str(MAJOR):
            raise FileError(f"{path}: its schema version {version} is not {MAJOR}.x, which this"
                            " version reads; use the gembench-report of the program that wrote it")
        if not there:
            raise FileError(f"{path}: the run ended before anything was measured; run it again with"
                            " --resume")
        return facts


def _lacks(run: xr.Dataset, facts: Dict[str, Dict[str, Any]]) -> str:
    """The first thing that the schema requires and the file lacks; else empty."""
    needed = {**NEEDED, **(PROFILE if "profile_latency" in run else {})}
    for name, dims in needed.items():
        if name not in run:
            return f"no {name}"
        if run[name].dims != dims:
            return f"{name} over {', '.join(map(str, run[name].dims))}"
    for name in MODEL:
        if name not in facts.get("/model", {}):
            return f"no attribute {name} of /model"
    slots = run["slots"].values
    if slots.min() < -1 or slots.max() >= run.sizes["expert"]:
        return "slots name experts that there are not"
    return "no attribute clock" if "clock" not in run.attrs else ""


def with_summary(run: xr.Dataset, path: str) -> xr.Dataset:
    """`run` with the file's /summary as summary_NAME. Sizes are checked before values are read.
    Raises FileError."""
    found = {}
    try:
        with h5py.File(path, "r") as file:
            for name, value in file["summary"].items() if "summary" in file else ():
                if name == "against":
                    continue
                dims = tuple(str(dim[0].name).rsplit("/", maxsplit=1)[-1] for dim in value.dims)
                wanted = tuple(file["rank" if dim == "rank" else "placement"].size for dim in dims)
                if dims not in SUMMARY or value.shape != wanted or value.dtype.kind != "f":
                    raise ValueError(f"summary/{name} is {value.dtype} {value.shape}")
                found[f"summary_{name}"] = (dims, value[()], {
                    key: _text(value.attrs[key]) for key in SAID if key in value.attrs})
        return run.assign(found)
    except DAMAGE as error:
        raise FileError(f"{path}: is damaged ({error}); run it again") from None


def _open(path: str, group: str = "") -> xr.Dataset:
    """A group of the file, under the current names."""
    found = xr.open_dataset(path, group=group or None, engine="h5netcdf")
    return found.rename({before: now for now, before in RENAMED.items()
                         if before in found.variables or before in found.dims})


def load(path: Union[str, "os.PathLike[str]"]) -> xr.Dataset:
    """Opens results.h5 (or its .partial) without reading its arrays: slices come from the disk when
    they are asked for, so files larger than memory are fine.

    Variables, dimensions and units are those of results/SCHEMA.md: barrier_wait(placement, step,
    layer, rank) in s, ... What lies in groups is named group_name (environment_host(rank),
    segments_bytes_moved(segment), ...); attrs["/model"], ["/timing"], ["/check"], ["/quiet"] and ["config"] are dicts.
    Also in attrs: `file`, the path, and `unfinished`, True for the .partial of a run that ended
    early. Missing values are NaN. Raises FileError.
    """
    name = os.fspath(path)
    facts = _check(name)
    try:
        run = _open(name)
        for group in GROUPS:
            with h5py.File(name, "r") as file:
                there = [one for one in (group, RENAMED.get(group, group)) if one in file]
            if not there:
                continue
            part = _open(name, there[0])
            run = run.assign({f"{group}_{key}": (value.dims, value.values, value.attrs)
                              for key, value in part.data_vars.items()})
    except DAMAGE as error:
        raise FileError(f"{name}: is damaged ({error}); run it again") from None
    run = with_summary(run, name)
    lacking = _lacks(run, facts)
    if lacking:
        raise FileError(f"{name}: is not what results/SCHEMA.md promises ({lacking}); run it again")
    run.attrs = {key: _text(value) for key, value in run.attrs.items()}
    run.attrs.update(facts)
    try:
        run.attrs["config"] = json.loads(run.attrs.get("config", "{}"))
    except json.JSONDecodeError:
        run.attrs["config"] = {}
    run.attrs["file"] = name
    run.attrs["unfinished"] = run.attrs.get("completed", 0) != 1
    return run


def to_pandas(run: xr.Dataset) -> Any:
    """A pandas DataFrame with a row for every measured (placement, step): order, block, step_time
    (s, slowest rank) and barrier_wait (s, mean over ranks, summed over layers)."""
    small = xr.Dataset({
        "order": run["order"], "block": run["block"],
        "step_time": run["step_time"].max("rank"),
        "barrier_wait": run["barrier_wait"].mean("rank").sum("layer", skipna=False)})
    frame = small.to_dataframe().reset_index()
    return frame[frame["block"] >= 0].reset_index(drop=True)
