"""The tables of the report as rows of text, for HTML and Markdown alike."""

import math
from dataclasses import dataclass
from typing import List, Optional, Sequence

import xarray as xr

from .figures import rank_speeds
from .summary import Summary, drift


@dataclass(frozen=True)
class Table:
    """Cells are text; the first column is a name, the others are numbers unless `words`."""

    title: str
    note: str
    columns: Sequence[str]
    rows: List[List[str]]
    words: bool = False


def number(value: Optional[float], digits: int, factor: float = 1.0) -> str:
    """'-' for what was not measured."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value * factor:.{digits}f}"


def signed(value: Optional[float]) -> str:
    """A fraction in percent with its sign."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:+.2f}"


def _error(predicted: float, measured: float) -> str:
    return number(predicted / measured - 1 if measured else math.nan, 1, 100)


def comparison(rows: List[Summary]) -> Table:
    """The table of `gembench compare`."""
    cells = []
    for row in rows:
        found = row.difference
        span = "-"
        if found is not None and found.low is not None and found.high is not None:
            span = f"{100 * found.low:+.2f} .. {100 * found.high:+.2f}"
        last = "-" if row.straggler is None else (
            f"rank {row.straggler}: {100 * row.last_share[row.straggler]:.0f} %")
        cells.append([row.placement, signed(found.typical) if found else "reference", span,
                      signed(found.mean) if found else "-",
                      number(row.step_mean, 0, 1e6), number(row.step_p50, 0, 1e6),
                      number(row.step_p90, 0, 1e6), number(row.step_p99, 0, 1e6),
                      number(row.wait_share, 1, 100), last,
                      number(row.aggregate_imbalance, 3), number(row.step_imbalance, 3),
                      _error(row.planned, row.measured), str(row.steps)])
    return Table("Comparison", "Step time in us: all layers of a step, slowest rank. Against the "
                 "first placement (negative = faster): a typical step and its interval, then the means, which include "
                 "the cost of disturbed steps. Imbalance: "
                 "max/mean over ranks of tokens, of the run's sums and within a step; a placement "
                 "that considers speeds may raise it. Prediction: error of the predicted time to "
                 "the barriers, by the cost model used for planning.",
                 ["placement", "vs first %", "95 % interval", "of means %", "mean us", "p50", "p90", "p99",
                  "waiting %", "straggler", "imbalance", "in a step", "prediction %", "steps"],
                 cells)


def intervals(rows: List[Summary]) -> Table:
    """Statistics of the steps of each placement, with 95 % intervals; no rows if there are none."""
    columns = (("step_mean", "mean us", 0, 1e6), ("step_p50", "p50 us", 0, 1e6),
               ("step_p90", "p90 us", 0, 1e6), ("step_p99", "p99 us", 0, 1e6),
               ("wait_mean", "waiting us", 0, 1e6), ("wait_share", "waiting %", 1, 100),
               ("straggler_share", "straggler %", 0, 100))
    cells = []
    for row in rows:
        line = [row.placement]
        for name, _, digits, factor in columns:
            found = row.intervals.get(name)
            said = number(getattr(row, name), digits, factor)
            line.append(said if found is None else
                        f"{said} ({number(found.low, digits, factor)} .. "
                        f"{number(found.high, digits, factor)})")
        cells.append(line)
    known = any(found is not None for row in rows for found in row.intervals.values())
    return Table("Precision of these numbers",
                 "95 % intervals in brackets, if there are enough "
                 "steps: 6 blocks; 24 steps for p50, 70 for p90 and "
                 "700 for p99, and more where successive steps are "
                 "alike. The upper end of a mean allows for one "
                 "more disturbed step than measured, of three times "
                 "the median. Differences between placements are "
                 "paired and therefore more precise.",
                 ["placement"] + [title for _, title, _, _ in columns], cells if known else [])


def rates(rows: List[Summary]) -> Table:
    """The rates of `gembench compare`."""
    cells = [[row.placement] + [number(one.value, one.digits, one.factor)
                                for one in row.rates.values()]
             + [number(row.moved_bytes, 1, 2**-20), number(row.moved_seconds, 3)] for row in rows]
    return Table("Rates",
                 "TFLOP/s and GB/s of one rank; MB per step, all layers; '-' = not "
                 "measurable with this clock. Moved: expert weights sent at a switch to "
                 "the placement, mean.",
                 ["placement"] + [one.heading for one in rows[0].rates.values()]
                 + ["moved MiB", "moved s"], cells)


def changes(rows: List[Summary]) -> Table:
    """Changes of adaptive placements; no rows if there are none."""
    why = {"speeds": "speeds of ranks", "loads": "loads", "both": "speeds and loads"}
    cells = [[row.placement, str(change.after_step), why[change.reason], str(change.experts_moved),
              number(change.bytes_moved, 1, 2**-20), number(change.move_seconds, 3),
              number(change.planning_seconds, 3), number(-change.predicted_gain, 0, 1e6)]
             for row in rows for change in row.changes]
    return Table("Changes during the run",
                 "Moving and planning are wall-clock times and not part "
                 "of the placement's step times. The last column is the "
                 "predicted change of a step's time in us: negative = "
                 "faster.",
                 ["placement", "after step", "because of", "experts", "MiB", "moved s",
                  "planned s", "predicted us"], cells)


# Settings of a machine, shown per rank only if ranks differ.
MACHINE = ("kernel", "glibc", "governor", "turbo", "smt", "numa_nodes")


def _told(run: xr.Dataset, name: str) -> List[str]:
    """The ranks' distinct values of a fact; empty if no rank has one."""
    if f"environment_{name}" not in run:
        return []
    return sorted({str(value) for value in run[f"environment_{name}"].values} - {""})


def _of_rank(run: xr.Dataset, name: str) -> bool:
    """Whether a fact gets a column in the table of ranks: some rank has a value, and settings of
    the machine differ between ranks."""
    told = len(_told(run, name))
    return name != "profile_us" and told > (1 if name in MACHINE else 0)


def ranks(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary]) -> Table:
    """Every rank: where it ran, how fast it is, how often it is last."""
    speed, after = rank_speeds(run, reduced), drift(run)
    facts = [name for name in run.data_vars if str(name).startswith("environment_")
             and _of_rank(run, str(name).split("_", 1)[1])]
    gpu = [name for name in ("gpu_clock_before", "gpu_clock_after", "gpu_power_after",
                             "gpu_temperature_after") if name in run]
    columns = ["rank"] + [str(name).split("_", 1)[1] for name in facts] + [
        "emulated slowdown", "profiled time / fastest", "drift %"]
    columns += [f"last under {row.placement} %" for row in rows]
    told = {name: str(run[name].attrs.get("units", "")) for name in gpu}
    factor = {name: 1e-6 if unit == "Hz" else 1.0 for name, unit in told.items()}
    columns += [f"{name.split('_', 1)[1]} ({'MHz' if unit == 'Hz' else unit})"
                for name, unit in told.items()]
    cells = []
    for rank in range(run.sizes["rank"]):
        cells.append([str(rank)] + [str(run[name].values[rank]) for name in facts]
                     + [f"{float(run['slowdown'].values[rank]):g}",
                        "-" if speed is None else f"{speed.relative[rank]:.3f}",
                        "-" if after is None else signed(after[rank])]
                     + [number(row.last_share[rank], 0, 100) for row in rows]
                     + [number(float(run[name].values[rank]), 0, factor[name]) for name in gpu])
    return Table("Ranks",
                 "Profiled time: the expert phase at the mean load, relative to the "
                 "fastest rank's, emulation included. Drift: how much longer it took "
                 "when the profile was measured again after the run.", columns, cells)


def environment(run: xr.Dataset) -> Table:
    """Facts about the run, its options and the command."""
    facts = run.attrs
    rows = [["file", str(facts["file"])]]
    for name in ("program", "build", "created", "started", "mpi", "device", "onednn", "hdf5",
                 "hwloc", "clock", "clock_reason", "ranks_share", "model", "routing", "plan", "placement_files",
                 "profile_source", "trace_source", "nodes", "schema_version", "seed"):
        if name in facts:
            rows.append([name.replace("_", " "), str(facts[name])])
    for name in MACHINE:
        values = _told(run, name)
        if len(values) == 1:
            rows.append([name.replace("_", " "), values[0]])
    for name, value in facts.get("/timing", {}).items():
        if isinstance(value, float) and math.isfinite(value):
            rows.append([f"seconds: {name}", f"{value:.2f}"])
    check = facts.get("/check", {})
    if "mode" in check:
        said = {1: "passed", 0: "not passed"}.get(int(check.get("passed", -1)), "not known")
        rows.append(["check of outputs", f"{check['mode']}: {said}; "
                     f"{check.get('checked_tokens', 0)} outputs, worst error "
                     f"{check.get('worst_error', 0):.2g} (allowed {check.get('tolerance', 0):g})"])
    rows.append(["command", str(facts.get("command_line", "unknown"))])
    return Table("Environment", "As the program wrote it.", ["fact", "value"], rows, words=True)
