"""Figures by rank: barrier wait, who is last and why, speeds, bytes between ranks."""

from typing import List, Tuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import figures, svg
from .attribution import CAUSES
from .draw_times import unit_of

MOST_ROWS, MOST_COLUMNS = 64, 96


def pooled(values: NDArray[np.float64], most: int, axis: int,
           least: bool = False) -> Tuple[NDArray[np.float64], List[str]]:
    """Means (or the least) of neighbours along an axis when there are more than `most`; names like
    0 or 0-3."""
    count = values.shape[axis]
    each = -(-count // most)
    if each == 1:
        return values, [str(k) for k in range(count)]
    starts = np.arange(0, count, each)
    sizes = np.diff(np.append(starts, count))
    shape = [1] * values.ndim
    shape[axis] = len(sizes)
    if least:
        found = np.minimum.reduceat(values, starts, axis=axis)
    else:
        found = np.add.reduceat(values, starts, axis=axis) / sizes.reshape(shape)
    return found, [f"{a}-{a + n - 1}" if n > 1 else str(a) for a, n in zip(starts, sizes)]


def wait_map(reduced: xr.Dataset, placement: str) -> str:
    """Rank x layer: mean barrier wait of one placement, one colour scale for all placements."""
    every = figures.wait_map(reduced)
    if np.isnan(every.values).all():
        return ""
    factor, unit = unit_of(float(every.mean()))
    high = float(every.max()) * factor
    values, ranks = pooled(every.sel(placement=placement).values * factor, MOST_ROWS, 0,
                           least=True)  # who waits least is the one that others wait for
    values, layers = pooled(values, MOST_COLUMNS, 1)
    return svg.heat_map(values, 0.0, high, ranks, layers, "rank", "layer", unit,
                        f"Barrier wait by rank and layer under {placement}")


def last_and_why(reduced: xr.Dataset) -> str:
    """For every placement and rank: seconds a step by which others wait for it, by cause."""
    causes = figures.causes(reduced)
    share = figures.straggler_share(reduced)
    if not np.isfinite(share.values).any():
        return ""
    positive = causes.clip(min=0)
    factor, unit = unit_of(float(positive.sum("cause").max()))
    low = float(causes.clip(max=0).sum("cause").min()) * factor
    high = float(positive.sum("cause").max()) * factor
    ranks = causes.sizes["rank"]
    shown: NDArray[np.int64] = np.arange(ranks)
    if ranks > 8:  # those that are waited for most
        shown = np.sort(np.argsort(-causes.sum("cause").max("placement").values)[:8])
    left = 14.0 + 8 * len(f"rank {shown[-1]}")
    at = svg.scale(min(0.0, low), high, left, svg.WIDTH - 96)
    body, y = "", 4.0
    parts = ""
    for label in figures.labels(reduced):
        parts += svg.text(4, y + 13, label, "start", "name")
        y += 19
        for rank in shown:
            parts += svg.text(left - 6, y + 11, f"rank {rank}", "end", "tick")
            right, leftmost = at(0), at(0)
            for cause in CAUSES:
                value = float(causes.sel(placement=label, cause=cause).values[rank]) * factor
                wide = at(abs(value)) - at(0)
                x = right if value >= 0 else leftmost - wide
                right, leftmost = ((right + wide, leftmost) if value >= 0
                                   else (right, leftmost - wide))
                parts += svg.rect(x, y + 1, wide, 13, f"cause-{cause}",
                                  f"{label}, rank {rank}: {value:+.3g} {unit} a step by {cause}")
            parts += svg.text(right + 6, y + 12,
                              f"last in {100 * float(share.sel(placement=label)[rank]):.0f} %",
                              "start", "tick")
            y += 17
        y += 7
    body = svg.axis_x(at, min(0.0, low), high, 4, y,
                      f"later than the mean rank when last ({unit} a step)", 4)
    body += svg.line(at(0), 4, at(0), y, "zero") + parts
    names = [(f"cause-{cause}", cause) for cause in CAUSES]
    return svg.figure(body + svg.legend(names, 62, y + 48), y + 58,
                      "How much others wait for each rank, by cause")


def speeds(run: xr.Dataset, reduced: xr.Dataset) -> str:
    """Latency of the expert phase by load, a line a rank, with the run's mean load."""
    found = figures.rank_speeds(run, reduced)
    if found is None:
        return ""
    factor, unit = unit_of(float(found.seconds.max()))
    loads = reduced["assignments"].values
    edge = min(float(found.tokens[-1]), float(np.nanmax(loads)) * 1.6)
    inside = slice(0, max(2, int(np.searchsorted(found.tokens, edge)) + 1))
    tokens, seconds = found.tokens[inside], found.seconds[:, inside] * factor
    high = float(seconds.max()) * 1.05
    x = svg.scale(0, float(tokens[-1]), 56, svg.WIDTH - 64)
    y = svg.scale(0, high, 224, 24)
    body = svg.axis_y(y, 0, high, 48, svg.WIDTH - 60, f"expert phase ({unit})")
    body += svg.axis_x(x, 0, float(tokens[-1]), 24, 224, "assignments to the rank")
    body += svg.line(x(found.at), 24, x(found.at), 224, "zero")
    body += svg.text(x(found.at) + 4, 218, "mean load", "start", "tick")
    ranks = len(seconds)
    order = np.argsort(-seconds[:, -1])
    named = {int(order[0]), int(order[-1])} if ranks > 8 else set(range(ranks))
    used: List[float] = []
    for rank in order:
        said = (f"rank {rank}: {found.relative[rank]:.3f} times the fastest rank's time at the "
                f"mean load; emulated slowdown {float(run['slowdown'].values[rank]):g}")
        hot = rank == int(found.relative.argmax())
        body += svg.path(((x(t), y(s)) for t, s in zip(tokens, seconds[rank])),
                         "curve slowest" if hot else "curve", said)
        if int(rank) in named:
            at = y(seconds[rank, -1]) + 4
            at = max([at] + [other + 15 for other in used])
            used.append(at)
            body += svg.text(svg.WIDTH - 60, at, f"rank {rank}", "start",
                             "name" if hot else "tick")
    for fall in figures.falls(run):
        if fall.point < len(tokens):
            at_x, at_y = x(tokens[fall.point]), y(seconds[fall.rank, fall.point])
            body += svg.path([(at_x - 6, at_y - 13), (at_x + 6, at_y - 13), (at_x, at_y - 3)], "fall",
                             f"rank {fall.rank}: latency falls by {100 * fall.share:.1f} % from "
                             f"{tokens[fall.point - 1]:.0f} to {tokens[fall.point]:.0f} assignments")
    return svg.figure(body, 262, "Latency of every rank by load")


def bytes_map(run: xr.Dataset, placement: str) -> str:
    """Dispatch payload between ranks over the measured steps; the diagonal was not sent."""
    every = figures.bytes_pair(run)
    if np.isnan(every.values).all():
        return ""
    values = every.sel(placement=placement).values / 1e6
    high = float(every.max()) / 1e6
    values, names = pooled(values, MOST_ROWS, 0)
    values, other = pooled(values, MOST_ROWS, 1)
    cell = min(24.0, (svg.WIDTH - 50) / len(other))
    return svg.heat_map(values, 0.0, high, names, other, "from", "to", "MB",
                        f"Payload between ranks under {placement}", cell=cell)
