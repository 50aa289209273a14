"""The table behind every figure: its numbers as text, to be read, searched and copied."""

from typing import Dict, List, Sequence

import numpy as np
import xarray as xr

from . import figures, gpus
from .draw_arrivals import PHASES
from .experts import KINDS, LayerLoads
from .reduction import planned_prediction
from .summary import Summary
from .tables import Table, number, signed

MOST_ROWS = 400  # results.h5 has the rest; a page with every step would be too large


def _table(title: str, columns: Sequence[str], rows: List[List[str]]) -> Table:
    note = "" if len(rows) <= MOST_ROWS else (
        f"The first {MOST_ROWS} of {len(rows)} rows; results.h5 holds all.")
    return Table(title, note, columns, rows[:MOST_ROWS])


def _us(seconds: float) -> str:
    return number(float(seconds), 1, 1e6)


def difference(rows: List[Summary]) -> Table:
    cells = []
    for row in rows[1:]:
        found = row.difference
        if found is not None:
            cells.append([row.placement, signed(found.typical), signed(found.low),
                          signed(found.high), signed(found.mean), str(found.blocks)])
    return _table("Step time against the first placement",
                  ["placement", "typical %", "95 % low %", "95 % high %", "of means %", "blocks"], cells)


def distribution(reduced: xr.Dataset) -> Table:
    cells = []
    for label, seconds in figures.step_times(reduced).items():
        if seconds.size:
            cells.append([label] + [_us(float(np.quantile(seconds, q)))
                                    for q in (0, 0.25, 0.5, 0.75, 0.9, 0.99, 1)]
                         + [_us(seconds.mean()), str(seconds.size)])
    return _table("Step time by placement", ["placement", "least us", "p25 us", "p50 us", "p75 us",
                                            "p90 us", "p99 us", "most us", "mean us", "steps"], cells)


def why(reduced: xr.Dataset) -> Table:
    causes, share = figures.causes(reduced), figures.straggler_share(reduced)
    names = [str(name) for name in causes["cause"].values]
    cells = [[label, str(rank)] + [_us(causes.sel(placement=label, cause=name).values[rank])
                                   for name in names]
             + [number(float(share.sel(placement=label)[rank]), 1, 100)]
             for label in figures.labels(reduced) for rank in range(causes.sizes["rank"])]
    return _table("Later than the mean rank when last, by cause",
                  ["placement", "rank"] + [f"{name} us a step" for name in names] + ["last %"], cells)


def wait(reduced: xr.Dataset) -> Table:
    every = figures.wait_map(reduced)
    cells = [[label, str(rank), str(layer), _us(value)] for label in figures.labels(reduced)
             for (rank, layer), value in np.ndenumerate(every.sel(placement=label).values)]
    return _table("Mean wait at the barrier", ["placement", "rank", "layer", "wait us"], cells)


def speeds(run: xr.Dataset, reduced: xr.Dataset) -> Table:
    found = figures.rank_speeds(run, reduced)
    if found is None:
        return _table("Latency by load", [], [])
    fallen = {(one.rank, one.point) for one in figures.falls(run)}
    cells = [[str(rank), f"{tokens:.0f}", _us(found.seconds[rank, point]),
              "falls" if (rank, point) in fallen else ""]
             for rank in range(len(found.seconds)) for point, tokens in enumerate(found.tokens)]
    return _table("Latency of the expert phase by load",
                  ["rank", "assignments", "expert phase us", "mark"], cells)


def prediction(reduced: xr.Dataset) -> Table:
    predicted, measured = reduced[planned_prediction(reduced)].values, reduced["measured"].values
    cells = [[label, str(step), _us(predicted[index, step]), _us(measured[index, step]),
              signed(predicted[index, step] / measured[index, step] - 1)]
             for index, label in enumerate(figures.labels(reduced))
             for step in np.flatnonzero(np.isfinite(measured[index]))]
    return _table("Time to the barriers", ["placement", "step", "predicted us", "measured us",
                                          "predicted / measured - 1 %"], cells)


def arrivals(run: xr.Dataset, reduced: xr.Dataset) -> Table:
    cells = []
    for reason, step in figures.chosen_steps(reduced).items():
        found = figures.arrivals(run, step, reason)
        for p, label in enumerate(figures.labels(reduced)):
            for rank in range(run.sizes["rank"]):
                cells.append([str(step), label, str(rank)] + [
                    _us(found.phases[name][p, :, rank].sum()) for name in PHASES])
    return _table("Phases of the shown steps, sum over layers", ["step", "placement", "rank"] + [
        f"{said} us" for said in PHASES.values()], cells)


def loads(shown: List[LayerLoads]) -> Table:
    cells = [[str(layer.layer), str(expert), KINDS[layer.kind[expert]],
              number(float(layer.mean[expert]), 1), number(float(layer.duty[expert]), 1, 100),
              number(float(layer.burst[expert]), 2), str(int(layer.bursts[expert].sum()))]
             for layer in shown for expert in np.argsort(-layer.mean, kind="stable")]
    return _table("Loads of experts", ["layer", "expert", "kind", "tokens a step", "used in % of steps",
                                      "load when used / mean load", "windows with a burst"], cells)


def placement(run: xr.Dataset, shown: List[LayerLoads]) -> Table:
    labels = [str(label) for label in run["placement"].values]
    cells = []
    for layer in shown:
        slots = run["slots"].isel(layer=layer.layer).values.astype(int)
        for p, label in enumerate(labels):
            for rank, held in enumerate(slots[p]):
                own = [int(one) for one in held if one >= 0]
                cells.append([str(layer.layer), label, str(rank), " ".join(map(str, own)),
                              number(float(sum(layer.mean[one] for one in own)), 1)])
    return _table("Experts of every rank", ["layer", "placement", "rank", "experts",
                                           "tokens a step"], cells)


def course(reduced: xr.Dataset) -> Table:
    cells = [[label, f"{order:g}", _us(value)]
             for label, one in figures.over_the_run(reduced).items()
             for order, value in zip(one.order, one.seconds)]
    return _table("Step times in the order of execution",
                  ["placement", "running number", "step time us"], cells)


def sent(run: xr.Dataset) -> Table:
    every = figures.bytes_pair(run)
    cells = [[str(label), str(src), str(dst), number(float(value) / 1e6, 4)]
             for label in run["placement"].values
             for (src, dst), value in np.ndenumerate(every.sel(placement=label).values)]
    return _table("Payload between ranks", ["placement", "from", "to", "MB"], cells)


def states(run: xr.Dataset) -> Table:
    """Means by placement: that of all readings is no number of the run."""
    cells = []
    for rank in range(run.sizes["rank"]):
        one = gpus.series(run, rank)
        if one is None:
            continue
        which = np.where(one.measured, gpus.under(one), -1)
        for placement, label in enumerate(run["placement"].values):
            mine = which == placement
            if mine.any():
                with np.errstate(invalid="ignore"):
                    values = [one.values[name][mine] for name in gpus.SHOWN]
                cells.append([str(rank), str(label), str(int(mine.sum()))] + [
                    number(float(value[np.isfinite(value)].mean()), 1)
                    if np.isfinite(value).any() else "-" for value in values]
                             + [number(float(one.held[mine].mean()), 1, 100)])
    return _table("State of the GPUs, means of the readings in measured steps",
                  ["rank", "placement", "readings"] + [title for title, _ in gpus.SHOWN.values()]
                  + ["clock held down %"], cells)


def behind(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary],
           shown: List[LayerLoads]) -> Dict[str, Table]:
    """Section key -> the table behind the figure."""
    return {"difference": difference(rows), "distribution": distribution(reduced),
            "why": why(reduced), "wait": wait(reduced), "speeds": speeds(run, reduced),
            "prediction": prediction(reduced), "arrivals": arrivals(run, reduced),
            "loads": loads(shown), "placement": placement(run, shown[:3]),
            "course": course(reduced), "bytes": sent(run),
            "gpus": states(run)}
