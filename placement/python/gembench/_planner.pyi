from typing import Any, Optional

import numpy as np
import numpy.typing as npt

class Problem:
    def __init__(self, loads32: Optional[npt.NDArray[np.int32]], loads64: Optional[npt.NDArray[np.int64]], ranks: int,
                 slots: int, speeds: Optional[npt.NDArray[np.float64]], load_points: Optional[npt.NDArray[np.int64]],
                 latency: Optional[npt.NDArray[np.float64]], previous: Optional[npt.NDArray[np.int64]]) -> None: ...
    def plan(self, map: npt.NDArray[np.int64], nodes: int, groups: int, max_moves: int, strategy: str, seed: int,
             threads: int, time_limit: float, steps_in_row: int) -> str: ...
    def judge(self, map: npt.NDArray[np.int64],
              steps_in_row: int) -> tuple[float, float, float, int, float, int]: ...

def version() -> int: ...
