"""A plug-in for vLLM: its EPLB policy `default` asks gembench where experts go. Whenever that fails, vLLM's own
policy answers, and one line says why.

Written against vLLM 0.33.0: `vllm/distributed/eplb/policy`. Versions whose policy returns three maps are served
too, by what theirs returns; any other signature is left alone. vLLM calls register() in each of its processes.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any, Optional

import numpy as np

from . import Ints, invert
from .engine_planner import EnginePlanner, counts_of, planner_as_set
from .engine_ranks import plan_alike
from .engine_settings import is_off
from .vllm_window import Windows

PARAMETERS = ("weight", "num_replicas", "num_groups", "num_nodes", "num_ranks")
OLD_MAP = "old_global_expert_indices"

log = logging.getLogger("vllm.gembench")


def register() -> None:
    """Puts our policy into vLLM's table, unless gembench is switched off or does not know this vLLM. Twice is as
    good as once; never raises."""
    if is_off():
        log.info("gembench is switched off by GEMBENCH_EPLB: vLLM places experts itself")
        return
    try:
        from vllm.distributed.eplb.policy import EPLB_POLICIES
        own = EPLB_POLICIES["default"]
        if getattr(own, "places_experts_by_gembench", False):
            return
        triple = _returns_triple(own)
        planner = planner_as_set(log)
        windows = Windows(planner.settings, log)
        EPLB_POLICIES["default"] = _policy(own, triple, planner, windows)
    except Exception as error:
        log.warning("gembench does not place experts, vLLM does: %s", error)
        return
    if planner.failure:
        log.warning("gembench does not place experts, vLLM does: %s", planner.failure)
    else:
        log.info("gembench places experts: %s", planner.settings)
    windows.watch()


def _returns_triple(own: Any) -> bool:
    """Whether the policy `own` returns phy2log, log2phy and counts instead of phy2log alone. TypeError for a
    policy that is called otherwise than we know."""
    names = tuple(inspect.signature(own.rebalance_experts).parameters)
    if names not in (PARAMETERS, (*PARAMETERS, OLD_MAP)):
        raise TypeError(f"this vLLM's rebalance_experts takes {', '.join(names)}")
    import torch
    probe = own.rebalance_experts(torch.ones((1, 2), dtype=torch.int32), 2, 1, 1, 1)
    if isinstance(probe, torch.Tensor) and probe.shape == (1, 2):
        return False
    if isinstance(probe, tuple) and len(probe) == 3 and probe[0].shape == (1, 2):
        return True
    raise TypeError("this vLLM's rebalance_experts returns what gembench does not know")


def _policy(own: Any, triple: bool, planner: EnginePlanner, windows: Windows) -> Any:
    class GembenchPolicy(own):  # type: ignore[misc]
        """vLLM's policy with another plan."""

        places_experts_by_gembench = True

        @classmethod
        def rebalance_experts(cls, weight: Any, num_replicas: int, num_groups: int, num_nodes: int, num_ranks: int,
                              old_global_expert_indices: Any = None) -> Any:
            """phy2log [layer, num_replicas], int64 on the CPU; for older versions also log2phy [layer, expert,
            redundant + 1] padded with -1, and counts [layer, expert]. `weight` [layer, expert]: tokens."""
            try:
                phy2log = _plan(planner, windows, weight, num_replicas, num_groups, num_nodes, num_ranks,
                                old_global_expert_indices)
                return _as_vllm_has_it(phy2log, weight.shape[1], triple, weight.device)
            except Exception as error:
                log.warning("gembench leaves this plan to vLLM's own policy: %s", error)
            # vLLM 0.33.0 divides by num_groups, which some models give as 0; 1 means the same.
            arguments = (weight, num_replicas, num_groups or 1, num_nodes, num_ranks)
            if old_global_expert_indices is None:
                return super().rebalance_experts(*arguments)
            return super().rebalance_experts(*arguments, old_global_expert_indices)

    return GembenchPolicy


def _plan(planner: EnginePlanner, windows: Windows, weight: Any, num_replicas: int, num_groups: int, num_nodes: int,
          num_ranks: int, old: Any) -> Ints:
    previous: Optional[Ints] = None
    if old is not None:
        previous = np.asarray(old.detach().cpu().numpy(), dtype=np.int64)
        # All ranks see the same map, so all of them come to the same end here, without a call.
        if previous.shape[1] != num_replicas or (previous < 0).any():
            raise RuntimeError("the number of ranks is changing")

    def make(gpus: list[str]) -> Ints:
        loads, steps_in_row = windows.behind(counts_of(weight))
        return planner.plan(loads, ranks=num_ranks, all_slots=num_replicas, previous=previous, nodes=num_nodes,
                            groups=num_groups, gpus=gpus, steps_in_row=steps_in_row)

    group = _ranks_that_plan(planner) if planner.settings.agree else None
    return make([]) if group is None else plan_alike(make, num_ranks, group, "cpu")


def _ranks_that_plan(planner: EnginePlanner) -> Any:
    """vLLM's CPU group for EPLB, which the thread that plans has for itself; where there is none, that of the
    ranks that share the experts. None outside of a server."""
    import torch
    from vllm.distributed import parallel_state
    for name in ("get_eplb_group", "get_ep_group"):
        try:
            group = getattr(parallel_state, name)().cpu_group
        except (AttributeError, AssertionError):  # an older vLLM, or no groups yet
            continue
        if group is not None:
            return group if group.size() > 1 else None
    if (torch.distributed.is_available() and torch.distributed.is_initialized()
            and torch.distributed.get_world_size() > 1):
        planner.once.warning("gembench cannot compare the maps of ranks, since this vLLM shows no group of them: set "
                             "all ranks alike")
    return None


def _as_vllm_has_it(phy2log: Ints, experts: int, triple: bool, device: Any) -> Any:
    import torch
    if not triple:
        return torch.from_numpy(phy2log)
    slots_of, counts = invert(phy2log, experts)
    width = phy2log.shape[1] - experts + 1
    padded = np.full((*counts.shape, width), -1, dtype=np.int64)
    padded[..., :slots_of.shape[2]] = slots_of
    return tuple(torch.from_numpy(array).to(device) for array in (phy2log, padded, counts))
