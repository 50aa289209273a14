"""Several runs in order: what was swept, and the runs sorted by it."""

from dataclasses import dataclass
from typing import Callable, Dict, List

import xarray as xr

from .summary import Summary


@dataclass(frozen=True)
class Run:
    """A run (load), its reduction (reduce) and its rows (summarise)."""

    run: xr.Dataset
    reduced: xr.Dataset
    rows: List[Summary]


def tokens_of(one: Run) -> float:
    """Tokens of a step, mean over the measured steps."""
    return float(one.reduced["tokens_of_step"].mean())


def spread_of(one: Run) -> float:
    """Slowest over fastest rank's emulated slowdown, - 1."""
    slowdown = one.run["slowdown"].values
    return float(slowdown.max() / slowdown.min() - 1)


AXES: Dict[str, Callable[[Run], float]] = {
    "ranks": lambda one: float(one.run.sizes["rank"]),
    "tokens a step": tokens_of,
    "emulated spread of rank speeds (%)": lambda one: 100 * spread_of(one),
}


def swept(loaded: List[Run]) -> List[str]:
    """The properties (of AXES) in which the runs differ."""
    return [name for name, axis in AXES.items()
            if len({round(axis(one), 6) for one in loaded}) > 1]


def in_order(loaded: List[Run]) -> List[Run]:
    """Sorted by what was swept; runs that agree in it keep the order of the command line."""
    names = swept(loaded)
    return sorted(loaded, key=lambda one: [AXES[name](one) for name in names])
