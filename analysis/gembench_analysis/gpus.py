"""The GPUs' state while a run measured: /series of results.h5, and what it says against a
comparison, as harness/report/gpu_findings.cpp finds it."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

# Those of harness/report/gpu_findings.hpp, energy.hpp and gpu_line.cpp.
CLOCK_DRIFT, LEAST_SAMPLES, TOLD = 0.01, 10, 4
REASONS = ((0x4, "power cap"), (0x20 | 0x40, "temperature"), (0x80, "power brake"),
           (0x8, "hardware slowdown"), (0x10, "sync boost"))
NAMED_BY = 0x40 | 0x80  # NVML also sets 0x8 with these
SLOW = sum(bits for bits, _ in REASONS)
SHOWN = {"clock": ("clock (MHz)", 1e-6), "power": ("power (W)", 1.0),
         "temperature": ("temperature (degC)", 1.0)}
GAP = 0.02  # between two starts of a run, as a share of what is shown


@dataclass(frozen=True)
class Spans:
    """When measured steps of a placement ran in a row, by time; placement -1 = one not shown."""

    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    placement: NDArray[np.int64]

    def later(self, seconds: float) -> "Spans":
        return Spans(self.begin + seconds, self.end + seconds, self.placement)


@dataclass(frozen=True)
class Series:
    """One GPU over time, s since the first measured step; later starts of the run (--resume) follow
    the first. `values` by the names of SHOWN, in their units; `held`: whether the clock was held
    down; `soaks`: from when to when steps were not measured yet; `starts`: the first reading of
    each start of the run."""

    time: NDArray[np.float64]
    values: Dict[str, NDArray[np.float64]]
    reasons: NDArray[np.int64]  # -1 = not known
    soaks: List[Tuple[float, float]]
    spans: Spans
    starts: List[int]

    @property
    def held(self) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = (self.reasons > 0) & ((self.reasons & SLOW) != 0)
        return held

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which readings were made after a soak."""
        inside = np.zeros(self.time.shape, bool)
        for begin, end in self.soaks:
            inside |= (self.time >= begin) & (self.time < end)
        return ~inside


def _segments(run: xr.Dataset, job: int) -> Spans:
    begin, end = run["segments_begin"].values, run["segments_end"].values
    jobs = np.nan_to_num(run["segments_job"].values, nan=-1)
    mine = np.flatnonzero((jobs == job) & (end > begin))
    mine = mine[np.argsort(begin[mine], kind="stable")]
    return Spans(begin[mine].astype(float), end[mine].astype(float),
                 run["segments_to_placement"].values[mine].astype(np.int64))


def gpu_ranks(run: xr.Dataset) -> List[int]:
    """The first rank of every GPU: ranks that share one read the same."""
    if "environment_gpu_uuid" not in run:
        return list(range(run.sizes["rank"]))
    first: Dict[str, int] = {}
    for rank, uuid in enumerate(run["environment_gpu_uuid"].values):
        first.setdefault(str(uuid) or f"rank {rank}", rank)
    return sorted(first.values())


def series(run: xr.Dataset, rank: int) -> Optional[Series]:
    """None where nothing was read: files before 2.10.0, runs without GPUs or without NVML."""
    if "series_time" not in run or "segments_job" not in run:
        return None
    time = run["series_time"].values[rank]
    known = np.isfinite(time)
    if not known.any():
        return None
    jobs = np.nan_to_num(run["series_job"].values[rank], nan=0)[known].astype(int)
    order = np.lexsort((time[known], jobs))
    jobs, time = jobs[order], time[known][order].astype(float)
    columns = {name: run[f"series_{name}"].values[rank][known][order] * factor
               for name, (_, factor) in SHOWN.items()}
    reasons = np.nan_to_num(run["series_throttle_reasons"].values[rank][known][order],
                            nan=-1).astype(np.int64)
    length = sum(float(np.ptp(time[jobs == job])) for job in np.unique(jobs))
    soaks, parts, starts, at = [], [], [], 0.0
    for number, job in enumerate(np.unique(jobs)):
        mine = jobs == job
        begin = min(0.0, float(time[mine].min()))
        # The first start has its zero at the first measured step; each later one follows.
        shift = 0.0 if number == 0 else at - begin + GAP * length
        time[mine] += shift
        if begin < 0:
            soaks.append((begin + shift, shift))
        parts.append(_segments(run, int(job)).later(shift))
        starts.append(int(np.argmax(mine)))
        at = max([float(time[mine].max()), *parts[-1].end.tolist()[-1:]])
    spans = Spans(np.concatenate([part.begin for part in parts]),
                  np.concatenate([part.end for part in parts]),
                  np.concatenate([part.placement for part in parts]))
    return Series(time, columns, reasons, soaks, spans, starts)


def segment_of(one: Series) -> NDArray[np.int64]:
    """[reading] in which of the spans it was made; -1 = in none."""
    if one.spans.begin.size == 0:
        return np.full(one.time.shape, -1)
    at = np.searchsorted(one.spans.begin, one.time, side="right") - 1
    inside = (at >= 0) & (one.time <= one.spans.end[np.maximum(at, 0)])
    return np.where(inside, at, -1)


def under(one: Series) -> NDArray[np.int64]:
    """[reading] the placement whose steps ran then; -1 = none."""
    at = segment_of(one)
    found = np.full(one.time.shape, -1)
    found[at >= 0] = one.spans.placement[at[at >= 0]]
    return found


def _name(run: xr.Dataset, rank: int) -> str:
    host = run["environment_host"].values[rank] if "environment_host" in run else ""
    return f"rank {rank}'s GPU" + (f" on {host}" if host else "")


def _held(run: xr.Dataset, rank: int, one: Series) -> str:
    known = one.measured & (one.reasons >= 0)
    if not (known & one.held).any():
        return ""
    shares = []
    for bits, name in sorted(REASONS, key=lambda reason: reason[1]):
        said = (one.reasons[known] & bits) != 0
        if bits == 0x8:
            said &= (one.reasons[known] & NAMED_BY) == 0
        share = float(said.mean())
        if share > 0:
            shares.append(f"{name} in {100 * share:.1f} %")
    return (f"The clock of {_name(run, rank)} was held down in "
            f"{100 * float(one.held[known].mean()):.1f} % of {int(known.sum())} readings "
            f"({', '.join(shares)}).")


def clocks_by_placement(one: Series) -> Dict[int, float]:
    """Mean clock, MHz, of placements, in blocks with enough readings: a shorter one is over before
    its clock is read."""
    clock = one.values["clock"]
    segment = np.where(one.measured & np.isfinite(clock), segment_of(one), -1)
    enough = np.bincount(segment + 1, minlength=one.spans.begin.size + 1)[1:] >= LEAST_SAMPLES
    found = {}
    for placement in sorted(set(one.spans.placement.tolist()) - {-1}):
        blocks = np.flatnonzero(enough & (one.spans.placement == placement))
        if blocks.size > 0:
            found[placement] = float(clock[np.isin(segment, blocks)].mean())
    return found


def _drifted(run: xr.Dataset, rank: int, one: Series) -> str:
    clocks = clocks_by_placement(one)
    if not clocks:
        return ""
    low, high = min(clocks, key=clocks.__getitem__), max(clocks, key=clocks.__getitem__)
    if not clocks[low] > 0 or clocks[high] / clocks[low] - 1 <= CLOCK_DRIFT:
        return ""
    labels = [str(label) for label in run["placement"].values]
    return (f"The clock of {_name(run, rank)} differed between placements: {clocks[high]:.0f} MHz "
            f"under {labels[high]}, {clocks[low]:.0f} under {labels[low]} "
            f"({100 * (clocks[low] / clocks[high] - 1):+.1f} %), which is in their difference.")


def _soaked(run: xr.Dataset) -> List[str]:
    soak, said = run.attrs.get("/soak", {}), []
    for prefix, before in (("profile_", "the profile"), ("", "the first step")):
        if int(soak.get(f"{prefix}steady", -1)) == 0:
            why = soak.get(f"{prefix}unsteady") or "they still changed, or were read too seldom to tell"
            said.append(f"The devices were not known to be steady before {before}, after "
                        f"{float(soak.get(f'{prefix}seconds', np.nan)):.0f} s of soaking: "
                        f"{why}.")
    return said


def findings(run: xr.Dataset) -> List[str]:
    """Sentences: clocks held down, clocks that differed between placements, no steady state."""
    said, slow, different = _soaked(run), [], []
    for rank in gpu_ranks(run):
        one = series(run, rank)
        if one is not None:
            slow.append(_held(run, rank, one))
            different.append(_drifted(run, rank, one))
    for found, what in ((slow, "had their clocks held down"),
                        (different, "had clocks that differed between placements")):
        known = [one for one in found if one]
        said += known[:TOLD]
        if len(known) > TOLD:
            said.append(f"{len(known) - TOLD} more GPUs {what}.")
    return said


def to_show(run: xr.Dataset, most: int = 16) -> List[int]:
    """Ranks with readings, those whose clocks were held down most first."""
    found = []
    for rank in gpu_ranks(run):
        one = series(run, rank)
        if one is not None:
            found.append((-float(one.held.mean()), rank))
    return [rank for _, rank in sorted(found)[:most]]
