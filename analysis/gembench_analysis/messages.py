"""What each figure shows, as one sentence: its message, for those who see it and those who hear it."""

from typing import Dict, List, Optional

import numpy as np
import xarray as xr

from . import figures, gpus
from .attribution import CAUSES
from .experts import KINDS, LayerLoads
from .summary import Summary
from .verdict import change, percent


def _shown(row: Summary) -> str:
    assert row.difference is not None
    return f"{row.placement} {change(row.difference.typical)}"


def difference(rows: List[Summary]) -> str:
    """How many placements are faster, and the numbers."""
    known = [row for row in rows[1:] if row.difference is not None
             and np.isfinite(row.difference.typical)]
    if not known:
        return ""
    sure = [row for row in known if row.difference and row.difference.sure
            and row.difference.typical < 0]
    numbers = ", ".join(map(_shown, known))
    if any(row.difference and row.difference.low is None for row in known):
        return f"Step time against {rows[0].placement}: {numbers}; no interval, so nothing is certain."
    who = " and ".join(row.placement for row in sure) or "no placement"
    verb = "are" if len(sure) > 1 else "is"
    return f"Step time against {rows[0].placement}: {numbers}; {who} {verb} certainly faster."


def distribution(rows: List[Summary]) -> str:
    """The widest tail."""
    known = [row for row in rows if row.step_p50 > 0 and np.isfinite(row.step_p99)]
    if not known:
        return ""
    widest = max(known, key=lambda row: row.step_p99 / row.step_p50)
    return (f"The slowest 1 % of steps take at least {widest.step_p99 / widest.step_p50:.2f} times the "
            f"median step under {widest.placement}, the most of all placements.")


def why(rows: List[Summary], reduced: xr.Dataset) -> str:
    """Under the reference: who is last, and the largest cause."""
    row = rows[0]
    if row.straggler is None:
        return ""
    by = reduced["causes"].sel(placement=row.placement).isel(rank=row.straggler)
    cause = str(by["cause"].values[int(by.values.argmax())])
    name = {"rest": "causes that the profile does not explain"}.get(cause, cause)
    assert cause in CAUSES
    return (f"Under {row.placement} rank {row.straggler} arrives last in "
            f"{percent(row.last_share[row.straggler], 0)} of layers, above all by {name}.")


def wait(rows: List[Summary]) -> str:
    """Share of the step that is waiting: reference against the least."""
    known = [row for row in rows if np.isfinite(row.wait_share)]
    if not known:
        return ""
    least = min(known, key=lambda row: row.wait_share)
    first = f"Ranks wait {percent(known[0].wait_share)} of a step under {known[0].placement}"
    if least is known[0]:
        return first + (", the least of all placements." if len(known) > 1 else ".")
    return f"{first}, {percent(least.wait_share)} under {least.placement}."


def speeds(run: xr.Dataset, reduced: xr.Dataset) -> str:
    """The spread at the mean load, and where the latency falls: by figures.falls, and as the program says."""
    found = figures.rank_speeds(run, reduced)
    if found is None:
        return ""
    slowest = int(found.relative.argmax())
    said = (f"At the mean load the slowest rank, {slowest}, takes "
            f"{percent(found.relative[slowest] - 1)} longer than the fastest.")
    fallen = figures.falls(run)
    if fallen:
        ranks = len({one.rank for one in fallen})
        said += (f" Latency falls while load grows on {ranks} rank{'' if ranks == 1 else 's'} "
                 "(triangles).")
    dents = run.attrs.get("profile_dents")
    return said + (f" By the single readings, which the file does not hold: {dents}." if dents else "")


def prediction(rows: List[Summary]) -> str:
    """The largest error of the means."""
    known = [row for row in rows if row.measured > 0 and np.isfinite(row.planned)]
    if not known:
        return ""
    worst = max(known, key=lambda row: abs(row.planned / row.measured - 1))
    return (f"The predicted mean time to the barriers is off by up to "
            f"{change(worst.planned / worst.measured - 1)} ({worst.placement}).")


def arrivals(reduced: xr.Dataset) -> str:
    """How the reference's slowest step compares with its median step."""
    steps = list(figures.chosen_steps(reduced).values())
    if not steps:
        return ""
    first = reduced["step_time"].values[0]
    label = figures.labels(reduced)[0]
    return (f"The slowest step of {label} took {first[steps[1]] / first[steps[0]]:.2f} times its "
            "median step; the hatched parts are waiting.")


def loads(shown: List[LayerLoads]) -> str:
    """Kinds of experts, and how many bursts are marked."""
    kinds = [KINDS[kind] for layer in shown for kind in layer.kind]
    if not kinds:
        return ""
    bursts = sum(int(layer.bursts.sum()) for layer in shown)
    return (f"Of {len(kinds)} experts (all shown layers), {kinds.count('consistent')} are used in "
            f"nearly every step and {kinds.count('temporal')} only in bursts; "
            f"{bursts} window{'' if bursts == 1 else 's'} with a burst "
            f"{'is' if bursts == 1 else 'are'} ringed.")


def placement(run: xr.Dataset, shown: List[LayerLoads], best: Optional[str]) -> str:
    """The load of the slowest rank under the reference and the best placement."""
    labels = [str(label) for label in run["placement"].values]
    slowest = int(run["slowdown"].values.argmax())
    if not shown:
        return ""
    layer = shown[0]

    def load(label: str) -> float:
        held = run["slots"].isel(placement=labels.index(label), layer=layer.layer,
                                 rank=slowest).values.astype(int)
        return float(sum(layer.mean[one] for one in held if one >= 0))

    which = "slowest rank" if (run["slowdown"].values != 1).any() else "first rank"
    said = (f"In layer {layer.layer} the {which}, {slowest}, holds experts with "
            f"{load(labels[0]):.0f} tokens a step under {labels[0]}")
    return said + (f", {load(best):.0f} under {best}." if best and best != labels[0] else ".")


def course(reduced: xr.Dataset) -> str:
    """How far the medians of the run's first and second half differ."""
    halves = []
    for label, one in figures.over_the_run(reduced).items():
        middle = len(one.seconds) // 2
        if middle:
            first, second = (float(np.median(part)) for part in (one.seconds[:middle],
                                                                  one.seconds[middle:]))
            halves.append((second / first - 1, label))
    if not halves:
        return ""
    most, label = max(halves, key=lambda half: abs(half[0]))
    return (f"From the first to the second half of the run the median step time changed by up to "
            f"{change(most)} ({label}).")


def sent(run: xr.Dataset) -> str:
    """The least and the most payload that leaves the ranks."""
    pairs = figures.bytes_pair(run)
    if np.isnan(pairs.values).all():
        return ""
    between = pairs.where(pairs["src"] != pairs["dst"]).sum(["src", "dst"]).values / 1e6
    labels = [str(label) for label in run["placement"].values]
    each = ", ".join(f"{label} {mb:.3g} MB" for label, mb in zip(labels, between))
    return f"Payload sent between ranks over the run: {each}."


def states(run: xr.Dataset) -> str:
    """The largest difference of a GPU's clock between placements, and how many were held down."""
    most, held, shown = float("nan"), 0, 0
    for rank in gpus.gpu_ranks(run):
        one = gpus.series(run, rank)
        if one is None:
            continue
        shown += 1
        held += bool((one.held & one.measured).any())
        clocks = list(gpus.clocks_by_placement(one).values())
        if len(clocks) > 1 and min(clocks) > 0:
            most = float(np.fmax(most, max(clocks) / min(clocks) - 1))
    if shown == 0:
        return ""
    energy = run.attrs.get("/summary", {}).get("run_energy_per_token", np.nan)
    said = [f"clocks were held down on {held or 'none'} of {shown} GPU{'' if shown == 1 else 's'}"]
    if np.isfinite(most):
        said.insert(0, f"a GPU's mean clock differed by at most {percent(most)} between placements")
    used = (f" A token took {energy:.3g} J, with what lies between measured steps."
            if np.isfinite(energy) else "")
    whole = "; ".join(said)
    return whole[0].upper() + whole[1:] + "." + used


def messages(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary], shown: List[LayerLoads],
             best: Optional[str]) -> Dict[str, str]:
    """Section key -> message; empty where there are no numbers, and then no figure either."""
    return {"difference": difference(rows), "distribution": distribution(rows),
            "why": why(rows, reduced), "wait": wait(rows), "speeds": speeds(run, reduced),
            "prediction": prediction(rows), "arrivals": arrivals(reduced), "loads": loads(shown),
            "placement": placement(run, shown, best), "course": course(reduced),
            "bytes": sent(run), "gpus": states(run)}
