"""In the place of engines, torch, ranks and the planner: modules with the same names and signatures, and what the tests
of the plug-ins start from."""

import logging
import os
import pathlib
import sys
import threading
import types
import unittest

import numpy as np

TOP = pathlib.Path(os.environ.get("GEMBENCH_TOP", pathlib.Path(__file__).resolve().parents[3]))


def experts_in_order(loads32, loads64, ranks, slots, *rest):
    """A planner in the place of the compiled one: expert p mod experts in slot p."""
    loads = loads64 if loads32 is None else loads32

    class Problem:
        def plan(self, phy2log, nodes, groups, max_moves, strategy, seed, threads, time_limit, steps_in_row):
            if strategy == "unknown":
                raise ValueError("there is no strategy 'unknown'")
            PLANNED.append(types.SimpleNamespace(loads=loads, steps_in_row=steps_in_row, max_moves=max_moves,
                                                 previous=rest[3], speeds=rest[0], profile=rest[2],
                                                 strategy=strategy))
            phy2log[:] = np.arange(ranks * slots) % loads.shape[2]
            return REFUSAL[0]
    return Problem()


PLANNED, REFUSAL = [], [""]


class Tensor:
    """As much of torch's as the plug-ins use."""

    device = "cpu"

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape = self.values.shape

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.values

    def tolist(self):
        return self.values.tolist()


def fake_torch():
    distributed = types.SimpleNamespace(is_available=lambda: False)
    return types.SimpleNamespace(from_numpy=Tensor, Tensor=Tensor, int32=np.int32, int64=np.int64,
                                 distributed=distributed, tensor=lambda values, dtype, device: Tensor(values),
                                 zeros_like=lambda tensor: Tensor(tensor.values * 0),
                                 ones=lambda shape, dtype: Tensor(np.ones(shape, dtype)))


class Ranks:
    """torch.distributed, and a group, of ranks that are threads. A collective call that a rank does not come to
    breaks the barrier."""

    ReduceOp = types.SimpleNamespace(MIN="min")

    def __init__(self, ranks):
        self.ranks = ranks
        self.barrier = threading.Barrier(ranks, timeout=5)
        self.held = [None] * ranks
        self.own = threading.local()
        self.is_available = self.is_initialized = lambda: True
        self.size = lambda: ranks
        sys.modules["torch"].distributed = sys.modules["torch.distributed"] = self

    def get_world_size(self, group=None):
        return self.ranks

    def exchange(self, tensor):
        self.held[self.own.rank] = tensor.values.copy()
        self.barrier.wait()
        everyone = list(self.held)
        self.barrier.wait()
        return everyone

    def all_reduce(self, tensor, op, group=None):
        tensor.values = np.min(self.exchange(tensor), axis=0)

    def all_gather(self, into, tensor, group=None):
        for to, values in zip(into, self.exchange(tensor)):
            to.values = values

    def answers(self, calls):
        """Of `calls`, one a rank."""
        found = [None] * self.ranks

        def run(rank):
            self.own.rank = rank
            found[rank] = calls[rank]()
        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(self.ranks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


class Hooks:
    """SGLang's HookRegistry and HookType."""

    HookType = types.SimpleNamespace(AROUND="around", REPLACE="replace")

    def __init__(self):
        self.HookRegistry = types.SimpleNamespace(_hooks={}, register=self.register)

    def register(self, target, hook, kind):
        self.HookRegistry._hooks.setdefault(target, []).append((kind, hook, None))


class Case(unittest.TestCase):
    def setUp(self):
        sys.path.insert(0, str(TOP / "placement" / "python"))
        self.before = dict(sys.modules)
        self.environment = dict(os.environ)
        for name in [name for name in os.environ if name.startswith("GEMBENCH_EPLB")]:
            del os.environ[name]
        for name in [name for name in sys.modules if name.split(".")[0] == "gembench"]:
            del sys.modules[name]
        sys.modules["gembench._planner"] = types.SimpleNamespace(Problem=experts_in_order)
        sys.modules["torch"] = fake_torch()
        PLANNED.clear()
        REFUSAL[0] = ""
        self.lines = []
        self.handler = logging.Handler()
        self.handler.emit = lambda record: self.lines.append((record.levelname, record.getMessage()))
        for engine in ("sglang", "vllm"):
            log = logging.getLogger(f"{engine}.gembench")
            log.setLevel(logging.INFO)
            log.addHandler(self.handler)
            log.propagate = False

    def tearDown(self):
        for engine in ("sglang", "vllm"):
            logging.getLogger(f"{engine}.gembench").removeHandler(self.handler)
        for name in set(sys.modules) - set(self.before):
            del sys.modules[name]
        sys.modules.update(self.before)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.path.remove(str(TOP / "placement" / "python"))

    def warnings(self):
        return [text for level, text in self.lines if level == "WARNING"]


def modules(names):
    """Puts modules into sys.modules, with the packages above them."""
    for name, module in names.items():
        parts = name.split(".")
        for end in range(1, len(parts)):
            sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        sys.modules[name] = module
