"""What the ranks of an engine tell each other while they plan. Every rank plans for itself; were one map
different, tokens would go to the wrong experts and nothing would say so. So the ranks compare their maps,
and all use the engine's own policy if any differs.

Every function here is a collective call on `group`, with tensors on `device`: all of its ranks must come
here, in the same order. torch is imported when called.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, Callable, Optional

from . import Ints


def alike(data: Optional[bytes], group: Any, device: Any) -> bool:
    """Whether every rank has data, and the same. None: this rank has none."""
    import torch
    import torch.distributed as dist
    number = 0 if data is None else int.from_bytes(hashlib.sha256(data).digest()[:7], "little")
    # The least of a number and of its negative: equal only if all numbers are.
    least = torch.tensor([int(data is not None), number, -number], dtype=torch.int64, device=device)
    dist.all_reduce(least, op=dist.ReduceOp.MIN, group=group)
    made, low, high = least.tolist()
    return bool(made) and low == -high


def gpu_ids(ranks: int, group: Any, device: Any) -> list[str]:
    """[rank] the UUIDs of all GPUs, as CUDA's tools print them. Empty where a rank has none, or where the
    group is not that of the `ranks` that share the experts."""
    import torch
    import torch.distributed as dist
    if dist.get_world_size(group) != ranks:
        return []
    mine = torch.tensor([int.from_bytes(_own_gpu()[at:at + 4], "big") for at in range(0, 16, 4)],
                        dtype=torch.int64, device=device)
    everyone = [torch.zeros_like(mine) for _ in range(ranks)]
    dist.all_gather(everyone, mine, group=group)
    rows = [row.tolist() for row in everyone]
    if not all(any(row) for row in rows):
        return []
    return ["GPU-" + str(uuid.UUID(bytes=b"".join(part.to_bytes(4, "big") for part in row))) for row in rows]


def _own_gpu() -> bytes:
    """16 bytes; zeros where there is no GPU, or one without a UUID."""
    import torch
    try:
        if torch.cuda.is_available():
            here = torch.cuda.get_device_properties(torch.cuda.current_device())
            return uuid.UUID(str(here.uuid).removeprefix("GPU-")).bytes
    except Exception:  # not even a damaged driver may keep this rank from the collective call
        pass
    return bytes(16)


def plan_alike(make: Callable[[list[str]], Ints], ranks: int, group: Any, device: Any) -> Ints:
    """The map that `make` returns here and on all other ranks, given the UUIDs of the GPUs.

    RuntimeError if any rank fails or finds another map; then all of them raise, and the reason is on the
    rank that has it."""
    gpus = gpu_ids(ranks, group, device)
    failure: Optional[Exception] = None
    found: Optional[Ints] = None
    try:
        found = make(gpus)
    except Exception as error:
        failure = error
    if not alike(None if found is None else repr(found.shape).encode() + found.tobytes(), group, device):
        raise RuntimeError(str(failure) if failure is not None else
                           "the ranks do not plan alike: give all of them the same gembench, variables and profile")
    assert found is not None
    return found
