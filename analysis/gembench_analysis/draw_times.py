"""Figures of time: distributions, differences, course of the run, predicted against measured."""

from typing import List, Tuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import figures, svg
from .reduction import planned_prediction
from .summary import Summary
from .verdict import percent


def style(index: int) -> str:
    """Colour class of a placement by its number; the reference is grey."""
    return f"p{min(index, 7)}"


def unit_of(seconds: float) -> Tuple[float, str]:
    """Factor and name of a unit in which `seconds` reads well."""
    for factor, name in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return factor, name
    return 1e6, "us"


def _range(values: NDArray[np.float64], room: float = 0.05) -> Tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * room or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def distributions(reduced: xr.Dataset) -> str:
    """Step times of every placement: dots (at most 160 quantiles), box of quartiles, mean."""
    times = figures.step_times(reduced)
    every = np.concatenate(list(times.values()))
    if every.size == 0:
        return ""
    factor, unit = unit_of(float(np.median(every)))
    low, high = _range(every * factor)
    at, height = svg.scale(low, high, 12, svg.WIDTH - 12), 54
    bottom = 6 + height * len(times)
    body = svg.axis_x(at, low, high, 4, bottom, f"step time ({unit}), slowest rank")
    for index, (label, seconds) in enumerate(times.items()):
        if seconds.size == 0:
            continue
        y, values = 6.0 + height * index, np.sort(seconds * factor)
        body += svg.text(12, y + 13, label, "start", "name")
        middle = y + 36
        q1, q2, q3 = (float(np.quantile(values, q)) for q in (0.25, 0.5, 0.75))
        body += svg.line(at(values[0]), middle, at(values[-1]), middle, "whisker")
        body += svg.rect(at(q1), middle - 9, at(q3) - at(q1), 18, f"{style(index)} box",
                         f"{label}: half of the steps take {q1:.4g} to {q3:.4g} {unit}")
        shown = values if values.size <= 160 else np.quantile(values, np.linspace(0, 1, 160))
        for k, value in enumerate(map(float, shown)):
            body += svg.circle(at(value), middle + ((k * 7) % 13 - 6) * 1.2, 2,
                               f"{style(index)} dot")
        body += svg.line(at(q2), middle - 11, at(q2), middle + 11, "median")
        mean = float(values.mean())
        body += svg.circle(at(mean), middle, 4.5, f"{style(index)} mean",
                           f"{label}: mean {mean:.4g} {unit}, median {q2:.4g}, "
                           f"p99 {np.quantile(values, 0.99):.4g}, {values.size} steps")
        body += svg.text(svg.WIDTH - 12, y + 13, f"mean {mean:.4g} {unit}", "end", "tick")
    return svg.figure(body, bottom + 34, "Distribution of step times by placement")


def differences(rows: List[Summary]) -> str:
    """Every placement's typical step time against the reference with its 95 % interval, if any."""
    found = [(index, row.placement, row.difference) for index, row in enumerate(rows)
             if row.difference is not None and np.isfinite(row.difference.typical)]
    if not found:
        return ""
    edges = [0.0]
    for _, _, one in found:
        edges += [100 * value for value in (one.typical, one.low, one.high) if value is not None]
    low, high = _range(np.array(edges), 0.12)
    at, height = svg.scale(low, high, 12, svg.WIDTH - 12), 40
    bottom = 4 + height * len(found)
    body = svg.axis_x(at, low, high, 4, bottom,
                      f"step time against {rows[0].placement} (%); left of zero is faster")
    body += svg.line(at(0), 4, at(0), bottom, "zero")
    for k, (index, label, one) in enumerate(found):
        y = 4 + height * k
        body += svg.text(12, y + 13, label, "start", "name")
        said = f"{label}: {100 * one.typical:+.2f} %"
        if one.low is not None and one.high is not None:
            said += f", 95 % interval {100 * one.low:+.2f} to {100 * one.high:+.2f} %"
            body += svg.rect(at(100 * one.low), y + 22, at(100 * one.high) - at(100 * one.low), 8,
                             f"{style(index)} box", said)
        body += svg.circle(at(100 * one.typical), y + 26, 5, f"{style(index)} mean", said)
        body += svg.text(svg.WIDTH - 12, y + 13, said.split(": ")[1], "end", "tick")
    known = any(one.low is not None for _, _, one in found)
    return svg.figure(body, bottom + 34, "Differences in step time"
                      + (" with 95 % intervals" if known else ", without intervals"))


def course(reduced: xr.Dataset) -> str:
    """Step time in the order in which steps ran: drift shows as a slope."""
    courses = figures.over_the_run(reduced)
    seconds = np.concatenate([one.seconds for one in courses.values()])
    if seconds.size == 0:
        return ""
    factor, unit = unit_of(float(np.median(seconds)))
    low, high = _range(seconds * factor)
    orders = np.concatenate([one.order for one in courses.values()])
    x = svg.scale(float(orders.min()), float(orders.max()), 56, svg.WIDTH - 8)
    y = svg.scale(low, high, 214, 24)
    body = svg.axis_y(y, low, high, 48, svg.WIDTH - 4, f"step time ({unit})")
    body += svg.axis_x(x, float(orders.min()), float(orders.max()), 24, 214,
                       "running number of the step")
    for index, (label, one) in enumerate(courses.items()):
        for order, value in zip(one.order, one.seconds * factor):
            body += svg.circle(x(order), y(value), 2.6, f"{style(index)} dot",
                               f"{label}: {value:.4g} {unit}"
                               + (" (mean of neighbouring steps)" if one.pooled else ""))
    names = [(style(index), label) for index, label in enumerate(courses)]
    return svg.figure(body + svg.legend(names, 52, 262), 268, "Step times over the run")


def prediction(reduced: xr.Dataset) -> str:
    """Time to the barriers of every step, as predicted (x) and as measured (y)."""
    measured = reduced["measured"].values
    predicted = reduced[planned_prediction(reduced)].values
    known = ~np.isnan(measured) & ~np.isnan(predicted)
    if not known.any():
        return ""
    factor, unit = unit_of(float(np.median(measured[known])))
    both = np.concatenate([measured[known], predicted[known]]) * factor
    low, high = _range(both)
    x, y = svg.scale(low, high, 56, svg.WIDTH - 8), svg.scale(low, high, 254, 24)
    body = svg.axis_y(y, low, high, 48, svg.WIDTH - 4, f"measured ({unit})")
    body += svg.axis_x(x, low, high, 24, 254, f"predicted from profile and loads ({unit})")
    body += svg.line(x(low), y(low), x(high), y(high), "zero")
    for index, label in enumerate(figures.labels(reduced)):
        steps = np.flatnonzero(known[index])
        for step in steps[::max(1, len(steps) // 200)]:
            p, m = predicted[index, step] * factor, measured[index, step] * factor
            body += svg.circle(x(p), y(m), 2.6, f"{style(index)} dot",
                               f"{label}, step {step}: predicted {p:.4g}, measured {m:.4g} {unit}"
                               f" ({percent(p / m - 1)})")
    names = [(style(index), label) for index, label in enumerate(figures.labels(reduced))]
    return svg.figure(body + svg.legend(names, 52, 302), 308,
                      "Predicted against measured time to the barriers")
