#!/usr/bin/env python3
"""The plug-in inside of vLLM's own EPLB code, on two ranks: vllm_rank.py is the server."""

import unittest

import engine_support
from engine_support import warnings_of

RANKS, EXPERTS, SLOTS, LAYERS, WINDOW = 2, 16, 20, 3, 5
INITIAL = [slot % EXPERTS for slot in range(SLOTS)]


def serve(*arguments, rounds=2, each=None, **environment):
    return engine_support.run_ranks("vllm_rank.py", RANKS, rounds, *arguments, each=each, **environment)


class Served(unittest.TestCase):
    def check(self, ranks):
        """All ranks hold the same legal map, and the weights that it says."""
        self.assertEqual(ranks[0]["maps"], ranks[1]["maps"])
        for answer in ranks:
            self.assertTrue(answer["weights_right"])
            self.assertTrue(all(set(row) == set(range(EXPERTS)) for row in answer["maps"]))
        self.assertTrue(any(row != INITIAL for row in ranks[0]["maps"]))

    def test_plans_on_the_window_of_all_ranks_and_moves_weights_rightly(self):
        ranks = serve()
        self.check(ranks)
        for answer in ranks:
            self.assertEqual((answer["policy"], answer["asked_of_engine"]), ("GembenchPolicy", 0))
            self.assertEqual(warnings_of(answer["lines"]), [])
            # The profiling run has sums only; then the window: five rows of the six passes between two plans, since
            # the made-up layers count in a pass that vLLM would not record. 128 tokens a rank, layer and pass.
            shapes = [shape for shape, _, _ in answer["planned_on"]]
            self.assertEqual(shapes, [[1, LAYERS, EXPERTS], [WINDOW, LAYERS, EXPERTS], [WINDOW, LAYERS, EXPERTS]])
            for layer in answer["planned_on"][-1][1]:
                self.assertEqual(sum(layer), RANKS * 6 * 128)
        self.assertEqual(ranks[0]["planned_on"], ranks[1]["planned_on"])

    def test_few_rows(self):
        ranks = serve(GEMBENCH_EPLB_ROWS="2")
        self.check(ranks)
        self.assertEqual([ranks[0]["planned_on"][-1][at] for at in (0, 2)], [[2, LAYERS, EXPERTS], 3])

    def test_switched_off(self):
        ranks = serve(GEMBENCH_EPLB="off")
        self.check(ranks)
        for answer in ranks:
            self.assertEqual((answer["policy"], answer["planned_on"]), ("DefaultEplbPolicy", []))
            self.assertEqual((answer["asked_of_engine"], len(answer["lines"])), (3, 1))

    def test_what_fails_on_one_rank_or_on_all_is_left_to_vllm(self):
        for broken in ("all", "rank1"):
            with self.subTest(broken):
                ranks = serve(f"break={broken}", "groups=0")  # with 0, vLLM's own policy fails without us
                self.check(ranks)
                for answer in ranks:
                    self.assertEqual(answer["asked_of_engine"], 3)
                    self.assertEqual(len(warnings_of(answer["lines"])), 3)  # a line a plan

    def test_ranks_set_differently_do_not_use_different_maps(self):
        ranks = serve(rounds=1, each={1: {"GEMBENCH_EPLB_SPEEDS": "1,0.3"}})
        self.check(ranks)
        self.assertTrue(any("do not plan alike" in text for text in warnings_of(ranks[0]["lines"])))

    def test_a_missing_profile_is_said_once(self):
        ranks = serve(GEMBENCH_EPLB_PROFILE="/nowhere/profile.h5")
        self.check(ranks)
        for answer in ranks:
            self.assertEqual((answer["asked_of_engine"], len(warnings_of(answer["lines"]))), (0, 1))


if __name__ == "__main__":
    engine_support.main("vllm", "torch", "gembench")
