"""Quantiles and the interval of a paired difference, equal to harness/statistics/interval.cpp."""

import math
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray

# As in harness/statistics/interval.cpp, which says why.
LEAST_BLOCKS = 6
MOST_PAIRS = 512
NORMAL = 1.959963984540054
CUT = 2.5
MOST_CORRELATION = 0.6


@dataclass(frozen=True)
class Difference:
    """A relative difference, all as fractions (-0.05 = 5 % less): of the sums, of a typical pair,
    and the 95 % interval of the latter, which takes LEAST_BLOCKS blocks."""

    mean: float
    typical: float
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


def pair_sums(a: NDArray[np.float64], b: NDArray[np.float64],
              block: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of a and b by block [2, blocks], in the order of the blocks' numbers; steps with NaN or
    block -1 are left out."""
    used = (block >= 0) & ~np.isnan(a) & ~np.isnan(b)
    blocks, where = np.unique(block[used], return_inverse=True)
    return np.stack([np.bincount(where, weights=values[used], minlength=blocks.size)
                     for values in (a, b)])


def pooled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of neighbours, at most MOST_PAIRS of them."""
    together = -(-values.size // MOST_PAIRS)
    if together <= 1:
        return values
    first = np.arange(0, values.size, together)
    counts = np.diff(np.append(first, values.size))
    return np.asarray(np.add.reduceat(values, first) / counts, dtype=float)


def robust_rest(values: NDArray[np.float64], centre: float) -> NDArray[np.float64]:
    """What is left without the centre, in robust standard deviations, cut at CUT of them; zeros
    where most values are the same."""
    deviation = 1.4826 * quantile(np.abs(values - centre), 0.5)
    if deviation == 0:
        return np.zeros(values.size)
    return np.asarray(np.clip((values - centre) / deviation, -CUT, CUT), dtype=float)


def alike(rest: NDArray[np.float64]) -> float:
    """So many successive values tell as much as one independent one: see harness/statistics/interval.hpp."""
    n = rest.size
    rest = rest - rest.sum() / n
    square = float(np.dot(rest, rest))
    if square < 1e-20:  # rounding
        return 1.0
    r = float(np.dot(rest[1:], rest[:-1])) / square
    raised = r + 1.25 * (1 + 3 * min(max(r, 0.0), 1.0)) / n + 0.7 / math.sqrt(n)
    r = min(max(raised, 0.0), MOST_CORRELATION)
    return (1 + r) / (1 - r)


def typical_difference(log_ratios: ArrayLike, comparisons: int = 1) -> Difference:
    """The Hodges-Lehmann estimate of log ratios in order of time and its interval: see
    harness/statistics/interval.hpp."""
    values = np.asarray(log_ratios, dtype=float)
    n = values.size
    if n == 0:
        return Difference(math.nan, math.nan, None, None, 0)
    i, j = np.triu_indices(n)
    means = np.sort((values[i] + values[j]) / 2)
    centre = quantile(means, 0.5)
    mean, typical = math.expm1(float(values.sum()) / n), math.expm1(centre)
    if n < LEAST_BLOCKS:
        return Difference(mean, typical, None, None, n)
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    at = int(max(0.0, means.size / 2 - NORMAL * spread - 0.5))
    likeness = alike(robust_rest(values, centre))
    freedom = max(1, int(n / likeness) - 1)
    stretch = (math.sqrt(likeness) * student_quantile(1 - 0.025 / comparisons, freedom)
               / student_quantile(0.975, n - 1))
    return Difference(mean, typical, math.expm1(centre - (centre - float(means[at])) * stretch),
                      math.expm1(centre + (float(means[means.size - 1 - at]) - centre) * stretch), n)


def paired_difference(a: ArrayLike, b: ArrayLike, block: ArrayLike,
                      comparisons: int = 1) -> Difference:
    """b against a: step times [step] of the same steps; `block` [step] says which ran together.
    Intervals of `comparisons` comparisons hold together."""
    sums = pair_sums(np.asarray(a, dtype=float), np.asarray(b, dtype=float),
                     np.asarray(block, dtype=np.int64))
    n = sums.shape[1]
    total_a, total_b = float(sums[0].sum()), float(sums[1].sum())
    pairs = sums[:, (sums > 0).all(axis=0)]
    found = typical_difference(pooled(np.log(pairs[1] / pairs[0])), comparisons)
    return replace(found, mean=total_b / total_a - 1 if total_a > 0 else math.nan, blocks=n)
