"""Quantiles and the paired block bootstrap, equal to harness/interval.cpp."""

import math
from dataclasses import dataclass
from typing import Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .counter_random import Random

RESAMPLES = 10_000
LEAST_BLOCKS = 6  # fewer give no interval: why is said in harness/interval.hpp


@dataclass(frozen=True)
class Difference:
    """A relative difference, all as fractions (-0.05 = 5 % less), and its 95 % interval, which
    takes LEAST_BLOCKS blocks."""

    mean: float
    low: Optional[float]
    high: Optional[float]
    blocks: int

    @property
    def sure(self) -> bool:
        """The interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def quantile(values: ArrayLike, q: float) -> float:
    """Linear between order statistics; NaN of nothing."""
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered.size == 0:
        return math.nan
    at = min(max(q, 0.0), 1.0) * (ordered.size - 1)
    below = int(at)
    above = min(below + 1, ordered.size - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (at - math.floor(at)))


def student_cdf(t: float, freedom: int) -> float:
    """Student's t distribution for t >= 0 and whole degrees of freedom: the finite series of
    Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom % 2 == 0:
        term = total = 1.0
        for k in range(2, freedom, 2):
            term *= (k - 1) / k * cosine * cosine
            total += term
        return 0.5 + 0.5 * sine * total
    term, total = cosine, cosine if freedom > 1 else 0.0
    for k in range(3, freedom, 2):
        term *= (k - 1) / k * cosine * cosine
        total += term
    return 0.5 + (angle + sine * total) / math.pi


def student_quantile(probability: float, freedom: int) -> float:
    """Inverse of student_cdf for probability in (0.5, 1), by bisection to the last bit."""
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < probability:
        high *= 2
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if student_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle


def block_sums(a: NDArray[np.float64], b: NDArray[np.float64],
               block: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of a and b by block [2, blocks], in the order of the blocks' numbers; steps with NaN or
    block -1 are left out."""
    used = (block >= 0) & ~np.isnan(a) & ~np.isnan(b)
    blocks, where = np.unique(block[used], return_inverse=True)
    return np.stack([np.bincount(where, weights=values[used], minlength=blocks.size)
                     for values in (a, b)])


def paired_difference(a: ArrayLike, b: ArrayLike, block: ArrayLike) -> Difference:
    """sum(b) / sum(a) - 1 of step times [step] of the same steps; `block` [step] says which ran
    together. Whole blocks are drawn with replacement; with few blocks the percentile interval is
    widened (Hesterberg 2015, expanded percentile interval)."""
    sums = block_sums(np.asarray(a, dtype=float), np.asarray(b, dtype=float),
                      np.asarray(block, dtype=np.int64))
    n = sums.shape[1]
    total_a, total_b = float(sums[0].sum()), float(sums[1].sum())
    mean = total_b / total_a - 1 if total_a > 0 else math.nan
    if n < LEAST_BLOCKS:
        return Difference(mean, None, None, n)
    random, parts = Random(0), []
    at_once = max(1, 1_000_000 // n)
    for first in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - first)
        drawn = sums[:, random.below(n, count * n)].reshape(2, count, n).sum(axis=2)
        parts.append(drawn[1] / drawn[0] - 1)
    resampled = np.concatenate(parts)
    wide = math.sqrt(n / (n - 1)) * student_quantile(0.975, n - 1)
    tail = 0.5 * math.erfc(wide / math.sqrt(2))
    return Difference(mean, quantile(resampled, tail), quantile(resampled, 1 - tail), n)
