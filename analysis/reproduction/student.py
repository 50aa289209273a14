"""Student's t distribution, for means of several runs."""

import math


def student_cdf(t: float, freedom: int) -> float:
    """For t >= 0 and whole degrees of freedom: the finite series of Abramowitz and Stegun 26.7.3
    and 26.7.4."""
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
