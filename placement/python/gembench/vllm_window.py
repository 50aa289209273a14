"""The time axis for vLLM's policy. vLLM sums its window of loads before it asks the policy, and how much loads
vary from step to step is lost. So the window is read when vLLM starts to rearrange, and the policy finds it
again by its sum.
"""

from __future__ import annotations

import functools
import inspect
import logging
from typing import Any

import numpy as np

from .engine_planner import Loads, Once
from .engine_ranks import alike
from .engine_settings import Settings


class Windows:
    """The loads of all models of a server at the last rearrangement."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._settings = settings
        self._once = Once(log)
        self._rows: list[Any] = []  # of a model: [row, layer, expert] tensor on the server's device
        self._steps_in_row = 1
        self._window = 1  # steps of vLLM's sums: the size of its window, once it rearranges
        self._ready: Any = None  # the event after which they may be read

    def watch(self) -> None:
        """Wraps EplbState.rearrange. Without it plans rest on sums; one line says so."""
        try:
            from vllm.distributed.eplb.eplb_state import EplbState
            if not hasattr(EplbState.rearrange, "of_gembench"):
                setattr(EplbState, "rearrange", self._wrapped(EplbState.rearrange))
        except Exception as error:
            self._once.warning(f"gembench plans on sums of loads, since vLLM's window is not to be had: {error}")

    def behind(self, sums: Loads) -> tuple[Loads, int]:
        """The rows [row, layer, expert] that sum to `sums` [layer, expert], and the steps of each; else the sums,
        and the size of vLLM's window. That many steps may not have passed at the first plan; how many have, every
        rank counts for itself, and plans must be alike."""
        if self._ready is not None:
            self._ready.synchronize()
        for rows in self._rows:
            if rows.shape[1:] == sums.shape:
                found: Loads = rows.cpu().numpy()
                if (found.sum(axis=0) == sums).all():
                    return found, self._steps_in_row
        if self._rows:
            self._once.warning("gembench plans on sums of loads, since they are not those of vLLM's window")
        return sums[np.newaxis], self._window

    def _wrapped(self, original: Any) -> Any:
        signature = inspect.signature(original)

        @functools.wraps(original)
        def rearrange(state: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                given = signature.bind(state, *args, **kwargs).arguments
                # Neither a profiling run nor loads saved earlier are what the window holds, and while ranks come
                # or go vLLM plans for itself. All ranks know that alike.
                self._rows, self._window = [], 1
                if not given.get("is_profile"):
                    self._window = max(1, int(state.expert_load_window_size))
                if not any(given.get(name) for name in ("is_profile", "rank_mapping", "use_last_expert_load")):
                    self._read(state)
            except Exception as error:
                self._once.warning(f"gembench plans on sums of loads: {error}")
            return original(state, *args, **kwargs)

        setattr(rearrange, "of_gembench", True)
        return rearrange

    def _read(self, state: Any) -> None:
        """A collective call: the window of a rank holds what it sent, to physical experts."""
        import torch
        from vllm.distributed.parallel_state import get_ep_group
        group = get_ep_group().device_group
        rows, failure = [], ""
        size = int(state.expert_load_window_size)
        steps_in_row = -(-size // self._settings.rows)
        try:
            rows = [_rows_of(model, int(state.expert_load_window_step), steps_in_row)
                    for model in state.model_states.values()]
        except Exception as error:
            failure = str(error)
        shapes = repr([tuple(row.shape) for row in rows]).encode()
        if not alike(None if failure else shapes, group, state.device):
            raise RuntimeError(failure or "the ranks have windows of different sizes")
        for row in rows:
            torch.distributed.all_reduce(row, group=group)
        self._ready = None
        if rows and rows[0].device.type != "cpu":
            self._ready = torch.Event(rows[0].device)
            self._ready.record()
        self._rows, self._steps_in_row = rows, steps_in_row


def _rows_of(model: Any, step: int, steps_in_row: int) -> Any:
    """[row, layer, expert] int64: the tokens that this rank sent to each expert, newest steps first. Every rank
    writes its ring buffer at its own `step`, so rows of several ranks match by age, not by place."""
    import torch
    window = model.expert_load_window  # [step, layer, slot] int32
    size, layers, slots = window.shape
    age = (step - 1 - torch.arange(size, device=window.device)) % size
    summed = torch.zeros((-(-size // steps_in_row), layers, slots), dtype=window.dtype, device=window.device)
    summed.index_add_(0, age // steps_in_row, window)
    experts = int(model.model.num_logical_experts)
    expert = model.physical_to_logical_map[:, :slots].long()
    expert = expert.masked_fill(expert < 0, experts)  # slots not in use yet, left out below
    rows = torch.zeros((len(summed), layers, experts + 1), dtype=torch.int64, device=window.device)
    rows.scatter_add_(2, expert.unsqueeze(0).expand_as(summed), summed.long())
    return rows[..., :experts].contiguous()
