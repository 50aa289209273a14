"""Makes results.h5 files of any size after results/SCHEMA.md, with known content; for tests.
made_results.py FILE PLACEMENTS STEPS LAYERS RANKS writes a large one block by block."""

import json
import sys

import h5py
import numpy as np

LABELS = ("linear", "eplb", "gem", "gem+")
TIMES = ("start_wait", "route_time", "dispatch_time", "expert_time", "barrier_wait",
         "combine_time", "layer_time")
COUNTS = {"assignments": "i4", "active_experts": "i4", "bytes_sent": "i8", "metadata_bytes": "i8",
          "inter_node_bytes": "i8"}
AT_ONCE = 64  # steps


def _scale(file, name, values, **attributes):
    file[name] = values
    file[name].make_scale(name)
    file[name].attrs.update(long_name=name, **attributes)


def _attach(file, name, dims, **attributes):
    for axis, dim in enumerate(dims):
        file[name].dims[axis].attach_scale(file[dim])
    file[name].attrs.update(long_name=name, **attributes)


class Made:
    """Slowest rank 1 (1.5 times); placement k has loads moved so that it gains by k."""

    def __init__(self, placements=3, steps=48, layers=2, ranks=4, experts=8, clock="cpu-time",
                 block=2, whole_steps=False, profile=True, slowdown=True, gpus=False, series=False, lost=None,
                 share="nothing", seed=1, gain=10):
        self.shape = (placements, steps, layers, ranks)
        self.experts, self.clock, self.block = experts, clock, block
        self.gpus, self.series = gpus, series
        self.lost, self.share, self.gain = lost, share, gain
        self.whole, self.profile, self.random = whole_steps, profile, np.random.default_rng(seed)
        self.slowdown = np.ones(ranks)
        if slowdown:
            self.slowdown[1 % ranks] = 1.5

    def _part(self, placement, steps):
        """Arrays [step, layer, rank] of some steps of a placement."""
        _, _, layers, ranks = self.shape
        tokens = self.random.integers(80, 120, (steps, layers, ranks)).astype("i4")
        tokens[:, :, 1 % ranks] -= np.int32(min(30, self.gain * placement))
        expert = tokens * 1e-5 * self.slowdown * self.random.normal(1, 0.01, tokens.shape)
        route = np.full(tokens.shape, 1e-4) * self.slowdown
        wall = self.clock != "cpu-time"
        dispatch = self.random.uniform(1e-4, 2e-4, tokens.shape) if wall else np.full(
            tokens.shape, np.nan)
        arrival = route + expert + np.nan_to_num(dispatch)
        wait = arrival.max(axis=2, keepdims=True) - arrival
        combine = dispatch / 2
        part = {"route_time": route, "expert_time": expert, "dispatch_time": dispatch,
                "barrier_wait": wait, "combine_time": combine, "start_wait": dispatch * 0.1,
                "layer_time": arrival + wait + np.nan_to_num(combine)}
        step_time = part["layer_time"].sum(axis=1)
        if self.whole:
            part = {name: np.full(tokens.shape, np.nan) for name in part}
        part.update(assignments=tokens, active_experts=np.full_like(tokens, 2),
                    bytes_sent=tokens.astype("i8") * 64, metadata_bytes=tokens.astype("i8") * 4,
                    inter_node_bytes=np.zeros(tokens.shape, "i8"))
        return part, step_time

    def _write_series(self, file, placements, ranks):
        """Ten readings a second for 2 s of soak and the segments, each of which takes 1.5 s and has a
        pause of 0.5 s behind it. The last placement clocks 5 % lower, and rank 2 is held down by its
        power in every fifth reading. Rows are in no order, and some are empty."""
        to = file["segments/to_placement"][...]
        for name, values in (("begin", 2.0 * np.arange(to.size)),
                             ("end", 2.0 * np.arange(to.size) + 1.5),
                             ("job", np.zeros(to.size, "i4"))):
            file[f"segments/{name}"] = values
            file[f"segments/{name}"].dims[0].attach_scale(file["segments/segment"])
        time = np.arange(-2, 2 * to.size - 0.05, 0.1)
        segment = np.floor(time / 2).astype(int)
        works = (time >= 0) & (time % 2 <= 1.5)
        low = works & (to[np.maximum(segment, 0)] == placements - 1)
        rows = self.random.permutation(time.size + 7)
        _scale(file, "series/sample", np.arange(rows.size, dtype="i4"), units="1")
        for name, kind, unit, value in (
                ("time", "f8", "s", lambda rank: time),
                ("took", "f4", "s", lambda rank: np.full(time.size, 0.001)),
                ("clock", "f4", "Hz", lambda rank: np.where(low, 1.8e9, 1.9e9)),
                ("memory_clock", "f4", "Hz", lambda rank: np.full(time.size, 2.6e9)),
                ("power", "f4", "W", lambda rank: np.where(works, 500.0, 200.0)),
                ("temperature", "f4", "degC", lambda rank: 60 - 20 * np.exp(-(time + 2) / 3)),
                ("energy", "f8", "J", lambda rank: 10 * np.cumsum(np.where(works, 5.0, 2.0))),
                ("throttle_reasons", "i8", "1",
                 lambda rank: np.where((rank == 2) & (np.arange(time.size) % 5 == 0), 4, 1)),
                ("job", "i4", "1", lambda rank: np.zeros(time.size))):
            none = np.nan if kind[0] == "f" else -1
            values = np.full((ranks, rows.size), none, kind)
            for rank in range(ranks):
                values[rank, rows[:time.size]] = value(rank)
            file[f"series/{name}"] = values
            for axis, scale in enumerate(("rank", "series/sample")):
                file[f"series/{name}"].dims[axis].attach_scale(file[scale])
            file[f"series/{name}"].attrs.update(units=unit, _FillValue=np.dtype(kind).type(none))
        file.create_group("soak").attrs.update(seconds=2.0, steps=100, steady=0,
                                               unsteady="clock of rank 1 still changed", profile_seconds=np.nan,
                                               profile_steps=-1, profile_steady=-1)

    def write(self, path, measured_steps=None, version="2.2.0", schema="gembench-results"):
        """`measured_steps` of every placement are there, the others not yet (a .partial)."""
        placements, steps, layers, ranks = self.shape
        done = steps if measured_steps is None else measured_steps
        slots = -(-self.experts // ranks)
        with h5py.File(path, "w") as file:
            _scale(file, "placement", np.array(LABELS[:placements], dtype=object))
            for name, size in (("step", steps), ("layer", layers), ("rank", ranks),
                               ("expert", self.experts), ("slot", slots), ("src", ranks),
                               ("dst", ranks)):
                _scale(file, name, np.arange(size, dtype="i4"), units="1")
            measured = ("placement", "step", "layer", "rank")
            for name in TIMES:
                file.create_dataset(name, self.shape, "f4", fillvalue=np.nan)
                _attach(file, name, measured, units="s", _FillValue=np.float32(np.nan))
            file.create_dataset("start_time", self.shape, "f8", fillvalue=np.nan)
            _attach(file, "start_time", measured, units="s", _FillValue=np.nan)
            for name, kind in COUNTS.items():
                file.create_dataset(name, self.shape, kind, fillvalue=-1)
                _attach(file, name, measured, units="1", _FillValue=np.dtype(kind).type(-1))
            file.create_dataset("step_time", (placements, steps, ranks), "f4", fillvalue=np.nan)
            _attach(file, "step_time", ("placement", "step", "rank"), units="s")
            for name in ("order", "block"):
                file.create_dataset(name, (placements, steps), "i4", fillvalue=-1)
                _attach(file, name, ("placement", "step"), units="1", _FillValue=np.int32(-1))
            for name in ("predicted_layer_time", "predicted_by_experts"):
                file.create_dataset(name, (placements, steps, layers), "f4", fillvalue=np.nan)
                _attach(file, name, ("placement", "step", "layer"), units="s")
            for placement in range(placements):
                for first in range(0, done, AT_ONCE):
                    self._write_steps(file, placement, first, min(first + AT_ONCE, done))
            self._write_rest(file, placements, steps, layers, ranks, slots, done == steps)
            file.attrs.update(
                schema=schema, schema_version=version, completed=int(done == steps),
                clock=self.clock, clock_reason="made for a test", created="2026-01-01T00:00:00Z",
                config=json.dumps({"command": "run", "non-moe-time": 0.0}), command_line="none",
                seed=np.uint64(1), device="made", ranks_share=self.share, model="made: test", routing="made",
                strategies=np.array(LABELS[:placements], dtype=object), nodes="1 node")
        return path

    def _write_steps(self, file, placement, first, end):
        part, step_time = self._part(placement, end - first)
        for name, values in part.items():
            file[name][placement, first:end] = values
        file["step_time"][placement, first:end] = step_time
        steps = np.arange(first, end)
        placements = self.shape[0]
        file["order"][placement, first:end] = (steps // self.block * placements + placement
                                               ) * self.block + steps % self.block
        slowest = (part["assignments"] * 1e-5 * self.slowdown + 1e-4 * self.slowdown).max(axis=2)
        for name in ("predicted_layer_time", "predicted_by_experts"):
            file[name][placement, first:end] = slowest
        file["block"][placement, first:end] = steps // self.block

    def _write_rest(self, file, placements, steps, layers, ranks, slots, whole):
        """Everything except the steps. Expert 0 is always used, expert 1 seldom and then with high
        load."""
        tokens = self.random.integers(5, 15, (steps, layers, self.experts)).astype("i4")
        tokens[:, :, 1] = np.where(np.arange(steps) % 6 == 0, 80, 0)[:, None]
        file["expert_tokens"] = tokens
        _attach(file, "expert_tokens", ("step", "layer", "expert"), units="1")
        held = np.full(ranks * slots, -1, "i4")
        held[:self.experts] = np.arange(self.experts)
        file["slots"] = np.broadcast_to(held.reshape(ranks, slots),
                                        (placements, layers, ranks, slots))
        _attach(file, "slots", ("placement", "layer", "rank", "slot"), units="1")
        pairs = np.full((placements, layers, ranks, ranks), 1000 if whole else -1, "i8")
        file["bytes_pair"] = pairs
        _attach(file, "bytes_pair", ("placement", "layer", "src", "dst"), units="byte",
                _FillValue=np.int64(-1))
        file["slowdown"] = self.slowdown
        _attach(file, "slowdown", ("rank",), units="1")
        if self.profile:
            load_points = np.array([0, 100, 200], dtype="i8")
            _scale(file, "load_point", load_points, units="1")
            latency = load_points * 1e-5 * self.slowdown[:, None]
            for name, values in (("profile_latency", latency), ("profile_spread", latency * 0),
                                 ("profile_after", latency * (1.1 if whole else np.nan))):
                file[name] = values
                _attach(file, name, ("rank", "load_point"), units="s")
            for name, values in (("profile_overhead", self.slowdown * 1e-4),
                                 ("profile_slowdown", self.slowdown)):
                file[name] = values
                _attach(file, name, ("rank",), units="s")
            file.attrs.update(profile_model="made", profile_device="made",
                              profile_clock=self.clock)
        self._write_segments(file, placements, steps)
        if self.gpus:
            for when in ("before", "after"):
                file[f"gpu/throttle_reasons_{when}"] = np.zeros(ranks, "i8")
                file[f"gpu/throttle_reasons_{when}"].dims[0].attach_scale(file["rank"])
            for name, value, unit in (("clock", 1.2e9, "Hz"), ("memory_clock", 2e9, "Hz"),
                                      ("power", 300.0, "W"), ("temperature", 60.0, "degC")):
                for when in ("before", "after"):
                    file[f"gpu/{name}_{when}"] = np.full(ranks, value)
                    file[f"gpu/{name}_{when}"].dims[0].attach_scale(file["rank"])
                    file[f"gpu/{name}_{when}"].attrs.update(units=unit)
            if self.series:
                self._write_series(file, placements, ranks)
        if self.lost is not None:
            self._write_quiet(file, ranks, whole)
        if self.clock == "gpu-stamps":
            for name, values, unit in (("node", np.zeros(ranks, "i4"), "1"),
                                       ("local_rank", np.arange(ranks, dtype="i4"), "1"),
                                       *((f"clock_{what}_{when}", np.full(ranks, value), "s")
                                         for what, value in (("offset", 0.0), ("error", 4.8e-6))
                                         for when in ("before", "after"))):
                file[f"topology/{name}"] = values
                file[f"topology/{name}"].dims[0].attach_scale(file["rank"])
                file[f"topology/{name}"].attrs["units"] = unit
        if self.clock != "cpu-time":
            part, start = self._part(0, 1)[0], np.zeros((placements, steps, layers, ranks))
            long = part["layer_time"].max() * 1.2
            order = np.nan_to_num(file["order"][...])[:, :, None, None]
            start += (order * layers + np.arange(layers)[None, None, :, None]) * long
            file["start_time"][...] = start
        for name, values in (("host", [f"node{r}" for r in range(ranks)]), ("cpus", ["0"] * ranks)):
            file[f"environment/{name}"] = np.array(values, dtype=object)
            file[f"environment/{name}"].dims[0].attach_scale(file["rank"])
        file.create_group("model").attrs.update(topk=2, shared=0, hidden=64, ffn=64, row_bytes=128)
        file.create_group("timing").attrs.update(total=1.0 if whole else np.nan)
        file.create_group("check").attrs.update(mode="last", checked_tokens=8, worst_error=0.001,
                                                tolerance=0.03, passed=1, message="")

    def _write_segments(self, file, placements, steps):
        """Blocks as they are measured; nothing happened between them."""
        segments = [(placement, first, min(self.block, steps - first), first // self.block)
                 for first in range(0, steps, self.block) for placement in range(placements)]
        _scale(file, "segments/segment", np.arange(len(segments), dtype="i4"), units="1")
        columns = dict(zip(("to_placement", "first_step", "steps", "in_block"),
                           np.array(segments, "i4").T))
        for name, kind in (("experts_moved", "i8"), ("bytes_moved", "i8"), ("move_seconds", "f8"),
                           ("checked_tokens", "i8"), ("check_error", "f8"), ("check_passed", "i4")):
            columns[name] = np.full(len(segments), np.nan if kind == "f8" else -1, kind)
        for name, values in columns.items():
            file[f"segments/{name}"] = values
            file[f"segments/{name}"].dims[0].attach_scale(file["segments/segment"])
            file[f"segments/{name}"].attrs.update(units="1", long_name=name)
            if name not in ("to_placement", "first_step", "steps", "in_block"):
                file[f"segments/{name}"].attrs["_FillValue"] = values.dtype.type(values[0])

    def _write_quiet(self, file, ranks, whole):
        """Rank 1 lost a share `lost` of its time; steal is not known."""
        group = file.create_group("quiet")
        quiet = {"quantum": 4e-5, "lost": 0.01, "lost_cpu": 0.002, "longest_pause": 3e-3}
        values = {f"{name}_{when}": np.full(ranks, value if whole or when == "before" else np.nan)
                  for name, value in quiet.items() for when in ("before", "after")}
        values["lost_before"][1 % ranks] = values["lost_cpu_before"][1 % ranks] = self.lost
        values.update(involuntary_switches=np.full(ranks, 0.5), steal=np.full(ranks, np.nan),
                      other_work=np.full(ranks, 0.03), pressure=np.full(ranks, 0.25))
        for name, value in values.items():
            group[name] = value
            group[name].dims[0].attach_scale(file["rank"])
            group[name].attrs.update(units="1", _FillValue=np.nan)
        group.attrs.update(barrier_skew_median_before=8e-6, barrier_skew_median_after=5e-6,
                           barrier_skew_p99_before=9e-5, barrier_skew_p99_after=np.nan)


if __name__ == "__main__":
    sizes = [int(word) for word in sys.argv[2:6]]
    Made(*sizes, experts=64, clock="wall", block=8).write(sys.argv[1])
