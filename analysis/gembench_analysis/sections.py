"""What the report shows of one run, in order: figures with their captions."""

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np
import xarray as xr

from . import draw_arrivals, draw_experts, draw_gpus, draw_ranks, draw_times, figures, gpus
from .attribution import MEANING
from .experts import layer_loads, layers_to_show
from .figure_tables import behind
from .messages import messages
from .summary import Summary
from .tables import Table


@dataclass(frozen=True)
class Section:
    """One figure. Several panels are shown one at a time, chosen by their names."""

    key: str
    title: str
    caption: str
    panels: List[Tuple[str, str]]  # name, SVG
    wide: bool = False
    message: str = ""  # what the figure shows, in one sentence
    behind: Optional[Table] = None  # its numbers


def source(run: xr.Dataset) -> str:
    """Whether numbers are measured or emulated, with clock and device; ends every caption."""
    emulated = bool((run["slowdown"].values != 1).any())
    how = "Measured, rank speeds emulated" if emulated else "Measured"
    return f"{how}; clock {run.attrs['clock']}; {run.attrs.get('device', 'device unknown')}."


def _per_placement(reduced: xr.Dataset, best: "str | None") -> List[str]:
    """The reference and the best placement first, so that they are visible without a click."""
    names = figures.labels(reduced)
    first = [name for name in names if name in (names[0], best)]
    return first + [name for name in names if name not in first]


def sections(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary],
             best: "str | None", across: float = draw_arrivals.WIDE) -> List[Section]:
    """Figures that this run has data for. A caption says what to look for and ends with the source
    of the numbers. `across`: the width of wide figures."""
    said, names = source(run), figures.labels(reduced)
    order = _per_placement(reduced, best)
    wait = reduced["barrier_wait"].mean("rank").values[0]
    shown = [layer_loads(run, layer) for layer in layers_to_show(wait)]
    profiled = said if run.attrs.get("profile_clock") in (None, run.attrs["clock"]) else \
        f"Profile on clock {run.attrs['profile_clock']}. {said}"
    predicted = ("Predicted from the profile and the loads. Measured times: "
                 + said[0].lower() + said[1:])
    sure = any(row.difference is not None and row.difference.low is not None for row in rows)
    bars = ("Bar: its 95 % interval. A bar that touches zero proves nothing." if sure else "There are no intervals, so the dots prove nothing.")
    states = [(rank, gpus.series(run, rank)) for rank in gpus.to_show(run)]
    found = [
        Section("difference", "How much faster, and how certain",
                f"Dot: typical difference over the same steps. {bars} {said}",
                [("", draw_times.differences(rows))]),
        Section("distribution", "Step times",
                "Dots are steps, the box is the middle half, the line is the median, the ring the "
                f"mean. {said}", [("", draw_times.distributions(reduced))]),
        Section("why", "Who is waited for, and why",
                "How much later than the mean rank a rank arrives when it is the last, by cause "
                "(the split is ours): " + "; ".join(f"{name}: {MEANING[name]}" for name in MEANING)
                + f". Left of zero: the cause made the rank arrive earlier. {said}",
                [("", draw_ranks.last_and_why(reduced))]),
        Section("wait", "Waiting at the barrier, rank by layer",
                "The stronger a cell's colour, the longer the wait; a pale row is a rank that "
                "others wait for. One scale for all placements; means over steps"
                + ("; neighbouring ranks are shown as one, by the rank that waits least. "
                   if reduced.sizes["rank"] > draw_ranks.MOST_ROWS else ". ") + said,
                [(name, draw_ranks.wait_map(reduced, name)) for name in order]),
        Section("speeds", "How fast each rank is",
                "Time of the expert phase by load, from the profile; the thick line is the slowest "
                "rank at the mean load. A triangle marks where latency falls while load grows, by at "
                "least 2 % and by more than the middle half of the readings at a load spans. "
                f"{profiled}", [("", draw_ranks.speeds(run, reduced))]),
        Section("prediction", "Predicted against measured",
                "Every dot is a step. On the line the prediction is exact; above it the step took "
                f"longer. {predicted}", [("", draw_times.prediction(reduced))]),
        Section("arrivals", "One step, rank by rank",
                "Vertical lines separate layers. A layer continues when its last rank has "
                f"arrived; the others wait until then. {said}",
                [(f"{why} ({step})",
                  draw_arrivals.timeline(figures.arrivals(run, step, why), names, across))
                 for why, step in figures.chosen_steps(reduced).items()
                 if np.isfinite(reduced["measured"].values[:, step]).all()], wide=True),
        Section("loads", "Expert loads over time",
                "Hottest experts on top. C = consistent (used in at least 85 % of steps), T = "
                "temporal (in at most 34 %, with at least 1.5 times the mean load); rings mark "
                "bursts of temporal experts; thresholds "
                "around GEM's second-hand 85 %, 17 % and 3 times are ours. Shown are the layers "
                f"in which {names[0]} waits longest. Loads are the same for every placement: "
                f"{run.attrs.get('routing', 'routing unknown')}.",
                [(f"layer {layer.layer}", draw_experts.loads(layer)) for layer in shown]),
        Section("placement", "Where the experts are",
                "Every cell is an expert; the stronger its colour, the hotter. The number at the "
                "end is the rank's mean load in tokens per step. Each rank's experts are sorted, "
                "hottest first; a dashed outline marks a temporal one. A slow rank should hold less.",
                [(f"{name}, layer {layer.layer}", draw_experts.placement(run, layer,
                                                                         names.index(name)))
                 for layer in shown[:3] for name in order]),
        Section("course", "Over the run",
                "Steps in the order they ran: a slope or a jump comes from the machine, not from "
                f"a placement. {said}", [("", draw_times.course(reduced))]),
        Section("gpus", "The GPUs' clocks, power and heat",
                "Shaded: whose steps ran, by the placement with the longest part of each pixel. A "
                "curve that moves with the shades is a difference between placements that is not "
                "theirs alone; a slope means that the devices were not steady. With many readings "
                "the curve is their mean and the band their range. The strip under the clock marks "
                f"readings in which it was held down. {said}",
                [(f"rank {rank}", draw_gpus.state(one, names, rank, across))
                 for rank, one in states if one is not None], wide=True),
        Section("bytes", "Bytes between ranks",
                "Dispatch payload of all measured steps and layers; the diagonal stayed on its "
                "rank. Counted, not timed.",
                [(name, draw_ranks.bytes_map(run, name)) for name in order]),
    ]
    with_data = []
    said_by = messages(run, reduced, rows, shown, best)
    tables = behind(run, reduced, rows, shown)
    for one in found:
        panels = [(name, drawing) for name, drawing in one.panels if drawing]
        if panels:
            with_data.append(Section(one.key, one.title, one.caption, panels, one.wide,
                                     said_by[one.key], tables[one.key]))
    return with_data
