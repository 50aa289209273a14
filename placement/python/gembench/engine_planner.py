"""Planning inside of an engine: loads as engines record them, speeds from what the user set, and a map
that is checked before it is handed over. Every rank plans for itself and must find the same map, so
nothing here depends on time, on the number of threads or on the host.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Any, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from . import Ints, invert, plan
from .engine_settings import Settings, agrees, read_settings
from .profile import Profile

Loads = Union[npt.NDArray[np.int32], npt.NDArray[np.int64]]
Speeds = tuple[Optional[npt.NDArray[np.float64]], Optional[Profile]]
NEARLY = 1e-3  # as far as sums of floats may be from the whole number that they mean


def used_rows(loads: Loads, most: int) -> tuple[Loads, int]:
    """The rows [step] of `loads` [step, layer, expert] that have tokens, and how many steps a row of them
    holds: beyond `most` rows, neighbours are summed in groups of equal size. Less than a group is left out."""
    kept = loads[loads.any(axis=(1, 2))]
    group = -(-len(kept) // most)
    if group <= 1:
        return kept if len(kept) else loads[:1], 1
    rows = len(kept) // group
    summed = kept[:rows * group].reshape(rows, group, *kept.shape[1:]).sum(axis=1, dtype=np.int64)
    return summed, group


def counts_of(tensor: Any) -> Loads:
    """A tensor of tokens on the host, as whole numbers: int32 stays so, all else becomes int64. ValueError for
    fractions: rounded, loads that somebody has normalised would be zeros."""
    found = tensor.detach().cpu().numpy()
    if found.dtype.kind == "f":
        whole = np.rint(found)
        with np.errstate(invalid="ignore"):
            near = np.abs(found - whole) <= NEARLY  # NaN and infinity are near to nothing
        if not near.all():
            raise ValueError("the loads are no whole numbers of tokens: record them without normalising")
        found = whole
    return found if found.dtype == np.int32 else np.asarray(found, dtype=np.int64)


class Once:
    """Warnings that are worth one line, however often a server plans."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: set[str] = set()

    def warning(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._log.warning("%s", text)


class EnginePlanner:
    """Plans with fixed settings, and remembers the speeds it found for them. With a `failure` it plans nothing."""

    def __init__(self, settings: Settings, log: logging.Logger, failure: str = "") -> None:
        self.settings = settings
        self.log = log
        self.once = Once(log)
        self.failure = failure
        self._known: dict[tuple[int, tuple[str, ...]], Speeds] = {}

    def plan(self, loads: Loads, *, ranks: int, all_slots: int, previous: Optional[Ints] = None, nodes: int = 1,
             groups: int = 0, dead: Sequence[int] = (), gpus: Sequence[str] = (), steps_in_row: int = 1) -> Ints:
        """[layer, slot] the expert in every slot, -1 in those of `dead` ranks.

        `loads` [step, layer, expert] tokens, int32 or int64, every row the sum of `steps_in_row` steps; empty
        rows are left out. `all_slots`: of all ranks. `previous` [layer, all_slots] or None; one of another
        shape is not used. `gpus` [rank] UUIDs, if they are known.
        ValueError for what is no problem, RuntimeError where the strategy makes no plan, and with `failure`.
        """
        if self.failure:
            raise RuntimeError(self.failure)
        steps, layers, experts = loads.shape
        if steps < 1 or ranks < 1 or all_slots % ranks != 0:
            raise ValueError(f"{steps} steps, {ranks} ranks and {all_slots} slots are no problem to plan")
        if previous is not None and previous.shape != (layers, all_slots):
            previous = None
        hierarchical = self.settings.strategy == "eplb-hier" and groups >= 1 and groups % nodes == 0
        rows, group = used_rows(loads, self.settings.rows)
        speeds, profile = self._alive(self._speeds(ranks, tuple(gpus)), ranks, dead)
        found = plan(rows, ranks=ranks, slots=all_slots // ranks, speeds=speeds, profile=profile, previous=previous,
                     max_moves=self.settings.max_moves if previous is not None else 0,
                     strategy=self.settings.strategy, nodes=nodes if hierarchical else 1,
                     groups=groups if hierarchical else 0, steps_in_row=group * steps_in_row,
                     threads=self.settings.threads or _share_of_cpus(ranks, nodes))
        if found.note:
            raise RuntimeError(found.note)
        _check(found.phy2log, experts, ranks, dead)
        return found.phy2log

    def _speeds(self, ranks: int, gpus: tuple[str, ...]) -> Speeds:
        known = self._known.get((ranks, gpus))
        if known is None:
            known = self._set_speeds(ranks), self._find_profile(ranks, gpus)
            if known[1] is not None or not self.settings.profile:  # a file that failed may be there next time
                self._known[ranks, gpus] = known
        return known

    def _set_speeds(self, ranks: int) -> Optional[npt.NDArray[np.float64]]:
        given = self.settings.speeds
        if given is None or len(given) == ranks:
            return None if given is None else np.array(given, dtype=np.float64)
        self.once.warning(f"gembench takes all GPUs as equally fast: GEMBENCH_EPLB_SPEEDS has {len(given)} numbers for "
                          f"{ranks} ranks")
        return None

    def _find_profile(self, ranks: int, gpus: tuple[str, ...]) -> Optional[Profile]:
        """By UUID where both sides have any; else rank by rank."""
        if not self.settings.profile:
            return None
        try:
            profile = Profile.load(self.settings.profile)
            by_id = len(gpus) == ranks and any(profile.device_ids)
            unknown = next((gpu for gpu in gpus if gpu not in profile.device_ids), "") if by_id else ""
            if by_id and not unknown:
                return profile.of(gpus)
            if not by_id and profile.ranks == ranks:
                return profile
            why = f"it does not know {unknown}" if by_id else f"it holds {profile.ranks} ranks, not {ranks}"
        except Exception as error:  # whatever h5py says of a file
            why = str(error)
        self.once.warning(f"gembench takes all GPUs as equally fast, since {self.settings.profile} is of no use: {why}")
        return None

    @staticmethod
    def _alive(found: Speeds, ranks: int, dead: Sequence[int]) -> Speeds:
        speeds, profile = found
        if len(dead):
            speeds = np.ones(ranks) if speeds is None else speeds.copy()
            speeds[list(dead)] = 0
        return speeds, profile


def planner_as_set(log: logging.Logger) -> EnginePlanner:
    """As the variables say. Where they are of no use, or gembench is not, plan() raises the reason: this rank
    comes to every comparison of maps all the same, or the others would wait for it."""
    settings = Settings(agree=agrees())
    try:
        settings = read_settings()
        planner = EnginePlanner(settings, log)
        try_out(planner)
        return planner
    except Exception as error:
        return EnginePlanner(settings, log, failure=str(error) or type(error).__name__)


def try_out(planner: EnginePlanner) -> None:
    """Raises what makes the planner useless here, such as a strategy that does not exist: sooner than while a
    server runs. Speeds are left for when the number of ranks is known."""
    plain = EnginePlanner(replace(planner.settings, speeds=None, profile=""), planner.log)
    plain.plan(np.ones((1, 1, 4), dtype=np.int32), ranks=2, all_slots=4)


def _share_of_cpus(ranks: int, nodes: int) -> int:
    """All ranks of a host plan at the same time. They share the CPUs of the process that started them; a rank may
    be bound to some of these, and is not to divide its own again."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 1) * max(nodes, 1) // ranks)
    own, shared = len(os.sched_getaffinity(0)), 0
    try:
        shared = len(os.sched_getaffinity(os.getppid()))
    except OSError:  # it has ended
        pass
    return min(own, max(1, max(own, shared) * max(nodes, 1) // ranks))


def _check(phy2log: Ints, experts: int, ranks: int, dead: Sequence[int]) -> None:
    """RuntimeError for a map that an engine could not use: better its own policy than a wrong answer."""
    empty = (phy2log < 0).reshape(len(phy2log), ranks, -1)
    live = np.ones(ranks, dtype=bool)
    live[list(dead)] = False
    if empty[:, live].any() or not (invert(phy2log, experts)[1] >= 1).all():
        raise RuntimeError("the plan leaves slots or experts out, which is an error of gembench")
