"""The few SVG shapes that the page's figures are made of. Colours are classes of figure.css, so
that light, dark and print each have their own."""

import json
import math
from html import escape
from typing import Callable, Iterable, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

WIDTH = 520  # of a figure's own coordinates; the page scales it
CLASSES = 8  # of colour in heat maps
Scale = Callable[[float], float]
HATCHED = ("phase-barrier_wait",)  # waiting is the subject of the report: visible without colour


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"


def text(x: float, y: float, words: str, anchor: str = "start", style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return (f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"{kind}>'
            f"{escape(words)}</text>")


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return (f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
            f'class="{style}"/>')


def rect(x: float, y: float, width: float, height: float, style: str, tip: str = "") -> str:
    told = f' data-tip="{escape(tip)}"' if tip else ""
    return (f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(0.0, width))}" '
            f'height="{number(max(0.0, height))}" class="{style}"{told}/>')


def circle(x: float, y: float, radius: float, style: str, tip: str = "") -> str:
    told = f' data-tip="{escape(tip)}"' if tip else ""
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="{radius}" class="{style}"{told}/>'


def path(points: Iterable[Tuple[float, float]], style: str, tip: str = "") -> str:
    told = f' data-tip="{escape(tip)}"' if tip else ""
    where = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f'<path d="M{where}" class="{style}"{told}/>'


def boxes(cells: Iterable[Tuple[float, float, float, float]], style: str) -> str:
    """Many rectangles (x, y, width, height) as one path."""
    made = "".join(f"M{number(x)} {number(y)}h{number(w)}v{number(h)}h{number(-w)}z"
                   for x, y, w, h in cells)
    return f'<path d="{made}" class="{style}"/>' if made else ""


def hatched(cells: Iterable[Tuple[float, float, float, float]], style: str,
            gap: float = 5.0) -> str:
    """Boxes (x, y, width, height) under diagonal lines, so that they can be told from others
    without colours. Lines, not a pattern: a pattern's id would have to be unique on the page."""
    cells, made = list(cells), ""
    for x, y, w, h in cells:
        # Lines of slope 1 that cross the top edge at `start`, cut at the box's edges; all boxes
        # share one raster, so that neighbours continue each other's lines.
        start = math.ceil((x - h) / gap) * gap
        while start < x + w:
            left, right = max(start, x), min(start + h, x + w)
            if right - left > 0.3:
                made += (f"M{number(left)} {number(y + left - start)}"
                         f"L{number(right)} {number(y + right - start)}")
            start += gap
    lines = f'<path d="{made}" class="hatch"/>' if made else ""
    return boxes(cells, style) + lines


def figure(body: str, height: float, says: str, width: float = WIDTH) -> str:
    """The whole drawing; `says` is read to those who cannot see it."""
    return (f'<svg viewBox="0 0 {number(width)} {number(height)}" role="img" '
            f'aria-label="{escape(says)}">{body}</svg>')


def ticks(low: float, high: float, about: int = 5) -> List[float]:
    """Round values within [low, high]."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Linear map of [low, high] to [start, end]."""
    span = high - low if high > low else 1.0
    return lambda value: start + (value - low) / span * (end - start)


def plain(value: float) -> str:
    """A tick's label: no needless digits, thousands as k."""
    if abs(value) >= 10000:
        return f"{value / 1000:g}k"
    return f"{value:.10g}" if abs(value) >= 1e-4 or value == 0 else f"{value:g}"


def axis_x(at: Callable[[float], float], low: float, high: float, top: float, bottom: float,
           title: str, about: int = 5) -> str:
    """Grid lines, labels below, title below them (needs 32 units of height)."""
    body = "".join(line(at(t), top, at(t), bottom, "grid") +
                   text(at(t), bottom + 13, plain(round(t, 10)), "middle", "tick")
                   for t in ticks(low, high, about))
    return body + text((at(low) + at(high)) / 2, bottom + 29, title, "middle", "title")


def axis_y(at: Callable[[float], float], low: float, high: float, left: float, right: float,
           title: str, about: int = 5) -> str:
    """Grid lines, labels to the left, title above."""
    body = "".join(line(left, at(t), right, at(t), "grid") +
                   text(left - 5, at(t) + 4, plain(round(t, 10)), "end", "tick")
                   for t in ticks(low, high, about))
    return body + text(left - 40, at(high) - 9, title, "start", "title")


def classes_of(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.int64]:
    """Colour class 0 .. CLASSES-1 of every value, -1 for NaN."""
    span = high - low if high > low else 1.0
    share = np.nan_to_num((values - low) / span)
    found = np.clip((share * CLASSES).astype(int), 0, CLASSES - 1)
    return np.where(np.isnan(values), -1, found)


def heat_map(values: NDArray[np.float64], low: float, high: float, rows: Sequence[str],
             columns: Sequence[str], row_title: str, column_title: str, unit: str, says: str,
             digits: int = 1, width: float = WIDTH, cell: "float | None" = None,
             ringed: "NDArray[np.bool_] | None" = None) -> str:
    """values [row, column] as coloured cells, with a legend; NaN stays empty; `ringed` cells get
    a ring. Names of rows and
    columns are left out where they would not fit; the tooltip has them and the value."""
    count_rows, count_columns = values.shape
    left, top = max(46.0, 10 + 8.0 * max(len(name) for name in rows)), 20.0
    w = (width - left - 4) / count_columns
    h = cell or max(3.0, min(20.0, 260.0 / count_rows))
    kind = classes_of(values, low, high)
    body = text(4, 12, row_title, "start", "title")
    for one in range(CLASSES):
        cells = []
        for r in range(count_rows):  # neighbours of one colour become one box
            c = 0
            while c < count_columns:
                first = c
                while c < count_columns and kind[r, c] == one:
                    c += 1
                if c > first:
                    cells.append((left + first * w, top + r * h, (c - first) * w, h))
                c = max(c, first + 1)
        body += boxes(cells, f"q{one}")
    bottom = top + count_rows * h
    if ringed is not None:
        body += "".join(circle(left + c * w + w / 2, top + r * h + h / 2, max(2.0, min(w, h) * 0.35), "burst")
                        for r, c in zip(*np.nonzero(ringed)))
    if w >= 40 and h >= 16:  # room for the values themselves
        for r, c in zip(*np.nonzero(kind >= 0)):
            tone = "on-high" if kind[r, c] >= CLASSES // 2 else "on-low"
            body += text(left + c * w + w / 2, top + r * h + h / 2 + 4,
                         f"{values[r, c]:.{digits}f}", "middle", f"cell {tone}")
    every = max(1, math.ceil(13 / h))
    body += "".join(text(left - 5, top + r * h + h / 2 + 4, rows[r], "end", "tick")
                    for r in range(0, count_rows, every))
    every = max(1, math.ceil(max(len(name) for name in columns) * 10 / w))
    body += "".join(text(left + c * w + w / 2, bottom + 13, columns[c], "middle", "tick")
                    for c in range(0, count_columns, every))
    body += text((left + width) / 2, bottom + 28, column_title, "middle", "title")
    data = json.dumps({"x": left, "y": top, "w": w, "h": h, "unit": unit,
                       "rows": [f"{row_title} {name}" for name in rows],
                       "columns": [f"{column_title} {name}" for name in columns],
                       "values": [[None if math.isnan(v) else round(float(v), digits)
                                   for v in line] for line in values]}, separators=(",", ":"))
    body += f'<rect x="{left}" y="{top}" width="{number(width - left - 4)}" ' \
            f'height="{number(bottom - top)}" class="sense" data-map="{escape(data)}"/>'
    wide = 20.0
    for one in range(CLASSES):
        body += rect(left + 110 + one * wide, bottom + 36, wide, 9, f"q{one}")
    body += text(left + 104, bottom + 45, f"{low:.{digits}f}", "end", "tick")
    body += text(left + 116 + CLASSES * wide, bottom + 45, f"{high:.{digits}f} {unit}", "start",
                 "tick")
    return figure(body, bottom + 52, says, width)


def legend(entries: Sequence[Tuple[str, str]], x: float, y: float, most: float = WIDTH) -> str:
    """Coloured squares with names, (class, name), in a row that wraps."""
    body, at = "", x
    for style, name in entries:
        wide = 18 + 8.6 * len(name) + 10
        if at + wide > most and at > x:
            at, y = x, y + 17
        body += (hatched([(at, y - 9, 11, 11)], style) if style in HATCHED
                 else rect(at, y - 9, 11, 11, style)) + text(at + 15, y, name, "start", "tick")
        at += wide
    return body
