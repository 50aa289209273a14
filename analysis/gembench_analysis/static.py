"""The report's figures as files, drawn by matplotlib from the same numbers (figures.py)."""

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from . import figures, runs
from .attribution import CAUSES
from .draw_arrivals import PHASES
from .draw_times import unit_of
from .experts import layer_loads, layers_to_show
from .reduction import planned_prediction
from .sections import source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, the reference grey: as on the page.
COLOURS = ("#6b7280", "#d55e00", "#009e73", "#0072b2", "#cc79a7", "#b58900", "#3aa0d8", "#7b4fb5")
OF_CAUSE = {"load": "#e08b00", "speed": "#0072b2", "communication": "#009e73", "rest": "#9aa1ad"}
OF_PHASE = {"route_time": "#56b4e9", "dispatch_time": "#009e73", "expert_time": "#0072b2",
            "barrier_wait": "#e3dccf", "combine_time": "#cc79a7"}


def _colour(index: int) -> str:
    return COLOURS[min(index, len(COLOURS) - 1)]


def difference(one: "runs.Run", figure: "Figure") -> None:
    axes, shown = figure.subplots(), [row for row in one.rows if row.difference]
    for y, row in enumerate(shown):
        found = row.difference
        assert found is not None
        colour = _colour(one.rows.index(row))
        if found.low is not None and found.high is not None:
            axes.plot([100 * found.low, 100 * found.high], [y, y], color=colour, lw=6, alpha=0.35)
        axes.plot(100 * found.typical, y, "o", color=colour)
    axes.axvline(0, color="black", ls="--", lw=0.8)
    axes.set_yticks(range(len(shown)), [row.placement for row in shown])
    axes.invert_yaxis()
    known = any(row.difference.low is not None for row in shown if row.difference)
    axes.set_xlabel(f"step time against {one.rows[0].placement} (%), "
                    + ("95 % interval" if known else "no interval"))


def distribution(one: "runs.Run", figure: "Figure") -> None:
    axes, times = figure.subplots(), figures.step_times(one.reduced)
    factor, unit = unit_of(float(np.median(np.concatenate(list(times.values())))))
    drawn = axes.boxplot([values * factor for values in times.values()], vert=False,
                         showmeans=True, patch_artist=True, whis=(0, 100))
    for index, box in enumerate(drawn["boxes"]):
        box.set(facecolor=_colour(index), alpha=0.4)
    axes.set_yticks(range(1, len(times) + 1), list(times))
    axes.invert_yaxis()
    axes.set_xlabel(f"step time ({unit}), slowest rank")


def why(one: "runs.Run", figure: "Figure") -> None:
    causes = figures.causes(one.reduced).sum("rank")
    factor, unit = unit_of(float(causes.clip(min=0).sum("cause").max()))
    axes = figure.subplots()
    for y, label in enumerate(figures.labels(one.reduced)):
        right = left = 0.0
        for cause in CAUSES:
            value = float(causes.sel(placement=label, cause=cause)) * factor
            axes.barh(y, value, left=right if value >= 0 else left, color=OF_CAUSE[cause],
                      label=cause if y == 0 else None)
            right, left = (right + value, left) if value >= 0 else (right, left + value)
    axes.set_yticks(range(causes.sizes["placement"]), figures.labels(one.reduced))
    axes.invert_yaxis()
    axes.set_xlabel(f"last rank later than the mean rank ({unit} a step), by cause (split is ours)")
    axes.legend()


def wait(one: "runs.Run", figure: "Figure") -> None:
    every = figures.wait_map(one.reduced)
    factor, unit = unit_of(float(every.mean()))
    grid = figure.subplots(1, every.sizes["placement"], sharey=True, squeeze=False)[0]
    for axes, label in zip(grid, figures.labels(one.reduced)):
        image = axes.imshow(every.sel(placement=label).values * factor, cmap="cividis", vmin=0,
                            vmax=float(every.max()) * factor, aspect="auto")
        axes.set_title(label, fontsize=9)
        axes.set_xlabel("layer")
    grid[0].set_ylabel("rank")
    grid[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=list(grid), label=f"barrier wait ({unit})")


def prediction(one: "runs.Run", figure: "Figure") -> None:
    axes, measured = figure.subplots(), one.reduced["measured"].values
    factor, unit = unit_of(float(np.nanmedian(measured)))
    predicted = one.reduced[planned_prediction(one.reduced)].values
    for index, label in enumerate(figures.labels(one.reduced)):
        axes.plot(predicted[index] * factor, measured[index] * factor, ".",
                  color=_colour(index), label=label)
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], "--", color="black", lw=0.8)
    axes.set_xlabel(f"predicted time to the barriers ({unit})")
    axes.set_ylabel(f"measured ({unit})")
    axes.legend()


def speeds(one: "runs.Run", figure: "Figure") -> None:
    axes, found = figure.subplots(), figures.rank_speeds(one.run, one.reduced)
    if found is None:
        axes.set_title("no profile")
        return
    factor, unit = unit_of(float(found.seconds.max()))
    for rank, seconds in enumerate(found.seconds):
        slowest = rank == int(found.relative.argmax())
        axes.plot(found.tokens, seconds * factor, color="#d55e00" if slowest else "#6b7280",
                  lw=2.5 if slowest else 1, label=f"rank {rank}, slowest" if slowest else None)
    axes.axvline(found.at, color="black", ls="--", lw=0.8, label="mean load")
    axes.set_xlabel("(token, expert) pairs on the rank")
    axes.set_ylabel(f"expert phase ({unit})")
    axes.legend()


def arrivals(one: "runs.Run", figure: "Figure") -> None:
    reason, step = next(iter(figures.chosen_steps(one.reduced).items()))
    phases = figures.arrivals(one.run, step, reason).phases
    labels, ranks = figures.labels(one.reduced), one.run.sizes["rank"]
    length = sum(phases.values()).max(axis=2)  # type: ignore[union-attr]
    factor, unit = unit_of(float(length.sum(axis=1).max()))
    axes = figure.subplots()
    for p, label in enumerate(labels):
        start = np.concatenate([[0.0], np.cumsum(length[p])[:-1]])
        for rank in range(ranks):
            at = start.copy()
            for name in PHASES:
                took = phases[name][p, :, rank]
                axes.barh([p * (ranks + 1) + rank] * len(at), took * factor, left=at * factor,
                          color=OF_PHASE[name],
                          label=PHASES[name] if p == rank == 0 and phases[name].any() else None)
                at += took
    axes.set_yticks([p * (ranks + 1) + (ranks - 1) / 2 for p in range(len(labels))], labels)
    axes.invert_yaxis()
    axes.set_xlabel(f"{reason} ({step}): time ({unit}); a row a rank")
    axes.legend(fontsize=8)


def loads(one: "runs.Run", figure: "Figure") -> None:
    wait_of = one.reduced["barrier_wait"].mean("rank").values[0]
    shown = [layer_loads(one.run, layer) for layer in layers_to_show(wait_of, 2)]
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, layer in zip(grid, shown):
        order = np.argsort(-layer.mean, kind="stable")
        image = axes.imshow(layer.windows[order], cmap="cividis", aspect="auto", vmin=0)
        axes.set_title(f"layer {layer.layer}, {layer.window_steps} step(s) a column", fontsize=9)
        axes.set_xlabel("time")
        figure.colorbar(image, ax=axes, label="tokens a step")
    grid[0].set_ylabel("experts, hottest first")


def course(one: "runs.Run", figure: "Figure") -> None:
    axes, courses = figure.subplots(), figures.over_the_run(one.reduced)
    factor, unit = unit_of(float(np.median(np.concatenate([c.seconds for c in courses.values()]))))
    for index, (label, found) in enumerate(courses.items()):
        axes.plot(found.order, found.seconds * factor, ".", color=_colour(index), label=label)
    axes.set_xlabel("running number of the step")
    axes.set_ylabel(f"step time ({unit})")
    axes.legend()


def placement(one: "runs.Run", figure: "Figure") -> None:
    wait_of = one.reduced["barrier_wait"].mean("rank").values[0]
    layer = layer_loads(one.run, layers_to_show(wait_of, 1)[0])
    grid = figure.subplots(1, one.run.sizes["placement"], sharey=True, squeeze=False)[0]
    for index, (axes, label) in enumerate(zip(grid, figures.labels(one.reduced))):
        slots = one.run["slots"].isel(placement=index, layer=layer.layer).values.astype(int)
        load = np.where(slots >= 0, layer.mean[np.maximum(slots, 0)], np.nan)
        image = axes.imshow(-np.sort(-load, axis=1), cmap="cividis", vmin=0, vmax=layer.mean.max(),
                            aspect="auto")
        axes.set_title(label, fontsize=9)
        axes.set_xlabel("slot, hottest first")
    grid[0].set_ylabel(f"rank (layer {layer.layer})")
    grid[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=list(grid), label="mean load of the expert (tokens a step)")


def sent(one: "runs.Run", figure: "Figure") -> None:
    every = figures.bytes_pair(one.run) / 1e6
    grid = figure.subplots(1, every.sizes["placement"], sharey=True, squeeze=False)[0]
    for axes, label in zip(grid, figures.labels(one.reduced)):
        image = axes.imshow(every.sel(placement=label).values, cmap="cividis", vmin=0,
                            vmax=float(every.max()))
        axes.set_title(label, fontsize=9)
        axes.set_xlabel("to")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid[0].set_ylabel("from rank")
    grid[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=list(grid), label="payload (MB); the diagonal was not sent")


DRAWINGS: Dict[str, Callable[["runs.Run", Any], None]] = {
    "difference": difference, "distribution": distribution, "why": why, "wait": wait,
    "prediction": prediction, "speeds": speeds, "arrivals": arrivals, "loads": loads,
    "placement": placement, "course": course, "bytes": sent}
NEED_PHASES = {"why", "wait", "prediction", "arrivals"}  # nothing of --whole-steps


def draw(loaded: "List[runs.Run]", folder: str) -> List[str]:
    """Writes folder/NAME.png and .svg of the first run (of others folder/K-NAME); returns paths."""
    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    os.makedirs(folder, exist_ok=True)
    written = []
    for number, one in enumerate(loaded):
        for name, drawing in DRAWINGS.items():
            if name in NEED_PHASES and np.isnan(one.reduced["measured"].values).all():
                continue
            if np.isnan(one.reduced["step_time"].values).all():
                continue
            if name == "bytes" and np.isnan(figures.bytes_pair(one.run).values).all():
                continue
            figure = Figure(figsize=(7.5, 4.2), layout="constrained")
            drawing(one, figure)
            figure.suptitle(source(one.run), fontsize=7, color="#555555")
            for kind in ("png", "svg"):
                path = os.path.join(folder, (f"{number}-" if number else "") + f"{name}.{kind}")
                figure.savefig(path, dpi=150, **({"metadata": {"Date": None}} if kind == "svg"
                                                 else {}))
                written.append(path)
    return written
