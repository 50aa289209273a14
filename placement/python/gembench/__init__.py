"""Plans where the experts of a Mixture-of-Experts model go, knowing how fast each GPU is.

    import gembench
    plan = gembench.plan(loads, ranks=8, slots=36, speeds=[1, 1, 1, 1, 1, 1, 1, 0.8])
    plan.phy2log            # [layers, 288] int64: the expert in every slot

`loads` are tokens routed to each expert, [step, layer, expert] or [layer, expert]: numpy arrays, or
tensors of torch, CuPy, JAX and others; those on a GPU are copied to the host. Calls with the same
arguments return the same map in every process, unless `time_limit` ends one of them. Nothing here
needs torch or MPI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from . import _planner
from .formats import ModelShape, convert
from .profile import Profile

__all__ = ["ModelShape", "Plan", "Profile", "Score", "convert", "invert", "plan", "score"]
__version__ = "0.1.0"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)  # arrays have no single truth to compare by
class Plan:
    """A map of experts to slots."""

    phy2log: Ints  # [layer, ranks * slots]: expert; -1 in slots of dead ranks
    ranks: int
    note: str  # why it is the previous map, or experts in order, instead of a new plan; else empty

    def log2phy(self, experts: int) -> tuple[Ints, Ints]:
        """As invert()."""
        return invert(self.phy2log, experts)


@dataclass(frozen=True)
class Score:
    """How a map does on given loads, predicted; tokens are split evenly over an expert's slots."""

    step_seconds: float  # of the slowest rank of every layer, summed over layers, mean over steps.
    #                      With `speeds` instead of a profile: in the time of a token
    imbalance: float  # max/mean of tokens over ranks, mean over steps and layers
    balancedness: float  # mean/max of the same
    straggler: int  # the rank that is slowest most often
    straggler_share: float
    moves: int  # experts on ranks where `previous` has not got them


def _host(given: Any) -> npt.NDArray[Any]:
    """On the host: a tensor of torch by its own methods, others by DLPack. That does not leave a GPU: there
    CuPy's arrays have get(), and numpy knows how to convert those of JAX."""
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    elif not isinstance(given, np.ndarray) and hasattr(given, "__dlpack__"):
        try:
            given = np.from_dlpack(given)
        except (BufferError, RuntimeError, TypeError, ValueError):
            given = given.get() if hasattr(given, "get") else given
    return np.asarray(given)


def _array(given: Any, dtype: Any, ndim: int, name: str) -> npt.NDArray[Any]:
    """Contiguous, of this type, which whole numbers are not rounded to."""
    found = _host(given)
    if np.dtype(dtype).kind == "i" and found.dtype.kind not in "iu":
        raise TypeError(f"{name} must be whole numbers, not {found.dtype}")
    found = np.ascontiguousarray(found, dtype=dtype)
    if found.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not {found.ndim}")
    return found


def _check_ranks(ranks: int) -> None:
    if ranks < 1:
        raise ValueError("ranks must be at least 1")


def _problem(loads: Any, ranks: int, slots: Optional[int], speeds: Any, profile: Optional[Profile],
             previous: Any) -> tuple[_planner.Problem, int, int]:
    """The problem, its layers and its slots."""
    _check_ranks(ranks)
    loads = _host(loads)
    narrow = loads.dtype == np.int32
    if loads.ndim == 2:
        loads = loads[np.newaxis]
    loads = _array(loads, np.int32 if narrow else np.int64, 3, "loads")
    if previous is not None:
        previous = _array(previous, np.int64, 2, "previous")
        slots = previous.shape[1] // ranks if slots is None else slots
    if slots is None:
        slots = -(-loads.shape[2] // ranks)
    if profile is not None and profile.ranks != ranks:
        raise ValueError(f"the profile holds {profile.ranks} ranks, not {ranks}")
    problem = _planner.Problem(
        loads if narrow else None, None if narrow else loads, ranks, slots,
        None if speeds is None else _array(speeds, np.float64, 1, "speeds"),
        None if profile is None else _array(profile.load_points, np.int64, 1, "load_points"),
        None if profile is None else _array(profile.latency, np.float64, 2, "latency"), previous)
    return problem, loads.shape[1], slots


def plan(loads: Any, *, ranks: int, slots: Optional[int] = None, speeds: Any = None,
         profile: Optional[Profile] = None, previous: Any = None, max_moves: int = 0,
         strategy: str = "gem", nodes: int = 1, groups: int = 0, steps_in_row: int = 1, seed: int = 0,
         threads: int = 0, time_limit: float = 0.0) -> Plan:
    """A map for these loads.

    `slots` of a rank: by default as many as `previous` has, or as the experts need. `speeds` [rank]:
    relative, 1 as fast as the profile (or all alike), 0 = dead, holds nothing. `previous`
    [layer, ranks * slots]: the map in use; experts that stay on a rank keep their slot. With
    `max_moves` at most so many experts a layer change; else the plan is made afresh.
    `steps_in_row`: steps that every row of loads is the sum of. `nodes`, `groups`: for strategy
    eplb-hier. `threads` 0: one per CPU. `time_limit` in seconds, 0: none.

    ValueError for arguments that make no problem, and for an unknown strategy. On a time limit, and
    where the strategy refuses, the previous map (or experts in order) comes back, and `note` says why.
    """
    problem, layers, slots = _problem(loads, ranks, slots, speeds, profile, previous)
    phy2log = np.empty((layers, ranks * slots), dtype=np.int64)
    note = problem.plan(phy2log, nodes, groups, max_moves, strategy, seed, threads, time_limit,
                        steps_in_row)
    return Plan(phy2log, ranks, note)


def score(loads: Any, phy2log: Any, *, ranks: int, speeds: Any = None,
          profile: Optional[Profile] = None, previous: Any = None, steps_in_row: int = 1) -> Score:
    """Judges any map whose every expert has a slot on a live rank; arguments as plan(). An expert may
    be on a rank twice, as in the maps of some engines."""
    _check_ranks(ranks)
    found = _array(phy2log, np.int64, 2, "phy2log")
    problem, _, _ = _problem(loads, ranks, found.shape[1] // ranks, speeds, profile, previous)
    return Score(*problem.judge(found, steps_in_row))


def invert(phy2log: Any, experts: int) -> tuple[Ints, Ints]:
    """[layer, expert, width] the slots of every expert, ascending, then -1; and [layer, expert] how
    many there are. ValueError for an expert of 0 .. experts - 1 that a map does not name so."""
    found = _array(phy2log, np.int64, 2, "phy2log")
    if found.size and (found.max() >= experts or found.min() < -1):
        raise ValueError(f"the map names experts beyond 0 .. {experts - 1}")
    layers = found.shape[0]
    layer, slot = np.nonzero(found >= 0)
    expert = found[layer, slot]
    counts = np.zeros((layers, experts), dtype=np.int64)
    np.add.at(counts, (layer, expert), 1)
    width = int(counts.max(initial=0))
    slots_of = np.full((layers, experts, width), -1, dtype=np.int64)
    order = np.lexsort((slot, expert, layer))
    layer, slot, expert = layer[order], slot[order], expert[order]
    before = np.concatenate(([0], np.cumsum(counts.ravel())[:-1]))
    slots_of[layer, expert, np.arange(len(slot)) - before[layer * experts + expert]] = slot
    return slots_of, counts
