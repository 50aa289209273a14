"""Expert loads over time; which experts are consistent or temporal (as `gembench trace info`)."""

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

LEAST_BURST = 1.5
KINDS = ("consistent", "temporal", "other")
MEASURED_STEPS = 4096  # steps of a layer looked at, at most


@dataclass(frozen=True)
class LayerLoads:
    """Loads of one layer. `windows` [expert, window]: tokens a step in windows of `window_steps`
    consecutive steps; `mean` [expert] tokens a step; `kind` [expert] index into KINDS; `duty`
    [expert] share of steps in which it is used; `burst` [expert] its tokens when used over the
    mean load of an expert; `bursts` [expert, window] whether a temporal expert has at least
    LEAST_BURST times that load in a step of the window."""

    layer: int
    windows: NDArray[np.float64]
    window_steps: int
    mean: NDArray[np.float64]
    kind: NDArray[np.int64]
    duty: NDArray[np.float64]
    burst: NDArray[np.float64]
    bursts: NDArray[np.bool_]


def kinds(tokens: NDArray[np.float64]) -> Tuple[NDArray[np.int64], NDArray[np.float64],
                                                NDArray[np.float64]]:
    """kind, duty and burst [expert] of tokens [step, expert]. GEM (arXiv:2605.19945), second-hand:
    consistent experts are used in 85 % of steps, temporal ones in about 17 % with about 3 times the
    tokens; "about" = within a factor of 2 is ours."""
    level = tokens.mean(axis=1, keepdims=True)
    used = tokens > 0
    count = used.sum(axis=0)
    duty = count / max(1, len(tokens))
    over = np.where(used, tokens / np.where(level > 0, level, 1), 0).sum(axis=0)
    burst = np.where(count > 0, over / np.maximum(count, 1), 0)
    temporal = (count > 0) & (duty <= 0.34) & (burst >= LEAST_BURST)
    return np.where(duty >= 0.85, 0, np.where(temporal, 1, 2)), duty, burst


def layer_loads(run: xr.Dataset, layer: int, most_windows: int = 64) -> LayerLoads:
    """Loads of one layer over the measured steps (of long runs, the first MEASURED_STEPS)."""
    # A run may end before its last step.
    measured = np.flatnonzero((np.nan_to_num(run["block"].values, nan=-1) >= 0).any(axis=0))
    tokens = run["expert_tokens"].isel(layer=layer, step=measured[:MEASURED_STEPS]).values
    tokens = tokens[~np.isnan(tokens).any(axis=1)].astype(float)
    each = max(1, -(-len(tokens) // most_windows))
    windows = [tokens[first:first + each].mean(axis=0) for first in range(0, len(tokens), each)]
    kind, duty, burst = kinds(tokens)
    level = tokens.mean(axis=1, keepdims=True)
    high = (tokens >= LEAST_BURST * level) & (tokens > 0) & (kind == KINDS.index("temporal"))
    bursts = [high[first:first + each].any(axis=0) for first in range(0, len(tokens), each)]
    return LayerLoads(layer, np.array(windows).T, each, tokens.mean(axis=0), kind, duty, burst,
                      np.array(bursts).T)


def layers_to_show(wait: NDArray[np.float64], most: int = 6) -> List[int]:
    """The layers [layer] with the longest waits, ascending; the first layers if waits are NaN."""
    if np.isnan(wait).any():
        return list(range(min(most, wait.size)))
    return sorted(int(layer) for layer in np.argsort(-wait, kind="stable")[:most])
