#!/usr/bin/env python3
"""The plug-ins, and the Python of the package, without any engine and without torch: plugin_stand_ins.py takes their
place and that of the planner."""

import functools
import importlib
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

from plugin_stand_ins import PLANNED, REFUSAL, Case, Hooks, Ranks, Tensor, modules


class Arrays(Case):
    def test_arrays_on_a_device_are_copied_to_the_host(self):
        import gembench

        class OnDevice:  # as on a GPU: numpy cannot take the capsule
            def __init__(self, error):
                self.error = error

            def __dlpack__(self, **how):
                raise self.error

            def __dlpack_device__(self):
                return 2, 0

        class OfCuPy(OnDevice):
            def get(self):
                return np.arange(3)

            def __array__(self, *_, **__):
                raise TypeError("implicit conversion")

        class OfJax(OnDevice):
            def __array__(self, *_, **__):
                return np.arange(3)
        for error in (BufferError("device"), RuntimeError("device"), TypeError("max_version")):
            for given in (OfCuPy(error), OfJax(error)):
                self.assertEqual(gembench._host(given).tolist(), [0, 1, 2])

    def test_holders_of_arrays_can_be_compared_and_hashed(self):
        import gembench
        for make in (lambda: gembench.Plan(np.zeros((2, 4), np.int64), 2, ""),
                     lambda: gembench.Profile(np.arange(2), np.ones((2, 2)))):
            one = make()
            self.assertTrue(one == one and one != make() and len({one, make()}) == 2)

    def test_scoring_for_no_ranks_is_an_error_in_a_sentence(self):
        import gembench
        with self.assertRaisesRegex(ValueError, "^ranks must be at least 1$"):
            gembench.score(np.ones((1, 4), np.int32), np.zeros((1, 4), np.int64), ranks=0)

    def test_why_the_formats_do_not_load_is_said(self):
        import gembench
        sys.modules["gembench._formats"] = None
        with self.assertRaisesRegex(ImportError, "_formats.*: install libarchive"):
            gembench.convert("p.json", "sglang")

    def test_fractions_are_no_loads(self):
        from gembench.engine_planner import counts_of
        self.assertEqual(counts_of(Tensor(np.array([3.0001, 2**25], np.float32))).tolist(), [3, 2**25])
        for value in (0.25, np.nan, np.inf):
            with self.assertRaisesRegex(ValueError, "no whole numbers"):
                counts_of(Tensor(np.array([1, value])))

    def test_ranks_share_the_cpus_of_their_server_once(self):
        from gembench import engine_planner
        own = os.sched_getaffinity
        try:
            for mine, servers, threads in ((64, 64, 8), (8, 64, 8), (32, 64, 8), (4, 64, 4), (8, 8, 1), (2, 2, 1)):
                os.sched_getaffinity = lambda process: range(servers if process else mine)
                self.assertEqual(engine_planner._share_of_cpus(8, 1), threads)
                self.assertEqual(engine_planner._share_of_cpus(16, 2), threads)
        finally:
            os.sched_getaffinity = own


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
        self.assertEqual(self.speeds(3), [1, 2, 3])
        self.assertEqual(self.speeds(3, ("C", "A", "new"), ids=("", "", "")), [1, 2, 3])
        self.assertEqual(self.lines, [])

    def test_a_profile_that_does_not_know_the_gpus_is_not_used_rank_by_rank(self):
        for ids in (("A", "B", "C"), ("A", "", "")):
            self.lines.clear()
            self.assertIsNone(self.speeds(3, ("C", "A", "new"), ids))
            self.assertEqual(len(self.warnings()), 1)
            self.assertRegex(self.warnings()[0], "p.h5 is of no use: it does not know (new|C)")

    def test_a_profile_that_is_there_later_is_used_then(self):
        from gembench import engine_planner
        from gembench.engine_settings import Settings
        planner = engine_planner.EnginePlanner(Settings(profile="p.h5"), logging.getLogger("vllm.gembench"))
        answers = [OSError("not there yet"), OSError("not there yet"), "a profile"]

        def load(cls, path):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return types.SimpleNamespace(device_ids=[], ranks=2)
        engine_planner.Profile.load = classmethod(load)
        found = [planner._speeds(2, ())[1] is not None for _ in range(4)]
        self.assertEqual((found, len(self.warnings())), ([False, False, True, True], 1))

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

    def call(self, loads=None, plugin=None, **kwargs):
        def own(*args, **kwargs):
            self.own.append(kwargs)
            return "own"
        given = {"tokens_per_expert": Tensor(np.ones((3, 2, 4), np.int32) if loads is None else loads),
                 "num_physical_experts": 6, "num_local_physical_experts": 3, "num_groups": None, "num_nodes": 1,
                 "algorithm": types.SimpleNamespace(name="deepseek"), **kwargs}
        return (plugin or self.plugin).around(own, **given)

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

    def test_what_cannot_work_is_said_and_sglang_answers(self):
        self.metadata = types.SimpleNamespace(physical_to_logical_map=Tensor(np.arange(12).reshape(2, 6) % 4))
        for name, value in (("GEMBENCH_EPLB_STRATEGY", "unknown"), ("GEMBENCH_EPLB_ROWS", "many")):
            with self.subTest(name):
                self.lines.clear()
                os.environ[name] = value
                self.plugin.register()
                self.assertEqual((len(self.registered()), len(self.lines)), (1, 1))
                self.assertIn(value, self.warnings()[0])
                self.assertEqual(self.call(), "own")
                self.assertIn(value, self.warnings()[1])
                del os.environ[name]
                self.hooks.HookRegistry._hooks.clear()

    def test_an_unknown_sglang_is_left_alone(self):
        del self.hooks.HookRegistry.register
        self.plugin.register()
        self.assertEqual((self.registered(), len(self.warnings())), ([], 1))

    def test_a_rank_that_cannot_plan_is_not_waited_for(self):
        self.metadata = types.SimpleNamespace(physical_to_logical_map=Tensor(np.arange(12).reshape(2, 6) % 4))
        ranks = Ranks(2)
        for name, value in (("GEMBENCH_EPLB_STRATEGY", "unknown"), ("GEMBENCH_EPLB_ROWS", "many")):
            with self.subTest(name):
                self.plugin.register()
                os.environ[name] = value
                del sys.modules["gembench.sglang_plugin"]  # every rank is a process with its own
                broken = importlib.import_module("gembench.sglang_plugin")
                broken.register()
                self.lines.clear()
                self.assertEqual(ranks.answers([self.call, lambda: self.call(plugin=broken)]), ["own", "own"])
                self.assertFalse(ranks.barrier.broken)
                self.assertTrue(any("do not plan alike" in text for text in self.warnings()))
                self.assertTrue(any(value in text for text in self.warnings()))
                del os.environ[name]

    def test_nothing_of_one_host_reaches_the_first_map(self):
        """It is not compared: ranks that are set differently, or of no use, plan it alike."""
        first = []
        for settings in ({}, {"STRATEGY": "eplb", "SPEEDS": "1,0.5", "PROFILE": "/nowhere/p.h5", "ROWS": "2"},
                         {"ROWS": "many"}):
            with self.subTest(settings):
                os.environ.update({f"GEMBENCH_EPLB_{name}": value for name, value in settings.items()})
                self.plugin.register()
                self.assertEqual(self.call(loads=np.ones((5, 2, 4), np.int32))[0].values.shape, (2, 6))
                given = PLANNED[-1]
                first.append((given.loads.shape, given.strategy, given.speeds, given.steps_in_row, given.profile))
                self.hooks.HookRegistry._hooks.clear()
        self.assertEqual(first, [((5, 2, 4), "gem", None, 1, None)] * 3)

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
        self.metadata = types.SimpleNamespace(physical_to_logical_map=Tensor(np.arange(12).reshape(2, 6) % 4))
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
        self.assertEqual((PLANNED[-1].previous, PLANNED[-1].max_moves, PLANNED[-1].speeds), (None, 0, None))
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

    def call(self, *more, layers=2, experts=4, slots=6, ranks=2, policies=None):
        return (policies or self.policies)["default"].rebalance_experts(
            Tensor(np.ones((layers, experts), np.int64)), slots, 0, 1, ranks, *more)

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

    def test_a_rank_that_cannot_plan_is_not_waited_for(self):
        """With vLLM's group for EPLB, and in versions without one."""
        for name in ("get_eplb_group", "get_ep_group"):
            with self.subTest(name):
                calls = []
                for strategy in ("gem", "unknown"):
                    os.environ["GEMBENCH_EPLB_STRATEGY"] = strategy
                    self.table(self.policy())
                    calls.append(functools.partial(self.call, policies=self.policies))
                ranks = Ranks(2)
                group = types.SimpleNamespace(cpu_group=ranks)
                setattr(sys.modules["vllm.distributed.parallel_state"], name, lambda: group)
                self.lines.clear()
                for answer in ranks.answers(calls):
                    self.assertEqual(answer.values.tolist(), [[0] * 6] * 2)  # vLLM's own
                self.assertFalse(ranks.barrier.broken)
                self.assertEqual(len(self.warnings()), 2)
                self.assertTrue(any("do not plan alike" in text for text in self.warnings()))

    def test_without_a_group_of_ranks_one_line_says_that_maps_are_not_compared(self):
        self.table(self.policy())
        Ranks(2)
        self.call()
        self.call()
        self.assertEqual((self.own, len(self.warnings())), ([], 1))
        self.assertIn("cannot compare", self.warnings()[0])

    def test_sums_are_those_of_the_window(self):
        """Where the window itself cannot be read, but vLLM says how long it is."""
        kind = type("EplbState", (), {"expert_load_window_size": 1000,
                                      "rearrange": lambda self, is_profile=False: "rearranged"})
        self.table(self.policy(), state=kind)
        self.lines.clear()
        kind().rearrange(is_profile=True)
        self.call()
        self.assertEqual((PLANNED[-1].steps_in_row, self.lines), (1, []))
        for _ in range(2):
            kind().rearrange()
            self.call()
        self.assertEqual((PLANNED[-1].steps_in_row, len(self.warnings())), (1000, 1))

    def test_a_window_that_does_not_fit_the_sums_is_said_once(self):
        from gembench.engine_settings import Settings
        from gembench.vllm_window import Windows
        windows = Windows(Settings(), logging.getLogger("vllm.gembench"))
        windows._rows, windows._window, windows._steps_in_row = [Tensor(np.ones((3, 2, 4), np.int64))], 7, 2
        self.assertEqual(windows.behind(np.full((2, 4), 3))[1], 2)
        for _ in range(2):
            self.assertEqual(windows.behind(np.full((2, 4), 9))[1], 7)
        self.assertEqual(len(self.warnings()), 1)

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
