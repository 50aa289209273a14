"""The arrival timeline of one step: what every rank did in every layer, and when it waited."""

from typing import Dict, List

import numpy as np
from numpy.typing import NDArray

from . import svg
from .draw_times import unit_of
from .figures import Arrivals

PHASES = {"route_time": "route", "dispatch_time": "dispatch", "expert_time": "experts",
          "barrier_wait": "waiting", "combine_time": "combine"}
MOST_RANKS, MOST_BOXES = 16, 3000
WIDE = 1080.0  # this figure takes the page's whole width


def timeline(step: Arrivals, labels: List[str], width: float = WIDE) -> str:
    """Rows are ranks, grouped by placement; layers follow each other, ranks aligned at each
    layer's start barrier; all placements on one time axis."""
    stacked = np.stack([step.phases[name] for name in PHASES])  # [phase, placement, layer, rank]
    _, placements, layers, ranks = stacked.shape
    shown: NDArray[np.int64] = np.arange(ranks)
    if ranks > MOST_RANKS:  # those that others wait for most
        shown = np.sort(np.argsort(step.phases["barrier_wait"].sum(axis=(0, 1)))[:MOST_RANKS])
    layers_shown = max(1, min(layers, MOST_BOXES // (placements * len(shown))))
    stacked = stacked[:, :, :layers_shown]
    factor, unit = unit_of(float(stacked.sum(axis=0).max(axis=2).sum(axis=1).max()))
    length = stacked.sum(axis=0).max(axis=2)  # [placement, layer]: the longest rank's
    end = float(length.sum(axis=1).max()) * factor
    if end <= 0:
        return ""
    left = 18.0 + 8 * len(f"rank {shown[-1]}")
    at = svg.scale(0, end, left, width - 70)
    drawn: Dict[str, List["tuple[float, float, float, float]"]] = {name: [] for name in PHASES}
    rows, y = "", 4.0
    for p, label in enumerate(labels):
        rows += svg.text(4, y + 13, label, "start", "name")
        starts = np.concatenate([[0.0], np.cumsum(length[p])]) * factor
        rows += svg.text(at(starts[-1]) + 6, y + 28, f"{starts[-1]:.4g} {unit}", "start", "tick")
        y += 18
        top = y
        for rank in shown:
            own = stacked[:, p, :, rank] * factor
            for layer in range(layers_shown):
                x = starts[layer]
                for name, wide in zip(PHASES, own[:, layer]):
                    if wide > 0:
                        drawn[name].append((at(x), y + 1, at(wide) - at(0), 12))
                    x += wide
            waiting = float(own[3].sum())
            rows += svg.text(left - 6, y + 11, f"rank {rank}", "end", "tick")
            rows += svg.rect(left, y, at(starts[-1]) - left, 14, "sense",
                             f"{label}, rank {rank}: waits {waiting:.3g} of {starts[-1]:.3g} "
                             f"{unit}")
            y += 15
        rows += "".join(svg.line(at(x), top, at(x), y, "layer") for x in starts)
        y += 8
    body = svg.axis_x(at, 0, end, 4, y, f"time since the start of the step ({unit})", 8)
    body += "".join(svg.hatched(drawn[name], f"phase-{name}") if f"phase-{name}" in svg.HATCHED
                    else svg.boxes(drawn[name], f"phase-{name}") for name in PHASES) + rows
    names = [(f"phase-{name}", said) for name, said in PHASES.items() if drawn[name]]
    body += svg.legend(names, left, y + 50, width)
    parts = [f"first {layers_shown} of {layers} layers"] if layers_shown < layers else []
    if len(shown) < ranks:
        parts.append(f"the {len(shown)} of {ranks} ranks that are waited for most")
    if parts:
        y += 17
        body += svg.text(left, y + 50, ", ".join(parts), "start", "tick")
    return svg.figure(body, y + 60, f"Timeline of step {step.step}", width)
