#!/usr/bin/env python3
"""The plug-in inside of SGLang's own EPLB code, on two ranks: sglang_rank.py is the server. Weights carry the number
of their expert, and SGLang's own check of moved weights is on."""

import json
import tempfile
import unittest
from pathlib import Path

import engine_support
from engine_support import warnings_of

RANKS, EXPERTS, SLOTS, DENSE = 2, 16, 20, 1
INITIAL = [slot % EXPERTS for slot in range(SLOTS)]


def serve(*arguments, rounds=3, each=None, **environment):
    return engine_support.run_ranks("sglang_rank.py", RANKS, rounds, *arguments, each=each, **environment)


class Served(unittest.TestCase):
    def check(self, ranks, replanned=True):
        """All ranks hold the same legal map, and the weights that it says."""
        self.assertEqual(ranks[0]["maps"], ranks[1]["maps"])
        for answer in ranks:
            self.assertTrue(answer["weights_right"])
            self.assertTrue(all(set(row) == set(range(EXPERTS)) for row in answer["maps"]))
        self.assertEqual(ranks[0]["maps"][0], INITIAL)  # a dense layer is nothing to move
        self.assertEqual(any(row != INITIAL for row in ranks[0]["maps"][DENSE:]), replanned)

    def test_plans_and_moves_weights_rightly(self):
        for arguments in ((), ("dispatch=dynamic",), ("algorithm=deepseek_vec",), ("algorithm=elasticity_aware",)):
            with self.subTest(arguments):
                ranks = serve(*arguments)
                self.check(ranks)
                self.assertEqual([answer["asked_of_engine"] for answer in ranks], [0, 0])
                self.assertEqual([warnings_of(answer["lines"]) for answer in ranks], [[], []])
                for row in ranks[0]["maps"]:  # never two copies on a rank
                    self.assertEqual(max(row[:SLOTS // 2].count(e) for e in row[:SLOTS // 2]), 1)

    def test_few_moves(self):
        ranks = serve(rounds=1, GEMBENCH_EPLB_MAX_MOVES="2")
        self.check(ranks)
        for row in ranks[0]["maps"][DENSE:]:
            changed = sum(now != before for now, before in zip(row, INITIAL))
            self.assertLessEqual(changed, 2)

    def test_switched_off(self):
        ranks = serve(GEMBENCH_EPLB="0")
        self.check(ranks)
        for answer in ranks:
            self.assertGreater(answer["asked_of_engine"], 0)
            self.assertEqual(len(answer["lines"]), 1)

    def test_a_planner_that_fails_leaves_every_plan_to_sglang(self):
        ranks = serve("break=planner", rounds=2)
        self.check(ranks)
        for answer in ranks:
            # try_out() finds it: one line, and one a plan.
            self.assertEqual((answer["started"], len(answer["lines"])), (1, 3))
            self.assertGreater(answer["asked_of_engine"], 0)

    def test_one_rank_that_fails_while_serving_takes_all_to_sglangs_algorithm(self):
        ranks = serve("break=late1", rounds=2)
        self.check(ranks)
        for answer in ranks:
            self.assertEqual(len(warnings_of(answer["lines"])), 2)  # a line a plan
            self.assertEqual(answer["asked_of_engine"], 2)
        self.assertIn("broken on purpose", warnings_of(ranks[1]["lines"])[0])
        self.assertIn("do not plan alike", warnings_of(ranks[0]["lines"])[0])

    def test_ranks_set_differently_do_not_use_different_maps(self):
        ranks = serve(rounds=1, each={1: {"GEMBENCH_EPLB_SPEEDS": "1,0.3"}})
        self.check(ranks)
        self.assertEqual([answer["asked_of_engine"] for answer in ranks], [1, 1])
        self.assertTrue(all("do not plan alike" in warnings_of(answer["lines"])[0] for answer in ranks))

    def test_a_missing_profile_is_said_once(self):
        ranks = serve(GEMBENCH_EPLB_PROFILE="/nowhere/profile.h5")
        self.check(ranks)
        for answer in ranks:
            self.assertEqual(answer["asked_of_engine"], 0)
            self.assertEqual(len(warnings_of(answer["lines"])), 1)

    def test_starts_from_a_recording(self):
        loads = [[[0] * EXPERTS] + [[expert + 1 for expert in range(EXPERTS)]] * 3, [[0] * EXPERTS] * 4]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "counts.json")
            path.write_text(json.dumps({"logical_count": loads}))
            ranks = serve(f"init={path}", rounds=0)
        self.assertEqual(ranks[0]["maps"], ranks[1]["maps"])
        for answer in ranks:
            self.assertEqual((answer["asked_of_engine"], warnings_of(answer["lines"])), (0, []))
            self.assertTrue(all(set(row) == set(range(EXPERTS)) for row in answer["maps"]))


class Called(unittest.TestCase):
    """SGLang's function itself, hooked by its own registry."""

    def test_dead_ranks_get_nothing(self):
        import torch
        from gembench import sglang_plugin
        from sglang.srt.elastic_ep.elastic_ep import ElasticEPState, ElasticEPStateManager
        from sglang.srt.eplb import eplb_algorithms
        from sglang.srt.plugins.hook_registry import HookRegistry
        sglang_plugin.register()
        HookRegistry.apply_hooks()
        lines = engine_support.collect_lines("sglang.gembench")
        alive = torch.tensor([1, 1, 0, 1], dtype=torch.int32)
        ElasticEPStateManager._instance = ElasticEPState(alive, alive.clone(), alive.clone())
        for algorithm in (eplb_algorithms.EplbAlgorithm.elasticity_aware,
                          eplb_algorithms.EplbAlgorithm.elasticity_aware_hierarchical):
            given = dict(tokens_per_expert=torch.randint(0, 50, (5, 3, EXPERTS), dtype=torch.int32),
                         num_physical_experts=24, num_local_physical_experts=6, num_groups=4, num_nodes=1,
                         algorithm=algorithm)
            ours = eplb_algorithms.rebalance_experts(**given)
            own = eplb_algorithms.rebalance_experts.__wrapped__(**given)
            self.assertEqual(lines, [])
            for a, b in zip(ours[::2], own[::2]):
                self.assertEqual((a.shape, a.dtype), (b.shape, b.dtype))
            phy2log, slots_of, counts = ours
            self.assertEqual(phy2log[:, 12:18].tolist(), own[0][:, 12:18].tolist())  # zeros, as SGLang has it
            self.assertFalse(((slots_of >= 12) & (slots_of < 18)).any())
            self.assertTrue((counts >= 1).all() and (counts.sum(1) == 18).all())
            for layer, expert in ((layer, expert) for layer in range(3) for expert in range(EXPERTS)):
                used = [slot for slot in slots_of[layer, expert].tolist() if slot >= 0]
                self.assertEqual(len(used), counts[layer, expert])
                self.assertTrue(all(phy2log[layer, slot] == expert for slot in used))


if __name__ == "__main__":
    engine_support.stand_ins()
    engine_support.main("sglang", "torch", "gembench")
