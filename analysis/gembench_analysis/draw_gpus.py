"""Clock, power and temperature of a GPU against time, with the placements' steps behind them."""

from typing import List, Tuple

import numpy as np
from numpy.typing import NDArray

from . import svg
from .draw_times import style
from .gpus import SHOWN, Series

COLUMNS = 400  # of a curve: more readings than that are shown by their range
LEFT, TALL, APART = 56.0, 92.0, 34.0


def _columns(time: NDArray[np.float64], values: NDArray[np.float64], low: float,
             high: float) -> List[Tuple[float, float, float, float]]:
    """(time, mean, least, most) of what falls into each column."""
    known = np.isfinite(values)
    time, values = time[known], values[known]
    if time.size == 0:
        return []
    if time.size <= COLUMNS:
        return [(float(t), float(v), float(v), float(v)) for t, v in zip(time, values)]
    which = np.clip(((time - low) / (high - low) * COLUMNS).astype(int), 0, COLUMNS - 1)
    found = []
    for column in np.unique(which):
        mine = which == column
        found.append((float(time[mine].mean()), float(values[mine].mean()),
                      float(values[mine].min()), float(values[mine].max())))
    return found


def _shades(one: Series, x: svg.Scale, top: float, bottom: float, placements: int,
            width: float) -> str:
    """Behind the curves: the placement that ran for the longest part of every pixel's time."""
    pixels = int(width - LEFT)
    longest = np.zeros((pixels, placements))
    for since, until, placement in zip(one.spans.begin, one.spans.end, one.spans.placement):
        if not 0 <= placement < placements:
            continue
        begin, end = x(since) - LEFT, x(until) - LEFT
        for pixel in range(max(0, int(begin)), min(pixels - 1, int(end)) + 1):
            longest[pixel, placement] += min(end, pixel + 1) - max(begin, pixel)
    winner = np.where(longest.max(axis=1) > 0, longest.argmax(axis=1), -1)
    body = ""
    for placement in range(placements):
        cells, pixel = [], 0
        while pixel < pixels:  # neighbours of one colour become one box
            first = pixel
            while pixel < pixels and winner[pixel] == placement:
                pixel += 1
            if pixel > first:
                cells.append((LEFT + first, top, float(pixel - first), bottom - top))
            pixel = max(pixel, first + 1)
        body += svg.boxes(cells, f"{style(placement)} shade")
    return body


def _starts(one: Series) -> List[slice]:
    """The readings of each start of the run: nothing is known of the time between."""
    ends = one.starts[1:] + [one.time.size]
    return [slice(begin, end) for begin, end in zip(one.starts, ends)]


def _curve(one: Series, name: str, x: svg.Scale, top: float, width: float,
           ends: Tuple[float, float]) -> str:
    title, _ = SHOWN[name]
    parts = [_columns(one.time[part], one.values[name][part], *ends) for part in _starts(one)]
    points = [point for part in parts for point in part]
    if not points:
        return svg.text(LEFT, top + TALL / 2, f"{title}: not reported", "start", "tick")
    low, high = min(point[2] for point in points), max(point[3] for point in points)
    margin = (high - low) * 0.08 or max(1.0, abs(high) * 0.02)
    low, high = low - margin, high + margin
    y = svg.scale(low, high, top + TALL, top)
    body = svg.axis_y(y, low, high, LEFT, width - 4, title, 3)
    values = one.values[name][np.isfinite(one.values[name]) & one.measured]
    tip = "" if values.size == 0 else (
        f"{title}: {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g} of "
        f"{values.size} readings while steps were measured")
    for part in filter(None, parts):
        if any(point[3] > point[2] for point in part):
            edge = [(x(t), y(most)) for t, _, _, most in part]
            edge += [(x(t), y(least)) for t, _, least, _ in reversed(part)]
            body += svg.path(edge, "range")
        body += svg.path([(x(t), y(mean)) for t, mean, _, _ in part], "series", tip)
    return body


def _held(one: Series) -> List[Tuple[float, float]]:
    """From when to when the clock was held down: between the middles to the readings beside."""
    found: List[Tuple[float, float]] = []
    for part in _starts(one):
        time = one.time[part]
        edges = np.concatenate([time[:1], (time[1:] + time[:-1]) / 2, time[-1:]])
        for index in np.flatnonzero(one.held[part]):
            begin, end = float(edges[index]), float(edges[index + 1])
            if found and found[-1][1] == begin:
                begin = found.pop()[0]
            found.append((begin, end))
    return found


def state(one: Series, labels: List[str], rank: int, width: float = svg.WIDTH) -> str:
    """Three curves on one time axis. Shaded: whose steps ran; dashed: before the first
    measured step; the strip below the clock: when it was held down."""
    low = float(one.time.min())
    high = max([float(one.time.max()), *one.spans.end.tolist()])
    if high <= low:
        high = low + 1
    x = svg.scale(low, high, LEFT, width - 8)
    tops = [24.0 + index * (TALL + APART) for index in range(len(SHOWN))]
    bottom = tops[-1] + TALL
    body = "".join(_shades(one, x, top, top + TALL, len(labels), width - 8) for top in tops)
    for begin, end in one.soaks:
        body += "".join(svg.rect(x(begin), top, x(end) - x(begin), TALL, "soak",
                                 f"soaking for {end - begin:.3g} s") for top in tops)
    axis = "s since the first measured step"
    if len(one.starts) > 1:
        axis += ", without the time until it was resumed"
    body += svg.axis_x(x, low, high, tops[0], bottom, axis, 8)
    for name, top in zip(SHOWN, tops):
        body += _curve(one, name, x, top, width, (low, high))
    strip = tops[0] + TALL + 3
    cells = [(x(begin), strip, max(1.0, x(end) - x(begin)), 5.0) for begin, end in _held(one)]
    body += svg.boxes(cells, "held")
    names = [(f"{style(index)} shade", label) for index, label in enumerate(labels)]
    if one.soaks:
        names.append(("soak", "soak"))
    if cells:
        names.append(("held", "clock held down"))
    return svg.figure(body + svg.legend(names, LEFT, bottom + 46, width), bottom + 54,
                      f"Clock, power and temperature of rank {rank}'s GPU over time", width)
