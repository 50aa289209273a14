"""Why the last rank is last: more load, a slower rank, or communication. The split is ours."""

from typing import Optional

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
    """Time of the expert phase of every rank by tokens, stretched as this run's ranks are."""

    def __init__(self, knots: Array, latency: Array) -> None:
        self.knots, self.latency = knots, latency  # [knot] tokens, [rank, knot] s

    @staticmethod
    def of(run: xr.Dataset) -> Optional["Profile"]:
        """None when the run had no profile."""
        if "profile_latency" not in run:
            return None
        stretch = (run["slowdown"] / run["profile_slowdown"]).values
        return Profile(run["knot"].values.astype(float),
                       run["profile_latency"].values * stretch[:, None])

    def seconds(self, tokens: Array) -> Array:
        """Time in s that every rank would take for `tokens` [..] -> [.., rank]: linear between
        knots, beyond the last as the last piece goes on (never falling), as CostModel does."""
        above = np.clip(np.searchsorted(self.knots, tokens, side="right"), 1, self.knots.size - 1)
        left, right = self.knots[above - 1], self.knots[above]
        beyond = tokens > self.knots[-1]
        times = []
        for latency in self.latency:
            slope = (latency[above] - latency[above - 1]) / (right - left)
            inside = latency[above - 1] + slope * (tokens - left)
            outside = latency[above] + np.maximum(slope, 0) * (tokens - right)
            times.append(np.where(beyond, outside, inside))
        return np.stack(times, axis=-1)


def split(profile: Optional[Profile], tokens: Array, dispatch: Array, arrival: Array,
          last: NDArray[np.int64]) -> Array:
    """How much later than the mean rank the last one arrives, by cause [.., cause], s; the sum over
    causes is exactly arrival[last] - mean(arrival). Arguments are [.., rank]; dispatch 0 where it
    was not measured; `last` [..] is the rank that arrives last."""

    def lead(values: Array) -> Array:
        own = np.take_along_axis(values, last[..., None], axis=-1)[..., 0]
        result: Array = own - values.mean(axis=-1)
        return result

    causes = np.zeros(last.shape + (len(CAUSES),))
    if profile is not None:
        every = profile.seconds(tokens)  # [.., rank that has the tokens, rank that computes]
        common = every.mean(axis=-1)
        own = np.einsum("...rr->...r", every)
        causes[..., 0] = lead(common)
        causes[..., 1] = lead(own - common)
    causes[..., 2] = lead(dispatch)
    causes[..., 3] = lead(arrival) - causes[..., :3].sum(axis=-1)
    return causes
