#!/usr/bin/env python3
"""The plug-ins without any engine and without torch: modules with the same names and signatures. The planner is
replaced where it is not built."""

import logging
import os
import pathlib
import sys
import tempfile
import types
import unittest

try:
    import numpy as np
except ImportError:
    print("needs numpy")
    sys.exit(77)

TOP = pathlib.Path(os.environ.get("GEMBENCH_TOP", pathlib.Path(__file__).resolve().parents[3]))


def experts_in_order(loads32, loads64, ranks, slots, *rest):
    """A planner in the place of the compiled one: expert p mod experts in slot p."""
    loads = loads64 if loads32 is None else loads32

    class Problem:
        def plan(self, phy2log, nodes, groups, max_moves, strategy, seed, threads, time_limit, steps_in_row):
            if strategy == "unknown":
                raise ValueError("there is no strategy 'unknown'")
            PLANNED.append(types.SimpleNamespace(loads=loads, steps_in_row=steps_in_row, max_moves=max_moves,
                                                 previous=rest[3], speeds=rest[0], strategy=strategy))
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


def fake_torch():
    distributed = types.SimpleNamespace(is_available=lambda: False)
    return types.SimpleNamespace(from_numpy=Tensor, Tensor=Tensor, int32=np.int32, distributed=distributed,
                                 ones=lambda shape, dtype: Tensor(np.ones(shape, dtype)))


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


class Settings(Case):
    def test_values_of_no_use_are_named(self):
        from gembench.engine_settings import read_settings
        for ending, value in (("MAX_MOVES", "-1"), ("MAX_MOVES", "few"), ("SPEEDS", "1,fast"), ("SPEEDS", "1,0"),
                              ("SPEEDS", "1,nan"), ("ROWS", "0"), ("THREADS", "x")):
            with self.assertRaisesRegex(ValueError, f"^GEMBENCH_EPLB_{ending} is '{value}', not "):
                read_settings({f"GEMBENCH_EPLB_{ending}": value})

    def test_defaults_are_those_of_an_empty_environment(self):
        from gembench.engine_settings import Settings, is_off, read_settings
        self.assertEqual(read_settings({}), Settings())
        self.assertFalse(is_off({}))
        self.assertTrue(is_off({"GEMBENCH_EPLB": " OFF "}))

    def test_rows_without_tokens_go_and_many_are_summed(self):
        from gembench.engine_planner import used_rows
        loads = np.zeros((9, 2, 3), np.int32)
        loads[[1, 2, 4, 6, 8]] = np.arange(1, 6)[:, None, None]
        self.assertEqual(used_rows(loads, 8)[0][:, 0, 0].tolist(), [1, 2, 3, 4, 5])
        rows, steps = used_rows(loads, 3)
        self.assertEqual((rows[:, 0, 0].tolist(), steps, rows.dtype), ([3, 7], 2, np.int64))
        self.assertEqual(used_rows(loads * 0, 8)[0].shape, (1, 2, 3))


class Speeds(Case):
    def speeds(self, ranks, gpus=(), ids=("A", "B", "C"), **settings):
        """Seconds at the last load point of every rank that the planner is given, or None."""
        from gembench import engine_planner
        from gembench.engine_settings import Settings
        from gembench.profile import Profile
        known = Profile(np.array([0, 1]), np.array([[0, 1.0], [0, 2.0], [0, 3.0]]), list(ids))
        engine_planner.Profile.load = classmethod(lambda cls, path: known)
        planner = engine_planner.EnginePlanner(Settings(profile="p.h5", **settings), logging.getLogger("vllm.gembench"))
        _, found = planner._speeds(ranks, tuple(gpus))
        planner._speeds(ranks, tuple(gpus))  # no second line
        return None if found is None else found.latency[:, 1].tolist()

    def test_gpus_are_found_by_uuid_else_by_rank(self):
        self.assertEqual(self.speeds(2, ("C", "A")), [3, 1])
        self.assertEqual(self.speeds(3, ("C", "A", "new")), [1, 2, 3])
        self.assertEqual(self.speeds(3), [1, 2, 3])
        self.assertEqual(self.speeds(3, ids=("", "", "")), [1, 2, 3])
        self.assertEqual(self.lines, [])

    def test_a_profile_of_other_gpus_is_not_used(self):
        self.assertIsNone(self.speeds(2))
        self.assertEqual(len(self.warnings()), 1)
        self.assertIn("it holds 3 ranks, not 2", self.warnings()[0])

    def test_speeds_for_another_number_of_ranks_are_not_used(self):
        self.speeds(3, speeds=(1.0, 0.5))
        self.assertEqual(len(self.warnings()), 1)
        self.assertIn("2 numbers for 3 ranks", self.warnings()[0])


class SGLang(Case):
    def setUp(self):
        super().setUp()
        self.hooks = Hooks()
        self.metadata = None
        self.state = None
        modules({"sglang.srt.plugins.hook_registry": self.hooks,
                 "sglang.srt.eplb.expert_location": types.SimpleNamespace(
                     get_global_expert_location_metadata=lambda: self.metadata),
                 "sglang.srt.elastic_ep.elastic_ep": types.SimpleNamespace(
                     ElasticEPStateManager=types.SimpleNamespace(instance=lambda: self.state))})
        from gembench import sglang_plugin
        self.plugin = sglang_plugin
        self.own = []

    def registered(self):
        return self.hooks.HookRegistry._hooks.get(self.plugin.TARGET, [])

    def call(self, loads=None, **kwargs):
        def own(*args, **kwargs):
            self.own.append(kwargs)
            return "own"
        given = {"tokens_per_expert": Tensor(np.ones((3, 2, 4), np.int32) if loads is None else loads),
                 "num_physical_experts": 6, "num_local_physical_experts": 3, "num_groups": None, "num_nodes": 1,
                 "algorithm": types.SimpleNamespace(name="deepseek"), **kwargs}
        return self.plugin.around(own, **given)

    def test_registers_once_and_answers_in_sglangs_shapes(self):
        self.plugin.register()
        self.plugin.register()
        self.assertEqual([kind for kind, _, _ in self.registered()], ["around"])
        self.assertEqual([level for level, _ in self.lines], ["INFO"])
        phy2log, slots_of, counts = self.call()
        self.assertEqual(phy2log.values.tolist(), [[0, 1, 2, 3, 0, 1]] * 2)
        self.assertEqual(slots_of.values[0].tolist(), [[0, 4], [1, 5], [2, -1], [3, -1]])
        self.assertEqual(counts.values[1].tolist(), [2, 2, 1, 1])
        self.assertEqual({a.values.dtype for a in (phy2log, slots_of, counts)}, {np.dtype(np.int64)})
        self.assertEqual(self.own, [])

    def test_off(self):
        os.environ["GEMBENCH_EPLB"] = "0"
        self.plugin.register()
        self.assertEqual((self.registered(), len(self.lines)), ([], 1))

    def test_what_cannot_work_is_not_registered_and_said_once(self):
        for name, value in (("GEMBENCH_EPLB_STRATEGY", "unknown"), ("GEMBENCH_EPLB_ROWS", "many")):
            with self.subTest(name):
                self.lines.clear()
                os.environ[name] = value
                self.plugin.register()
                self.assertEqual((self.registered(), len(self.lines)), ([], 1))
                self.assertIn(value, self.lines[0][1])
                del os.environ[name]

    def test_whatever_fails_sglang_answers_and_one_line_is_written(self):
        self.plugin.register()
        for name, kwargs in (("shape", {"loads": np.ones(4, np.int32)}), ("slots", {"num_physical_experts": 7}),
                             ("no slots", {"num_local_physical_experts": 0}), ("new argument", {"unheard_of": 1}),
                             ("broken ranks", {"broken_ranks": [0, 1, 0]})):
            with self.subTest(name):
                self.lines.clear()
                self.own.clear()
                self.assertEqual(self.call(**kwargs), "own")
                self.assertEqual((len(self.own), len(self.lines), len(self.warnings())), (1, 1, 1))
        REFUSAL[0] = "the strategy refuses"
        self.lines.clear()
        self.assertEqual(self.call(), "own")
        self.assertEqual(self.warnings(), ["gembench leaves this plan to SGLang's own algorithm: the strategy refuses"])

    def test_a_missing_profile_means_equal_speeds_and_one_line(self):
        os.environ["GEMBENCH_EPLB_PROFILE"] = str(pathlib.Path(tempfile.gettempdir()) / "no such profile.h5")
        self.plugin.register()
        self.call()
        self.call()
        self.assertEqual((self.own, len(self.warnings())), ([], 1))
        self.assertIn("equally fast", self.warnings()[0])

    def test_the_map_in_use_and_speeds_reach_the_planner(self):
        os.environ["GEMBENCH_EPLB_MAX_MOVES"] = "3"
        os.environ["GEMBENCH_EPLB_SPEEDS"] = "1, 0.8"
        self.plugin.register()
        self.call()
        self.assertEqual((PLANNED[-1].previous, PLANNED[-1].max_moves), (None, 0))
        self.metadata = types.SimpleNamespace(physical_to_logical_map=Tensor(np.arange(12).reshape(2, 6) % 4))
        self.call()
        self.assertEqual((PLANNED[-1].previous.shape, PLANNED[-1].max_moves), ((2, 6), 3))
        self.assertEqual(PLANNED[-1].speeds.tolist(), [1, 0.8])
        self.state = types.SimpleNamespace(has_scaled=True)
        self.assertEqual(self.call(), "own")

    def test_dead_ranks_as_sglang_knows_them(self):
        self.plugin.register()
        self.state = types.SimpleNamespace(active_ranks=Tensor([1, 0, 1]))
        self.call(algorithm=types.SimpleNamespace(name="elasticity_aware"), num_physical_experts=12,
                  num_local_physical_experts=4)
        self.assertEqual(PLANNED[-1].speeds.tolist(), [1, 0, 1])


class VLLM(Case):
    def policy(self, returned=lambda weight, slots, ranks: Tensor(np.zeros((weight.shape[0], slots), np.int64))):
        calls = self.own = []

        class DefaultEplbPolicy:
            @classmethod
            def rebalance_experts(cls, weight, num_replicas, num_groups, num_nodes, num_ranks,
                                  old_global_expert_indices=None):
                calls.append(num_replicas)
                return returned(weight, num_replicas, num_ranks)
        return DefaultEplbPolicy

    def table(self, policy, state=None):
        self.policies = {"default": policy}
        modules({"vllm.distributed.eplb.policy": types.SimpleNamespace(EPLB_POLICIES=self.policies),
                 "vllm.distributed.eplb.eplb_state": types.SimpleNamespace(EplbState=state or type(
                     "EplbState", (), {"rearrange": lambda self, is_profile=False: "rearranged"})),
                 "vllm.distributed.parallel_state": types.SimpleNamespace()})
        sys.modules["vllm.distributed"].parallel_state = sys.modules["vllm.distributed.parallel_state"]
        from gembench import vllm_plugin
        vllm_plugin.register()
        self.own.clear()
        return vllm_plugin

    def call(self, *more, layers=2, experts=4, slots=6, ranks=2):
        return self.policies["default"].rebalance_experts(Tensor(np.ones((layers, experts), np.int64)), slots, 0, 1,
                                                          ranks, *more)

    def test_replaces_the_policy_once(self):
        own = self.policy()
        plugin = self.table(own)
        ours = self.policies["default"]
        plugin.register()
        self.assertIs(self.policies["default"], ours)
        self.assertTrue(issubclass(ours, own))
        self.assertEqual(self.call().values.tolist(), [[0, 1, 2, 3, 0, 1]] * 2)
        self.assertEqual((self.own, [level for level, _ in self.lines]), ([], ["INFO"]))

    def test_older_versions_get_three_maps(self):
        self.table(self.policy(lambda weight, slots, ranks: (Tensor(np.zeros((1, 2))), 0, 0)))
        Tensor.to = lambda self, device: self
        phy2log, slots_of, counts = self.call()
        self.assertEqual((phy2log.shape, slots_of.shape, counts.shape), ((2, 6), (2, 4, 3), (2, 4)))
        self.assertEqual(slots_of.values[0].tolist()[0], [0, 4, -1])

    def test_an_unknown_vllm_is_left_alone(self):
        class Other:
            @classmethod
            def rebalance_experts(cls, context, policy_state):
                return None
        self.own = []
        self.table(Other)
        self.assertIs(self.policies["default"], Other)
        self.assertEqual(len(self.lines), 1)
        self.assertIn("context", self.warnings()[0])

    def test_off(self):
        os.environ["GEMBENCH_EPLB"] = "0"
        own = self.policy()
        self.table(own)
        self.assertIs(self.policies["default"], own)
        self.assertEqual(len(self.lines), 1)

    def test_whatever_fails_vllm_answers_and_one_line_is_written(self):
        self.table(self.policy())
        full = Tensor([[0, 1, 2, 3, 0, 1]] * 2)
        for name, call in (("slots", lambda: self.call(slots=7)), ("too few", lambda: self.call(slots=2)),
                           ("new ranks", lambda: self.call(Tensor(np.where(full.values == 1, -1, full.values)))),
                           ("fewer ranks", lambda: self.call(full, slots=4))):
            with self.subTest(name):
                self.lines.clear()
                self.own.clear()
                call()
                self.assertEqual((len(self.own), len(self.lines), len(self.warnings())), (1, 1, 1))

    def test_an_engine_without_the_window_is_served_sums(self):
        self.table(self.policy(), state=type("EplbState", (), {}))
        self.assertEqual(len(self.warnings()), 1)
        self.call()
        self.assertEqual((PLANNED[-1].loads.shape, self.own), ((1, 2, 4), []))

    def test_a_window_that_cannot_be_read_stops_nothing(self):
        self.table(self.policy())
        state = sys.modules["vllm.distributed.eplb.eplb_state"].EplbState()
        self.lines.clear()
        self.assertEqual(state.rearrange(), "rearranged")
        self.assertEqual(len(self.warnings()), 1)
        self.assertEqual(state.rearrange(is_profile=True), "rearranged")
        self.assertEqual(len(self.warnings()), 1)


if __name__ == "__main__":
    unittest.main()
