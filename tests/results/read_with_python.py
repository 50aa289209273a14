#!/usr/bin/python3
"""Reads results.h5 and trace.h5 the way people do, without our code: h5py, xarray with h5netcdf, h5dump."""

import os
import shutil
import subprocess
import sys
import tempfile

try:
    import h5netcdf  # noqa: F401
    import h5py
    import numpy as np
    import xarray as xr
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MEASURED = ("placement", "step", "layer", "rank")
DIMS = {
    "step_time": ("placement", "step", "rank"),
    "order": ("placement", "step"),
    "block": ("placement", "step"),
    "expert_tokens": ("step", "layer", "expert"),
    "bytes_pair": ("placement", "layer", "src", "dst"),
    "slots": ("placement", "layer", "rank", "slot"),
    "predicted_layer_time": ("placement", "step", "layer"),
    "predicted_by_experts": ("placement", "step", "layer"),
    "profile_latency": ("rank", "load_point"),
    "profile_after": ("rank", "load_point"),
    "profile_spread": ("rank", "load_point"),
    "profile_overhead": ("rank",),
    "slowdown": ("rank",),
}
TIMES = ("start_time start_wait route_time dispatch_time expert_time barrier_wait combine_time "
         "layer_time").split()
COUNTS = "assignments active_experts bytes_sent metadata_bytes".split()
DIMS.update({name: MEASURED for name in TIMES + COUNTS})


def check_h5py(path):
    with h5py.File(path) as file:
        assert file.attrs["schema"] == "gembench-results", file.attrs["schema"]
        assert file.attrs["schema_version"].startswith("2.")
        assert file.attrs["completed"] == 1
        assert list(file.attrs["strategies"]) == ["linear", "gem"]
        assert file.attrs["seed"] == 2**64 - 2
        assert "∑" in file.attrs["config"]
        assert list(file["placement"].asstr()) == ["linear#0", "gem#1"]
        for name, dims in DIMS.items():
            found = tuple(dim[0].name.lstrip("/") for dim in file[name].dims)
            assert found == dims, (name, found)
            assert file[name].attrs["long_name"]
        for name in TIMES + ["step_time", "predicted_layer_time", "profile_latency"]:
            assert file[name].attrs["units"] == "s", name
        assert file["bytes_sent"].attrs["units"] == "byte"
        assert file["start_time"].dtype == np.float64
        assert file["layer_time"].dtype == np.float32
        assert file["assignments"].dtype == np.int32
        assert file["bytes_pair"].dtype == np.int64
        assert file["assignments"].attrs["_FillValue"] == -1
        expected = np.arange(8 * 3 * 4).reshape(8, 3, 4)
        assert (file["layer_time"][1, :8] == expected / 64).all()
        assert np.isnan(file["layer_time"][0]).all()
        assert (file["assignments"][1, :8] == expected).all()
        assert (file["assignments"][:, 8:] == -1).all()
        assert (file["block"][1] == [0] * 8 + [-1] * 4).all()
        assert list(file["environment/host"].asstr()) == [f"node-{rank}" for rank in range(4)]
        assert file["environment/host"].dims[0][0].name == "/rank"
        segments = file["segments"]
        assert segments["steps"].dims[0][0].name == "/segments/segment"
        assert list(segments["segment"]) == [0, 1, 2, 3]
        assert list(segments["to_placement"]) == [0, 1, 0, 1]
        assert list(segments["first_step"]) == [0, 0, 8, 8]
        assert list(segments["steps"]) == [8, 8, 4, 4]
        assert list(segments["in_block"]) == [0, 0, 1, 1]
        assert list(segments["experts_moved"]) == [-1, 3, -1, -1]
        assert list(segments["bytes_moved"]) == [-1, 2**40, -1, -1]
        assert list(segments["check_passed"]) == [-1] * 4 == list(segments["checked_tokens"])
        assert segments["move_seconds"][1] == 0.125 and np.isnan(segments["move_seconds"][0])
        assert np.isnan(segments["check_error"]).all()
        for name in segments:
            assert segments[name].attrs["long_name"] and segments[name].attrs["units"], name
        for name in "experts_moved bytes_moved checked_tokens check_passed".split():
            assert segments[name].attrs["_FillValue"] == -1, name
        assert segments["bytes_moved"].attrs["units"] == "byte"
        assert segments["move_seconds"].attrs["units"] == "s"
        assert np.isfinite(file["profile_after"]).all()
        assert file["check"].attrs["passed"] == 0
        assert dict(file["model"].attrs) == dict(topk=4, shared=1, hidden=2880, ffn=720,
                                                 row_bytes=2**20)
        seconds = {k: v for k, v in file["timing"].attrs.items() if not np.isnan(v)}
        assert seconds == dict(profile=1.5, plan=3e-9, measure=1e6, write=0, total=2e6)


def check_xarray(path):
    with xr.open_dataset(path, engine="h5netcdf") as run:
        for name, dims in DIMS.items():
            assert run[name].dims == dims, (name, run[name].dims)
        assert run.layer_time.attrs["units"] == "s"
        per_step = run.barrier_wait.max("rank").mean("step")
        assert per_step.dims == ("placement", "layer")
        gem = run.layer_time.sel(placement="gem#1")
        assert float(gem[1, 0, 0]) == 12 / 64
        assert run.assignments.isnull().sum() == run.assignments.size - 8 * 3 * 4  # -1 is missing
        assert (run.slots == -1).sum() == 2 * 3 * (4 * 3 - 8)  # but an empty slot is a value
        assert run.attrs["clock"] == "cpu-time"
    for group, name, dim in (("environment", "host", "rank"), ("segments", "move_seconds", "segment")):
        with xr.open_dataset(path, group=group, engine="h5netcdf") as part:
            assert part[name].dims == (dim,), part
    with xr.open_dataset(path, group="segments", engine="h5netcdf") as segments:
        assert segments.bytes_moved.isnull().sum() == 3
        assert segments.steps.dtype == np.int32  # never missing: stays whole


def check_trace(path):
    expected = np.array([[[[(expert + source + step) % 2 == 0 for expert in range(4)]
                           for source in range(3)]] * 2 for step in range(5)])
    with h5py.File(path) as file:
        assert file.attrs["schema"] == "gembench-trace"
        assert file.attrs["schema_version"] == "1.3.0"
        assert file.attrs["model_layers"] == 5
        assert (file["source_tokens"][:] == expected).all()
        for name in file:
            assert file[name].attrs["long_name"] and file[name].attrs["units"], name
    with xr.open_dataset(path, engine="h5netcdf") as trace:
        assert trace.tokens.dims == ("step", "layer", "expert")
        assert trace.source_tokens.dims == ("step", "layer", "source", "expert")
        assert trace.phase.dims == ("step",)
        assert list(trace.phase) == [0, 0, 1, 2, 0]
        assert list(trace.step) == [0, 1, 2, 3, 4]
        assert trace.layer_id.dims == ("layer",)
        assert list(trace.layer_id) == [3, 4]
        assert (trace.source_tokens.sum("source") == trace.tokens).all()
        assert (trace.tokens == expected.sum(axis=2)).all()


def check_h5dump(path):
    if shutil.which("h5dump") is None:
        print("h5dump is not installed: not tried")
        return
    out = subprocess.run(["h5dump", "-H", path], capture_output=True, text=True, check=True).stdout
    assert 'DATASET "barrier_wait"' in out and "UTF8" in out


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "r.h5")
        trace = os.path.join(folder, "t.h5")
        subprocess.run([sys.argv[1], path, trace], check=True)
        check_h5py(path)
        check_xarray(path)
        check_h5dump(path)
        check_trace(trace)
    print("ok")


if __name__ == "__main__":
    main()
