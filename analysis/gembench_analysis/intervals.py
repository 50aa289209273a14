"""95 % intervals of the summaries of one placement, equal to harness/statistics/summary_interval.cpp. Its
header says how they are made and where there is none."""

import math
from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from .statistics import LEAST_BLOCKS, NORMAL, alike, quantile, robust_rest, student_quantile

Array = NDArray[np.float64]

# As in harness/statistics/summary_interval.cpp, which says why.
LEAST_STEPS = 24
LEAST_BEYOND = 7
LEAST_BLOCKS_BEYOND = 2
EXACT = 10000
UNSEEN = 2.0


@dataclass(frozen=True)
class Interval:
    """In the unit of what it is of."""

    low: float
    high: float


class Blocks:
    """Which of a placement's steps, in order of time, ran together: successive steps with the same
    number."""

    def __init__(self, block: NDArray[np.int64]) -> None:
        self._first = np.flatnonzero(np.diff(block, prepend=-1) != 0)
        self._sizes = np.diff(np.append(self._first, block.size)).astype(float)
        self.count = int(self._first.size)

    def sums(self, values: Array) -> Array:
        """Of each block's steps."""
        return np.asarray(np.add.reduceat(values, self._first), dtype=float)

    def means(self, values: Array) -> Array:
        """Of each block's steps."""
        return np.asarray(self.sums(values) / self._sizes, dtype=float)


def _known(values: Array, blocks: Blocks) -> bool:
    return blocks.count >= LEAST_BLOCKS and bool(np.isfinite(values).all())


def _variance_of_mean(rest: Array, blocks: Blocks) -> float:
    sums = blocks.sums(rest)
    return (float(np.dot(sums, sums)) * blocks.count / (blocks.count - 1)
            / float(rest.size) / float(rest.size))


def _freedom(blocks: Blocks, likeness: float) -> int:
    return max(1, int(blocks.count / likeness) - 1)


def _likeness(values: Array, blocks: Blocks) -> float:
    means = blocks.means(values)
    return alike(robust_rest(means, quantile(means, 0.5)))


def _around(middle: float, rest: Array, blocks: Blocks) -> Interval:
    likeness = _likeness(rest, blocks)
    half = (student_quantile(0.975, _freedom(blocks, likeness))
            * math.sqrt(_variance_of_mean(rest, blocks) * likeness))
    return Interval(middle - half, middle + half)


def mean_interval(values: Array, blocks: Blocks, usual: float) -> Optional[Interval]:
    """Of the mean of all steps; `usual` is the median step, in the unit of values."""
    if not _known(values, blocks):
        return None
    middle = float(values.sum()) / values.size
    found = _around(middle, values - middle, blocks)
    return Interval(found.low, found.high + UNSEEN * usual / values.size)


def ratio_interval(part: Array, whole: Array, blocks: Blocks, usual: float) -> Optional[Interval]:
    """Of sum(part) / sum(whole), part <= whole."""
    if not _known(part, blocks) or not _known(whole, blocks) or whole.sum() <= 0:
        return None
    total = float(whole.sum())
    ratio = float(part.sum()) / total
    found = _around(ratio, (part - ratio * whole) / (total / whole.size), blocks)
    delay = UNSEEN * usual / total
    return Interval(max(0.0, found.low - ratio * delay),
                    min(1.0, found.high + (1 - ratio) * delay))


def _independent_steps(values: Array, blocks: Blocks) -> int:
    n = values.size
    rest = robust_rest(values, quantile(values, 0.5))
    rest = rest - rest.sum() / n
    single = float(np.dot(rest, rest)) / (n - 1) / n
    together = 1.0
    if blocks.count < n and single > 0:
        few = student_quantile(0.975, blocks.count - 1) / NORMAL
        together = max(1.0, _variance_of_mean(rest, blocks) / single * few * few)
    return int(n / (together * _likeness(values, blocks)))


def _ranks_around(count: int, q: float) -> Optional[Tuple[int, int]]:
    if count > EXACT:
        half = NORMAL * math.sqrt(count * q * (1 - q))
        return math.floor(count * q - half), math.ceil(count * q + half) + 1
    low, below = 0, 0.0
    for k in range(count):
        below += math.exp(math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
                          + k * math.log(q) + (count - k) * math.log(1 - q))
        if below <= 0.025:
            low = k + 1
        if below >= 0.975:
            return (low, k + 1) if low >= 1 else None
    return None


def quantile_interval(values: Array, blocks: Blocks, q: float) -> Optional[Interval]:
    """Of a quantile of the steps."""
    n = values.size
    beyond, blocks_beyond = n * (1 - q) + 1e-9, blocks.count * (1 - q) + 1e-9
    if (n < LEAST_STEPS or beyond < LEAST_BEYOND or blocks_beyond < LEAST_BLOCKS_BEYOND
            or not _known(values, blocks)):
        return None
    count = _independent_steps(values, blocks)
    ranks = _ranks_around(count, q)
    if ranks is None:
        return None
    scale = (n + 1) / (count + 1)
    low, high = math.floor(ranks[0] * scale), math.ceil(ranks[1] * scale)
    if low < 1 or high > n:
        return None
    ordered = np.sort(values)
    return Interval(float(ordered[low - 1]), float(ordered[high - 1]))


def proportion_interval(shares: Array, of: int, blocks: Blocks, together: int
                        ) -> Optional[Interval]:
    """Of the mean of `shares` [step], each of `of` yes-or-no readings; `together` such intervals
    hold at once."""
    if not _known(shares, blocks):
        return None
    p = float(shares.sum()) / shares.size
    rest = shares - p
    likeness = alike(blocks.means(rest))
    variance = _variance_of_mean(rest, blocks) * likeness
    n = (min(float(shares.size * of), p * (1 - p) / variance) if variance > 1e-24
         else blocks.count / likeness)
    t = student_quantile(1 - 0.025 / together, _freedom(blocks, likeness))
    spread = t * t / n
    middle = (p + spread / 2) / (1 + spread)
    half = math.sqrt(p * (1 - p) * spread + spread * spread / 4) / (1 + spread)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))
