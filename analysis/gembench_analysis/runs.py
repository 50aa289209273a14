"""Several runs beside each other: clusters, seeds, models, sizes."""

import os
import re
from dataclasses import dataclass
from html import escape
from typing import Callable, Dict, List, Tuple

import numpy as np
import xarray as xr

from . import draw_times, page, svg
from .sections import Section, source
from .summary import Summary
from .tables import Table, number, signed
from .verdict import verdict


@dataclass(frozen=True)
class Run:
    """A run (load), its reduction (reduce) and its rows (summarise)."""

    run: xr.Dataset
    reduced: xr.Dataset
    rows: List[Summary]


def tokens_of(one: Run) -> float:
    """Tokens of a step, mean over the measured steps."""
    return float(one.reduced["tokens_of_step"].mean())


def spread_of(one: Run) -> float:
    """Slowest over fastest rank's emulated slowdown, - 1."""
    slowdown = one.run["slowdown"].values
    return float(slowdown.max() / slowdown.min() - 1)


AXES: Dict[str, Callable[[Run], float]] = {
    "ranks": lambda one: float(one.run.sizes["rank"]),
    "tokens a step": tokens_of,
    "emulated spread of rank speeds (%)": lambda one: 100 * spread_of(one),
}


def title(loaded: List[Run]) -> str:
    """The report's heading."""
    if len(loaded) > 1:
        return f"gembench: {len(loaded)} runs"
    model = str(loaded[0].run.attrs.get("model", "")).split(":")[0]
    return f"gembench: {model or os.path.basename(loaded[0].run.attrs['file'])}"


def overview(loaded: List[Run]) -> Table:
    """A row for every run and placement."""
    rows = []
    for one in loaded:
        facts = one.run.attrs
        names = list(one.run["environment_host"].values) if "environment_host" in one.run else []
        hosts = sorted({re.sub(r"\d+$", "", str(name)) for name in names})
        for row in one.rows:
            found = row.difference
            span = "-"
            if found is not None and found.low is not None and found.high is not None:
                span = f"{100 * found.low:+.2f} .. {100 * found.high:+.2f}"
            rows.append([
                os.path.basename(facts["file"]) + (" (unfinished)" if facts["unfinished"] else ""),
                str(facts.get("model", "")).split(":")[0], ", ".join(hosts) or "-",
                str(one.run.sizes["rank"]), number(tokens_of(one), 0), str(facts.get("seed", "-")),
                str(facts["clock"]), number(spread_of(one), 1, 100), row.placement,
                number(row.step_mean, 0, 1e6), signed(found.mean) if found else "reference", span,
                number(row.wait_share, 1, 100)])
    return Table("All runs", "Measured; step time in us. Speed spread: emulated, slowest over "
                 "fastest rank - 1; 0 = as the ranks are. Intervals are within a run; between runs "
                 "only seeds and machines can tell.",
                 ["file", "model", "hosts", "ranks", "tokens", "seed", "clock", "speed spread %",
                  "placement", "mean us", "vs first %", "95 % interval", "waiting %"], rows)


def _scaling(loaded: List[Run], name: str, axis: Callable[[Run], float]) -> str:
    """Difference to the reference by one property of the runs, a colour a placement."""
    points: Dict[str, List[Tuple[float, Summary, str]]] = {}
    for one in loaded:
        for row in one.rows[1:]:
            if row.difference is not None and np.isfinite(row.difference.mean):
                points.setdefault(row.placement, []).append(
                    (axis(one), row, os.path.basename(one.run.attrs["file"])))
    every = [point for group in points.values() for point in group]
    places = sorted({point[0] for point in every})
    if len(places) < 2:
        return ""
    logarithmic = places[0] > 0 and places[-1] / places[0] >= 8

    def where(value: float) -> float:
        return float(np.log2(value)) if logarithmic else value

    ends = [100 * value for _, row, _ in every if row.difference for value in
            (row.difference.mean, row.difference.low, row.difference.high) if value is not None]
    low, high = min([0.0] + ends), max([0.0] + ends)
    room = (high - low) * 0.08 or 1.0
    x = svg.scale(where(places[0]), where(places[-1]), 70, svg.WIDTH - 24)
    y = svg.scale(low - room, high + room, 234, 24)
    body = svg.axis_y(y, low - room, high + room, 48, svg.WIDTH - 4,
                      "step time against reference (%)")
    for place in places:
        body += svg.text(x(where(place)), 248, svg.plain(round(place, 1)), "middle", "tick")
    body += svg.text((48 + svg.WIDTH) / 2, 265, name + (", logarithmic" if logarithmic else ""),
                     "middle", "title") + svg.line(48, y(0), svg.WIDTH - 4, y(0), "zero")
    names = []
    for index, (label, group) in enumerate(points.items(), start=1):
        names.append((draw_times.style(index), label))
        shift = (index - (len(points) + 1) / 2) * 5
        for place, row, file in group:
            found = row.difference
            assert found is not None
            at = x(where(place)) + shift
            said = f"{label}, {file}: {100 * found.mean:+.2f} %"
            if found.low is not None and found.high is not None:
                body += svg.rect(at - 1.5, y(100 * found.high), 3,
                                 y(100 * found.low) - y(100 * found.high),
                                 f"{draw_times.style(index)} box")
                said += f" ({100 * found.low:+.2f} .. {100 * found.high:+.2f})"
            body += svg.circle(at, y(100 * found.mean), 4, f"{draw_times.style(index)} mean", said)
    return svg.figure(body + svg.legend(names, 52, 286), 312, f"Gain by {name}")


def scaling(loaded: List[Run]) -> List[Section]:
    """A figure for every property in which the runs differ."""
    said = " ".join(sorted({source(one.run) for one in loaded}))
    found = []
    for name, axis in AXES.items():
        drawing = _scaling(loaded, name, axis)
        if drawing:
            found.append(Section(f"scaling-{name.split()[0]}", f"Gain by {name}",
                                 "Every dot is a run and placement against its own reference, with "
                                 f"its 95 % interval; below zero is faster. {said}",
                                 [("", drawing)]))
    return found


def content(loaded: List[Run]) -> str:
    """The page's main part: one run in full, or a table of all and each to unfold."""
    if len(loaded) == 1:
        one = loaded[0]
        return page.run_part(one.run, one.reduced, one.rows)
    answers = "".join(
        f"<li><b>{escape(os.path.basename(one.run.attrs['file']))}</b>: "
        f"{escape(verdict(one.run, one.reduced, one.rows).sentence)}</li>" for one in loaded)
    parts = "".join(
        f"<details><summary>{escape(str(one.run.attrs['file']))}</summary>"
        f"{page.run_part(one.run, one.reduced, one.rows)}</details>" for one in loaded)
    return (f"<section class=answer><ul>{answers}</ul></section>"
            f"{page.table(overview(loaded))}{page.cards(scaling(loaded))}{parts}")
