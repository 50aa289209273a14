"""Figures of a sweep: speed-up, step time and throughput over what was swept."""

import math
import os
from dataclasses import dataclass
from typing import Callable, List

import numpy as np

from . import draw_times, svg
from .sections import Section, source
from .sweep import AXES, Run
from .tables import Table, number, signed


@dataclass(frozen=True)
class Point:
    """A dot of a scaling figure: `place` along the axis, `value` with its interval, if any."""

    placement: str
    place: float
    value: float
    low: float
    high: float
    said: str


def _speed_ups(loaded: List[Run], axis: Callable[[Run], float]) -> List[Point]:
    """Time of the reference / own time: above 1 is faster."""
    def ratio(percent: float) -> float:
        return 1 / (1 + percent / 100)

    return [Point(one.placement, one.place, ratio(one.value), ratio(one.high), ratio(one.low),
                  f"{one.said}, speed-up {ratio(one.value):.3f}") for one in _gains(loaded, axis)]


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


def _scaling(points: List[Point], names: List[str], across: str, up: str,
             base: float = 0.0) -> str:
    """Points over one property of the runs, a line through each placement's; `names` of placements
    fix their colours, `base` is where the dashed line goes."""
    places = sorted({point.place for point in points})
    if len(places) < 2:
        return ""
    logarithmic = places[0] > 0 and places[-1] / places[0] >= 8

    def where(value: float) -> float:
        return float(np.log2(value)) if logarithmic else value

    low = min([base] + [point.low for point in points])
    high = max([base] + [point.high for point in points])
    room = (high - low) * 0.08 or 1.0
    low, high = low - (room if low < base or base else 0), high + room
    x = svg.scale(where(places[0]), where(places[-1]), 70, svg.WIDTH - 24)
    y = svg.scale(low, high, 234, 24)
    body = svg.axis_y(y, low, high, 48, svg.WIDTH - 4, up)
    for place in places:
        body += svg.text(x(where(place)), 248, svg.plain(round(place, 1)), "middle", "tick")
    body += svg.text((48 + svg.WIDTH) / 2, 265, across + (", logarithmic" if logarithmic else ""),
                     "middle", "title") + svg.line(48, y(base), svg.WIDTH - 4, y(base), "zero")
    for index, name in enumerate(names):  # through the mean of runs at one place
        own = [point for point in points if point.placement == name]
        at_places = sorted({point.place for point in own})
        if len(at_places) > 1:
            middle = [float(np.mean([point.value for point in own if point.place == place]))
                      for place in at_places]
            shift = (index - (len(names) - 1) / 2) * 6
            body += svg.path([(x(where(place)) + shift, y(value)) for place, value
                              in zip(at_places, middle)], f"{draw_times.style(index)} through")
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


def _message(gains: List[Point], across: str) -> str:
    """The best placement at both ends of the axis."""
    if not gains:
        return ""
    ends = []
    places = {min(one.place for one in gains), max(one.place for one in gains)}
    for place in sorted(places):
        best = min((one for one in gains if one.place == place), key=lambda one: one.value)
        ends.append(f"{best.placement} {best.value:+.1f} % at {svg.plain(round(place, 1))}")
    return f"Lowest step time against the reference, by {across}: {', '.join(ends)}."


def _table(loaded: List[Run], across: str, axis: Callable[[Run], float]) -> Table:
    cells = []
    for one in loaded:
        for row in one.rows:
            found = row.difference
            rate = row.rates["tokens_per_s"].value if "tokens_per_s" in row.rates else math.nan
            cells.append([f"{axis(one):g}", row.placement, number(
                None if found is None else 1 / (1 + found.typical), 3)]
                + [signed(getattr(found, name, None)) for name in ("typical", "low", "high")]
                + [number(rate, 0), os.path.basename(one.run.attrs["file"])])
    return Table(f"By {across}", "", [across, "placement", "speed-up x", "step time %",
                                     "95 % low %", "95 % high %", "tokens/s", "file"], cells)


def scaling(loaded: List[Run]) -> List[Section]:
    """A figure for every property in which the runs differ."""
    said = " ".join(sorted({source(one.run) for one in loaded}))
    names = list(dict.fromkeys(row.placement for one in loaded for row in one.rows))
    found = []
    for across, axis in AXES.items():
        gains = _gains(loaded, axis)
        panels = [("speed-up", _scaling(_speed_ups(loaded, axis), names, across,
                                        "speed-up over reference (x)", 1.0)),
                  ("step time", _scaling(gains, names, across,
                                         "step time against reference (%)")),
                  ("throughput", _scaling(_rates(loaded, axis), names, across,
                                          "thousand tokens/s"))]
        panels = [(name, drawing) for name, drawing in panels if drawing]
        if panels:
            found.append(Section(f"scaling-{across.split()[0]}", f"By {across}",
                                 "Every dot is one placement of a run, compared with the "
                                 "run's own reference, with its 95 % interval (none below 6 "
                                 "blocks of steps). Speed-up: time of the reference / own time; "
                                 "above 1 is faster. Step time: below zero is faster. Throughput: "
                                 f"tokens of a step divided by its time. {said}", panels,
                                 message=_message(gains, across), behind=_table(loaded, across, axis)))
    return found
