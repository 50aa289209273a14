"""Several runs side by side: clusters, seeds, models, sizes."""

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
                row.placement, signed(found.typical) if found else "reference", span,
                number(row.step_mean, 0, 1e6), number(row.wait_share, 1, 100),
                str(facts.get("model", "")).split(":")[0], str(one.run.sizes["rank"]),
                number(tokens_of(one), 0), number(spread_of(one), 1, 100),
                str(facts.get("seed", "-")), str(facts["clock"]), ", ".join(hosts) or "-"])
    return Table("All runs", "Measured; step time in us. Speed spread: emulated, slowest over "
                 "fastest rank - 1; 0 = as the ranks are. Intervals are within a run; gembench "
                 "compare pools launches of one configuration.",
                 ["file", "placement", "vs first %", "95 % interval", "mean us", "waiting %",
                  "model", "ranks", "tokens", "speed spread %", "seed", "clock", "hosts"], rows)


@dataclass(frozen=True)
class Point:
    """A dot of a scaling figure: `place` along the axis, `value` with its interval, if any."""

    placement: str
    place: float
    value: float
    low: float
    high: float
    said: str


def _gains(loaded: List[Run], axis: Callable[[Run], float]) -> List[Point]:
    """Difference to the reference in percent."""
    points = []
    for one in loaded:
        name = os.path.basename(one.run.attrs["file"])
        for row in one.rows[1:]:
            found = row.difference
            if found is None or not np.isfinite(found.typical):
                continue
            mean = 100 * found.typical
            low, high = (100 * (found.typical if value is None else value)
                         for value in (found.low, found.high))
            span = "no interval" if found.low is None else f"{low:+.2f} .. {high:+.2f}"
            points.append(Point(row.placement, axis(one), mean, low, high,
                                f"{row.placement}, {name}: {mean:+.2f} % ({span})"))
    return points


def _rates(loaded: List[Run], axis: Callable[[Run], float]) -> List[Point]:
    """Tokens per second, thousands."""
    points = []
    for one in loaded:
        name = os.path.basename(one.run.attrs["file"])
        for row in one.rows:
            rate = row.rates["tokens_per_s"].value / 1e3 if "tokens_per_s" in row.rates else np.nan
            if np.isfinite(rate):
                points.append(Point(row.placement, axis(one), rate, rate, rate,
                                    f"{row.placement}, {name}: {1e3 * rate:.0f} tokens/s"))
    return points


def _scaling(points: List[Point], names: List[str], across: str, up: str) -> str:
    """Points over one property of the runs; `names` of placements fix their colours."""
    places = sorted({point.place for point in points})
    if len(places) < 2:
        return ""
    logarithmic = places[0] > 0 and places[-1] / places[0] >= 8

    def where(value: float) -> float:
        return float(np.log2(value)) if logarithmic else value

    low = min([0.0] + [point.low for point in points])
    high = max([0.0] + [point.high for point in points])
    room = (high - low) * 0.08 or 1.0
    low, high = low - (room if low < 0 else 0), high + room
    x = svg.scale(where(places[0]), where(places[-1]), 70, svg.WIDTH - 24)
    y = svg.scale(low, high, 234, 24)
    body = svg.axis_y(y, low, high, 48, svg.WIDTH - 4, up)
    for place in places:
        body += svg.text(x(where(place)), 248, svg.plain(round(place, 1)), "middle", "tick")
    body += svg.text((48 + svg.WIDTH) / 2, 265, across + (", logarithmic" if logarithmic else ""),
                     "middle", "title") + svg.line(48, y(0), svg.WIDTH - 4, y(0), "zero")
    for point in points:
        index = names.index(point.placement)
        at = x(where(point.place)) + (index - (len(names) - 1) / 2) * 6
        kind = draw_times.style(index)
        if point.high > point.low:
            body += svg.rect(at - 1.5, y(point.high), 3, y(point.low) - y(point.high),
                             f"{kind} box", point.said)
        body += svg.circle(at, y(point.value), 4, f"{kind} mean", point.said)
    shown = [name for name in names if any(point.placement == name for point in points)]
    entries = [(draw_times.style(names.index(name)), name) for name in shown]
    return svg.figure(body + svg.legend(entries, 52, 286), 296, f"{up} by {across}")


def scaling(loaded: List[Run]) -> List[Section]:
    """A figure for every property in which the runs differ."""
    said = " ".join(sorted({source(one.run) for one in loaded}))
    names = list(dict.fromkeys(row.placement for one in loaded for row in one.rows))
    found = []
    for across, axis in AXES.items():
        panels = [("gain", _scaling(_gains(loaded, axis), names, across,
                                    "step time against reference (%)")),
                  ("throughput", _scaling(_rates(loaded, axis), names, across,
                                          "thousand tokens/s"))]
        panels = [(name, drawing) for name, drawing in panels if drawing]
        if panels:
            found.append(Section(f"scaling-{across.split()[0]}", f"By {across}",
                                 "Every dot is one placement of a run. Gain: compared with the "
                                 "run's own reference, with its 95 % interval (none below 6 "
                                 "blocks of steps); below zero is faster. Throughput: tokens of a "
                                 f"step divided by its time. {said}", panels))
    return found


def content(loaded: List[Run]) -> str:
    """The page's main part: one run in full, or a table of all runs and each run folded."""
    if len(loaded) == 1:
        one = loaded[0]
        return page.run_part(one.run, one.reduced, one.rows)
    answers = ""
    for one in loaded:
        found = verdict(one.run, one.reduced, one.rows)
        said = " ".join([found.sentence] + found.warnings)
        answers += (f"<li><b>{escape(os.path.basename(one.run.attrs['file']))}</b>: "
                    f"{escape(said)}</li>")
    held = " ".join(sorted({source(one.run) for one in loaded}))
    parts = "".join(
        f"<details><summary>{escape(str(one.run.attrs['file']))}</summary>"
        f"{page.run_part(one.run, one.reduced, one.rows)}</details>" for one in loaded)
    return (f"<section class=answer><ul>{answers}</ul>"
            f"<p class=conditions><b>Holds for.</b> {escape(held)}</p></section>"
            f"{page.table(overview(loaded))}{page.cards(scaling(loaded))}{parts}")
