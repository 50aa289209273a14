"""The generator of placement/random.hpp, bit for bit: counter-based SplitMix64 (Steele, Lea, Flood
2014). Intervals drawn with it equal those that `gembench compare` prints."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def mix64(values: Words) -> Words:
    """SplitMix64's finaliser of every 64-bit word."""
    with np.errstate(over="ignore"):  # modulo 2^64 is meant
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Random:
    """Random(seed) of the C++ side; draws come as arrays."""

    def __init__(self, seed: int) -> None:
        self._key = mix64(np.array([seed], dtype=np.uint64))
        self._counter = 0

    def next(self, count: int) -> Words:
        """The next `count` words [count]."""
        counters = np.arange(self._counter + 1, self._counter + count + 1, dtype=np.uint64)
        self._counter += count
        return mix64(self._key ^ mix64(counters))

    def below(self, n: int, count: int) -> NDArray[np.int64]:
        """`count` draws from 0 .. n-1 [count]: the upper 64 bits of word * n; n < 2^32."""
        words, low = self.next(count), np.uint64(0xFFFFFFFF)
        upper, lower = (words >> np.uint64(32)) * np.uint64(n), (words & low) * np.uint64(n)
        return ((upper + (lower >> np.uint64(32))) >> np.uint64(32)).astype(np.int64)
