"""gembench sensitivity --format json as a chart: step time against imbalance of loads, with a panel
for every spread of speeds."""

import json
import math
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from . import draw_times, figure_files, svg
from .loading import FileError

LARGEST = 1 << 22  # bytes of a file
MOST_PANELS = 12
TALL, GAP = 120.0, 56.0  # of a panel; below it, for labels and the next heading


@dataclass(frozen=True)
class Row:
    """A strategy at one imbalance and spread; fractions of 1, None = unknown."""

    strategy: str
    alpha: float
    spread: float
    change: Optional[float]
    low: Optional[float]
    high: Optional[float]


def _number(value: Any) -> Optional[float]:
    """A finite number or None; anything else is an error."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise ValueError("not a number")
    return float(value)


def _row(one: Dict[str, Any]) -> Row:
    alpha, spread = _number(one["alpha"]), _number(one["spread"])
    if alpha is None or spread is None:
        raise ValueError("no alpha or spread")
    return Row(str(one["strategy"]), alpha, spread, _number(one["change"]), _number(one["low"]),
               _number(one["high"]))


def _read(path: str) -> Dict[str, Any]:
    try:
        if os.path.getsize(path) > LARGEST:
            raise ValueError("too large")
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if not isinstance(found, dict):
            raise ValueError("not an object")
        found["sensitivity"] = [_row(one) for one in found["sensitivity"]]
        return found
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise FileError(f"{path}: is not the output of gembench sensitivity --format json; make "
                        "it again") from None


def _panel(rows: List[Row], names: List[str], low: float, high: float, top: float) -> str:
    """One spread; `low` and `high` in percent."""
    places = sorted({row.alpha for row in rows})
    x = svg.scale(places[0], places[-1], 70, svg.WIDTH - 24)
    y = svg.scale(low, high, top + TALL, top)
    spread = rows[0].spread
    said = f"the slowest rank takes {100 * spread:g} % longer" if spread else "ranks equally fast"
    body = svg.text(48, top - 9, said, "start", "name")
    body += svg.axis_y(y, low, high, 48, svg.WIDTH - 4, "", 4)
    body += svg.line(48, y(0), svg.WIDTH - 4, y(0), "zero")
    body += "".join(svg.text(x(place), top + TALL + 14, svg.plain(place), "middle", "tick")
                    for place in places)
    for index, name in enumerate(names):
        shift = (index - (len(names) - 1) / 2) * 6
        kind = draw_times.style(index + 1)  # 0 is the reference's, the dashed line here
        own = [row for row in rows if row.strategy == name and row.change is not None]
        points = [(x(row.alpha) + shift, y(100 * (row.change or 0))) for row in own]
        if len(points) > 1:
            body += svg.path(points, f"{kind} through")
        for row, (at, middle) in zip(own, points):
            said = f"{name} at alpha {row.alpha:g}: {100 * (row.change or 0):+.2f} %"
            if row.low is not None and row.high is not None:
                said += f" ({100 * row.low:+.2f} .. {100 * row.high:+.2f})"
                body += svg.rect(at - 1.5, y(100 * row.high), 3, y(100 * row.low) - y(100 * row.high),
                                 f"{kind} box", said)
            body += svg.circle(at, middle, 3.5, f"{kind} mean", said)
    return body


def chart(path: str) -> str:
    """The chart of a file as a self-contained SVG document."""
    found = _read(path)
    rows: List[Row] = found["sensitivity"]
    shown = [row for row in rows if row.change is not None]
    spreads = sorted({row.spread for row in shown})
    if not shown or len(spreads) > MOST_PANELS:
        raise FileError(f"{path}: has {len(spreads)} spreads of speeds to compare strategies at; "
                        f"give 1 to {MOST_PANELS}, and two strategies")
    names = list(dict.fromkeys(row.strategy for row in shown))
    ends = [100 * value for row in shown for value in (row.change, row.low, row.high)
            if value is not None] + [0.0]
    room = (max(ends) - min(ends)) * 0.06 or 1.0
    reference = next((row.strategy for row in rows if row.change is None), "the first strategy")
    body, top = svg.text(8, 12, f"step time against {reference} (%)", "start", "title"), 44.0
    for spread in spreads:
        body += _panel([row for row in shown if row.spread == spread], names, min(ends) - room,
                       max(ends) + room, top)
        top += TALL + GAP
    bottom = top - GAP + 31
    body += svg.text((48 + svg.WIDTH) / 2, bottom, "alpha of the power law of loads", "middle",
                     "title")
    body += svg.legend([(draw_times.style(index + 1), name) for index, name in enumerate(names)],
                       52, bottom + 22)
    drawing = svg.figure(body, bottom + 32, "step time by imbalance and spread of speeds")
    best = min(shown, key=lambda row: row.change if row.change is not None else math.inf)
    heading = (f"Most is gained at alpha {best.alpha:g} and {100 * best.spread:g} % spread of speeds: "
               f"{best.strategy} {100 * (best.change or 0):+.1f} % step time")
    said = (f"Predicted by {found.get('profile')}; {found.get('ranks')} ranks; "
            f"{found.get('loads')}; mean of {found.get('draws')} draws with its 95 % interval, "
            "judged on steps not planned on.")
    return figure_files.alone(drawing, heading, f"Below zero is faster than {reference}.", said)
