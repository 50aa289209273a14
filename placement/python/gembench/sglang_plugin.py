"""A plug-in for SGLang: its EPLB manager asks gembench where experts go. Whenever that fails, SGLang's own
algorithm answers, and one line says why.

Written against SGLang 0.5.23: `sglang/srt/plugins/hook_registry.py`, `sglang/srt/eplb/eplb_algorithms`,
`sglang/srt/eplb/expert_location.py`. SGLang calls register() in each of its processes.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, Optional

import numpy as np

from . import Ints, invert
from .engine_planner import EnginePlanner, counts_of, planner_as_set
from .engine_ranks import plan_alike
from .engine_settings import Settings, is_off

TARGET = "sglang.srt.eplb.eplb_algorithms.rebalance_experts"

log = logging.getLogger("sglang.gembench")
_planner: Optional[EnginePlanner] = None


def register() -> None:
    """Hooks the balancer, unless gembench is switched off or does not know this SGLang. Twice is as good as once;
    never raises."""
    global _planner
    if is_off():
        log.info("gembench is switched off by GEMBENCH_EPLB: SGLang places experts itself")
        return
    try:
        from sglang.srt.plugins.hook_registry import HookRegistry, HookType
        if _planner is not None and any(hook[1] is around for hook in HookRegistry._hooks.get(TARGET, ())):
            return
        planner = planner_as_set(log)
        HookRegistry.register(TARGET, around, HookType.AROUND)
        _planner = planner
    except Exception as error:
        log.warning("gembench does not place experts, SGLang does: %s", error)
        return
    if planner.failure:
        log.warning("gembench does not place experts, SGLang does: %s", planner.failure)
    else:
        log.info("gembench places experts: %s", planner.settings)


def around(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """SGLang's rebalance_experts: (phy2log [layer, slot], log2phy [layer, expert, width] padded with -1, counts
    [layer, expert]), int64 on the CPU."""
    try:
        return _rebalance(*args, **kwargs)
    except Exception as error:
        log.warning("gembench leaves this plan to SGLang's own algorithm: %s", error)
    return original(*args, **kwargs)


def _rebalance(tokens_per_expert: Any, num_physical_experts: int, num_local_physical_experts: int,
               num_groups: Optional[int] = None, num_nodes: int = 1, algorithm: Any = None,
               broken_ranks: Any = None, **unknown: Any) -> tuple[Any, Any, Any]:
    """`tokens_per_expert` [step, layer, expert]: steps in the order of a ring buffer, unused ones empty; layers
    without experts are empty too. `broken_ranks` [rank], 1 = dead, is an addition of forks."""
    import torch
    if _planner is None:
        raise RuntimeError("it is not registered")
    if unknown:
        raise TypeError(f"it does not know the argument {next(iter(unknown))}")
    ranks = num_physical_experts // num_local_physical_experts
    previous = _map_in_use()
    # At the start a map may be made outside of the engine's processes, too (its weight cache): no calls to
    # others then, and nothing that a variable or a file of one host could change. Once a server runs, all ranks
    # have just reduced their counts in the same way.
    planner = EnginePlanner(Settings(threads=_planner.settings.threads), log) if previous is None else _planner

    def make(gpus: list[str]) -> Ints:
        loads = counts_of(tokens_per_expert)
        if loads.ndim == 2:
            loads = loads[np.newaxis]
        return planner.plan(loads, ranks=ranks, all_slots=num_physical_experts, previous=previous, nodes=num_nodes,
                            groups=num_groups or 0, dead=_dead_ranks(ranks, algorithm, broken_ranks), gpus=gpus)

    together = (planner.settings.agree and previous is not None and torch.distributed.is_available()
                and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1)
    phy2log = plan_alike(make, ranks, None, tokens_per_expert.device) if together else make([])
    slots_of, counts = invert(phy2log, tokens_per_expert.shape[-1])
    # SGLang has no empty slots: on dead ranks its own algorithm writes expert 0, which nothing points to.
    return (torch.from_numpy(np.maximum(phy2log, 0)), torch.from_numpy(slots_of), torch.from_numpy(counts))


def _map_in_use() -> Optional[Ints]:
    """[layer, slot], or None at the start. RuntimeError after a change of the number of ranks: then rank 0
    alone plans, for all."""
    from sglang.srt.eplb.expert_location import get_global_expert_location_metadata
    try:
        metadata = get_global_expert_location_metadata()
    except Exception:  # nothing is published yet
        metadata = None
    if metadata is None:
        return None
    state = _elastic_state()
    if state is not None and getattr(state, "has_scaled", False):
        raise RuntimeError("the number of ranks has changed since the start")
    on_host = getattr(metadata, "physical_to_logical_map_cpu", None)
    found = metadata.physical_to_logical_map if on_host is None else on_host
    return np.asarray(found.detach().cpu().numpy(), dtype=np.int64)


def _dead_ranks(ranks: int, algorithm: Any, broken_ranks: Any) -> list[int]:
    """From the argument of forks, or as SGLang's elasticity_aware algorithms learn of them."""
    if broken_ranks is not None:
        broken = np.asarray(broken_ranks.detach().cpu() if hasattr(broken_ranks, "detach") else broken_ranks)
        if broken.shape != (ranks,) or not np.isin(broken, (0, 1)).all():
            raise ValueError(f"broken_ranks is not 0 or 1 for each of {ranks} ranks")
        return [int(rank) for rank in np.flatnonzero(broken)]
    if not str(getattr(algorithm, "name", algorithm)).startswith("elasticity_aware"):
        return []
    state = _elastic_state()
    if state is None or state.active_ranks is None:
        return []
    active = state.active_ranks.detach().cpu().numpy()
    if len(active) < ranks:
        raise ValueError(f"{len(active)} active ranks of {ranks} are known")
    return [int(rank) for rank in np.flatnonzero(active[:ranks] == 0)]


def _elastic_state() -> Any:
    try:
        from sglang.srt.elastic_ep.elastic_ep import ElasticEPStateManager
    except ImportError:  # a version without it
        return None
    return ElasticEPStateManager.instance()
