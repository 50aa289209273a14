"""Spare slots, replicas, and placements that change while they are measured."""

import json

import h5py
import numpy

from support import SMALL, CliTest, main

# Steps of a few milliseconds: speeds of shorter ones cannot be told apart on a busy machine.
LONG = [*SMALL[:SMALL.index("--steps") + 1], "48", *SMALL[SMALL.index("--steps") + 2:]]


class Replicas(CliTest):
    def test_every_split_computes_every_pair_and_is_checked(self):
        for rule in ("even", "by-speed", "water-fill", "water-fill-blind", "lp"):
            with self.subTest(rule=rule):
                out = self.good("run", *SMALL, "--placements", "linear,eplb,gem+", "--spare-slots",
                                "2", "--replicas", "4", "--token-split", rule, "--variability",
                                "high", "--check", "all", "-o", "a.h5", "--overwrite", ranks=4)
                self.assertEqual(out.splitlines()[-2], "# check: PASS")
                self.assertIn(f"tokens split {rule}", out)
                with h5py.File(self.folder / "a.h5") as f:
                    self.assertEqual(f["slots"].shape, (3, 2, 4, 10))
                    self.assertTrue((f["assignments"][:].sum(axis=3) == 128 * 4).all())
                    eplb = f["slots"][1]
                    self.assertEqual((eplb >= 0).sum(), 2 * (32 + 4), "every replica it may have")
                    linear = f["slots"][0]
                    self.assertEqual((linear >= 0).sum(), 2 * 32)

    def test_a_killed_run_with_replicas_is_continued_exactly(self):
        words = [*SMALL, "--placements", "eplb", "--spare-slots", "2", "--token-split",
                 "water-fill", "--profile", "p.h5"]
        self.good("profile", *SMALL[:8], "--profile-seconds", "0", "-o", "p.h5", ranks=2)
        self.good("run", *words, "-o", "whole.h5", ranks=2)
        # As a kill after the first segment leaves it.
        self.good("run", *words, "-o", "a.h5", ranks=2)
        (self.folder / "a.h5").rename(self.folder / "a.h5.partial")
        with h5py.File(self.folder / "a.h5.partial", "r+") as f:
            f.attrs["completed"] = numpy.int64(0)
            f["block"][0, 4:] = -1
        self.good("run", *words, "-o", "a.h5", "--resume", ranks=2)
        with h5py.File(self.folder / "a.h5") as f, h5py.File(self.folder / "whole.h5") as whole:
            for name in ("bytes_pair", "assignments", "slots", "bytes_sent"):
                numpy.testing.assert_array_equal(f[name][()], whole[name][()], name)


class Drift(CliTest):
    def test_a_placement_adapts_to_a_rank_that_slows_down(self):
        words = [{"16": "4", "128": "512"}.get(word, word) for word in LONG]
        out = self.good("run", *words, "--placements", "gem,oracle:gem", "--adapt", "--slowdown",
                        "1,3", "--drift", "slow@16", "--clock", "cpu-time", "-o", "a.h5", ranks=2)
        self.assertIn("# DRIFT on purpose: slow@16", out)
        self.assertRegex(out, r"# adapt:gem changed after step \d+ \(speeds of ranks\): [1-9]\d* experts")
        rows = {row["placement"]: row for row in json.loads(
            self.good("compare", "a.h5", "--format", "json"))["placements"]}
        self.assertEqual(rows["gem"]["changes"], [])
        first = rows["adapt:gem"]["changes"][0]
        self.assertGreater(first["predicted_gain"], 0)
        self.assertGreaterEqual(first["after_step"], 19, "two segments of four steps show it")
        with h5py.File(self.folder / "a.h5") as f:
            slowdown = f["slowdown_by_step"][:]
            self.assertEqual(slowdown[15].tolist(), [1, 3])
            self.assertEqual(slowdown[16].tolist(), [3, 1])
            segments, gem, adapt = f["segments"], 0, 2
            last = {p: numpy.nonzero(segments["to_placement"][:] == p)[0][-1] for p in (gem, 1, adapt)}
            slots = segments["slots"][:]
            self.assertTrue((slots[last[gem]] == f["slots"][gem]).all())
            self.assertFalse((slots[last[adapt]] == f["slots"][adapt]).all())
            self.assertFalse((slots[last[1]] == f["slots"][1]).all(), "the oracle replanned")
            # After both have changed, their slowest rank has far less to do than that of the one that
            # stays. Counted in tokens times slowdown; tests/bench/adapt.py measures it in seconds.
            work = (f["assignments"][:, 36:].sum(axis=2) * slowdown[36:]).max(axis=2).mean(axis=1)
        self.assertLess(work[1], 0.85 * work[gem])
        self.assertLess(work[adapt], 0.85 * work[gem])

    def test_a_task_that_changes_keeps_every_token(self):
        out = self.good("run", *LONG, "--placements", "gem,adapt:gem", "--drift", "task@16",
                        "--check", "all", "-o", "a.h5", ranks=2)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")

    def test_what_cannot_be_said_is_refused(self):
        for words, said in ((["--drift", "slow"], "slow@STEP"),
                            (["--drift", "task@4", "--routing", "router"], "--routing router"),
                            (["--spare-slots", "40"], "lower --spare-slots"),
                            (["--replicas", "40"], "lower --replicas"),
                            (["--placements", "adapt:best"], "no strategy 'best'")):
            with self.subTest(words=words):
                self.one_sentence(self.gembench("run", *SMALL, "-o", "a.h5", *words), 2, said)


if __name__ == "__main__":
    main()
