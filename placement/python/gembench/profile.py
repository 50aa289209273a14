"""Profiles that `gembench profile` measured: how long every rank takes at which load."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Sequence, Union

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)  # arrays have no single truth to compare by
class Profile:
    """Latency of every rank against load."""

    load_points: npt.NDArray[np.int64]  # [load_point] assignments to a rank in a step, ascending from 0
    latency: npt.NDArray[np.float64]  # [rank, load_point] seconds of a layer, routing included
    device_ids: list[str] = field(default_factory=list)  # [rank] a GPU's UUID, "" where there is none

    @property
    def ranks(self) -> int:
        return int(self.latency.shape[0])

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> "Profile":
        """A profile.h5. ImportError without h5py; ValueError for another file."""
        try:
            import h5py
        except ImportError as error:
            raise ImportError("reading profiles needs h5py: pip install h5py") from error
        with h5py.File(path, "r") as file:
            schema = file.attrs.get("schema", "")
            if (schema.decode() if isinstance(schema, bytes) else schema) != "gembench-profile":
                raise ValueError(f"{path} is no profile of gembench")
            overhead = np.asarray(file["overhead"], dtype=np.float64)
            latency = np.asarray(file["latency"], dtype=np.float64) + overhead[:, np.newaxis]
            ids = file["environment/device_id"][()] if "environment/device_id" in file else []
            names = [name.decode() if isinstance(name, bytes) else str(name) for name in ids]
            return cls(np.asarray(file["load_point" if "load_point" in file else "knot"], dtype=np.int64), latency,
                       [name if name.startswith("GPU-") else "" for name in names])  # of a CPU: its cores

    def of(self, device_ids: Sequence[str]) -> "Profile":
        """The profile of these GPUs, in their order, by UUID. KeyError for one that is not in it."""
        where = {name: rank for rank, name in enumerate(self.device_ids) if name}
        missing = [name for name in device_ids if name not in where]
        if missing:
            raise KeyError(f"the profile does not know GPU {missing[0]}: measure it again on these GPUs")
        return Profile(self.load_points, self.latency[[where[name] for name in device_ids]], list(device_ids))
