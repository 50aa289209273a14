"""Why the last rank is last: more load, a slower rank, or communication. The split is ours."""

from typing import Optional, Tuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]
CAUSES = ("load", "speed", "communication", "rest")
MEANING = {
    "load": "it had more tokens than the mean rank (at the mean rank's speed, by the profile)",
    "speed": "it takes longer than the mean rank for the same tokens (by the profile)",
    "communication": "its dispatch took longer; not on the clock cpu-time",
    "rest": "what the profile does not explain: routing, noise, drift, how tokens fall on experts",
}


class Profile:
    """Time of every rank's expert phase by tokens, with this run's emulated slowdowns."""

    def __init__(self, load_points: Array, latency: Array) -> None:
        self.load_points, self.latency = load_points, latency  # [load_point] tokens, [rank, load_point] s

    @staticmethod
    def of(run: xr.Dataset) -> Optional["Profile"]:
        """None when the run had no profile."""
        if "profile_latency" not in run:
            return None
        stretch = (run["slowdown"] / run["profile_slowdown"]).values
        return Profile(run["load_point"].values.astype(float),
                       run["profile_latency"].values * stretch[:, None])

    def _piece(self, tokens: Array) -> Tuple[NDArray[np.int64], Array]:
        """The piece of the curve that each load lies on (its right load point) and the position on
        it, 0 to 1; more than 1 beyond the last load point."""
        above = np.clip(np.searchsorted(self.load_points, tokens, side="right"), 1, self.load_points.size - 1)
        left, right = self.load_points[above - 1], self.load_points[above]
        return above, (tokens - left) / (right - left)

    @staticmethod
    def _along(latency: Array, above: NDArray[np.int64], share: Array) -> Array:
        """Latency [..., load_point] at positions on its pieces; beyond the last load point the last
        piece is continued but never falls, as in CostModel."""
        start, end = latency[above - 1], latency[above]
        result: Array = start + (end - start) * share
        return np.where((share > 1) & (end < start), end, result)

    def seconds(self, tokens: Array) -> Array:
        """Time in s that every rank would take for `tokens` [...] -> [..., rank]."""
        above, share = self._piece(tokens)
        return np.stack([self._along(one, above, share) for one in self.latency], axis=-1)

    def own_and_common(self, tokens: Array) -> Tuple[Array, Array]:
        """For tokens [..., rank]: time of each rank for its own tokens, and of a rank whose curve is
        the mean of all ranks' for the same tokens; both [..., rank], s."""
        above, share = self._piece(tokens)
        own = np.stack([self._along(self.latency[rank], above[..., rank], share[..., rank])
                        for rank in range(len(self.latency))], axis=-1)
        return own, self._along(self.latency.mean(axis=0), above, share)


def split(profile: Optional[Profile], tokens: Array, dispatch: Array, arrival: Array,
          last: NDArray[np.int64]) -> Array:
    """How much later than the mean rank the last one arrives, in s, by cause [..., cause]; the sum
    over
    causes is exactly arrival[last] - mean(arrival). Arguments are [..., rank]; dispatch 0 where it
    was not measured; `last` [...] is the rank that arrives last."""

    def lead(values: Array) -> Array:
        own = np.take_along_axis(values, last[..., None], axis=-1)[..., 0]
        result: Array = own - values.mean(axis=-1)
        return result

    causes = np.zeros(last.shape + (len(CAUSES),))
    if profile is not None:
        own, common = profile.own_and_common(tokens)
        causes[..., 0] = lead(common)
        causes[..., 1] = lead(own - common)
    causes[..., 2] = lead(dispatch)
    causes[..., 3] = lead(arrival) - causes[..., :3].sum(axis=-1)
    return causes
