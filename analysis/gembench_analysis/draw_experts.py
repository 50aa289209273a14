"""Figures of experts: loads over time, and where each expert lies."""

import numpy as np
import xarray as xr

from . import svg
from .draw_ranks import MOST_ROWS
from .experts import KINDS, LayerLoads

MARK = {"consistent": "C", "temporal": "T", "other": ""}


def loads(layer: LayerLoads) -> str:
    """Experts (hottest first) x time: tokens a step; C = consistent, T = temporal."""
    order = np.argsort(-layer.mean, kind="stable")[:MOST_ROWS]
    values = layer.windows[order]
    names = [f"{e}{' ' + MARK[KINDS[layer.kind[e]]] if MARK[KINDS[layer.kind[e]]] else ''}"
             for e in order]
    steps = [str(k * layer.window_steps) for k in range(values.shape[1])]
    return svg.heat_map(values, 0.0, float(values.max()), names, steps, "expert", "step", "tokens",
                        f"Expert loads of layer {layer.layer} over time",
                        cell=max(14.0, min(18.0, 260.0 / len(names))),
                        ringed=layer.bursts[order])


def placement(run: xr.Dataset, layer: LayerLoads, index: int) -> str:
    """Rank x slot of one placement and layer: the expert's number, coloured by its mean load."""
    slots = run["slots"].isel(placement=index, layer=layer.layer).values.astype(int)
    ranks, width = slots.shape[0], slots.shape[1]
    ranks_shown = min(ranks, 64)
    cell = min(40.0, (svg.WIDTH - 118) / width)
    tall = 20.0
    high = float(layer.mean.max()) or 1.0
    kind = svg.classes_of(layer.mean, 0.0, high)
    body = svg.text(4, 12, "rank", "start", "title") + svg.text(
        56 + cell * width + 8, 12, "tokens a step", "start", "title")
    totals = [float(sum(layer.mean[e] for e in slots[r] if e >= 0)) for r in range(ranks)]
    for r in range(ranks_shown):
        y = 18 + r * tall
        body += svg.text(48, y + 14, str(r), "end", "tick")
        held = sorted((int(e) for e in slots[r]), key=lambda e: -layer.mean[e] if e >= 0 else 1.0)
        for s, e in enumerate(held):
            x = 56 + s * cell
            if e < 0:
                body += svg.rect(x, y, cell - 1, tall - 2, "empty", f"rank {r}: empty slot")
                continue
            what = KINDS[layer.kind[e]]
            said = (f"rank {r}, expert {e} ({what}): {layer.mean[e]:.0f} tokens a step, used in "
                    f"{100 * layer.duty[e]:.0f} % of steps with {layer.burst[e]:.1f} x the mean")
            body += svg.rect(x, y, cell - 1, tall - 2, f"q{kind[e]} {what}", said)
            if cell >= 19:
                dark = "on-high" if kind[e] >= svg.CLASSES // 2 else "on-low"
                body += svg.text(x + (cell - 1) / 2, y + 13, str(e), "middle", f"cell {dark}")
        body += svg.text(56 + cell * width + 8, y + 14, f"{totals[r]:.0f}", "start", "tick")
    bottom = 18 + ranks_shown * tall
    if ranks > ranks_shown:
        body += svg.text(56, bottom + 14, f"first {ranks_shown} of {ranks} ranks", "start", "tick")
        bottom += 16
    return svg.figure(body, bottom + 4, f"Where the experts of layer {layer.layer} lie")
