"""Many ranks: more of them than CPUs, and as many as no test machine has, by dry runs."""

import json

import h5py

from support import SMALL, CliTest, main, small_but


class DryRun(CliTest):
    def test_a_dry_run_says_what_a_run_would_take_and_writes_nothing(self):
        out = self.good("run", *SMALL, "--dry-run", "--placements", "linear,gem", "--variability",
                        "high", ranks=2)
        self.assertIn("DRY RUN", out)
        self.assertRegex(out, r"(?m)^  gem +\d+ +\d+")
        self.assertRegex(out, r"# memory: [\d.]+ MiB a rank")
        self.assertEqual(list(self.folder.iterdir()), [])
        plan = self.dry(*SMALL)
        self.assertGreater(plan["wall_seconds"], 0)

    def test_simulated_ranks_are_sized_and_planned_for_like_real_ones(self):
        words = [*SMALL, "--placements", "linear,gem", "--profile", "builtin:l40s/qwen3-30b-a3b"]
        self.one_sentence(self.gembench("run", *words, "--dry-run"), 2, "no such file")
        stated = self.dry(*words, "--ranks", "2")
        self.assertIsNone(stated["wall_seconds"], "nothing ran")
        real = json.loads(self.good("run", *words[:-2], "--dry-run", "--format", "json", ranks=2))
        self.assertEqual(stated.keys(), real.keys())
        for key in ("ranks", "steps", "alternation", "memory_bytes_per_rank", "memory_bytes_root",
                    "broadcast_bytes", "file_bytes_at_most"):
            self.assertEqual(stated[key], real[key], key)
        self.assertEqual([row["aggregate_imbalance"] for row in stated["placements"][:1]],
                         [row["aggregate_imbalance"] for row in real["placements"][:1]])

    def dry(self, *words):
        return json.loads(self.good("run", "--dry-run", *words, "--format", "json"))

    def test_it_needs_no_ranks_and_its_sizes_are_those_of_a_run(self):
        words = [w for w in small_but(["--steps", "64"]) if w != "-q"]
        stated = self.dry(*words, "--placements", "linear,gem", "--ranks", "2")
        self.good("run", *words, "--placements", "linear,gem", "-o", "a.h5", ranks=2)
        size = (self.folder / "a.h5").stat().st_size
        with h5py.File(self.folder / "a.h5") as f:
            data = sum(d.size * d.dtype.itemsize for d in f.values()
                       if isinstance(d, h5py.Dataset) and d.dtype.kind in "fi")
            loads = f["expert_tokens"].size * 4 * (32 + 64) // 64  # planned on and measured
            maps = f["slots"].size * 4
        # At most: how many loads a profile is measured at is found while it is.
        self.assertGreaterEqual(stated["file_bytes_at_most"], data)
        self.assertLess(stated["file_bytes_at_most"], 1.1 * data)
        self.assertLess(data, size)
        self.assertEqual(stated["broadcast_bytes"], loads + maps)

    def test_thousands_of_ranks(self):
        stated = self.dry("--model", "deepseek-v3", "--layers", "4", "--tokens", "4096", "--steps",
                          "64", "--plan-steps", "32", "--placements", "linear,eplb", "--profile",
                          "builtin:l40s/qwen3-30b-a3b", "--ranks", "2048", "--spare-slots", "1",
                          "--variability", "high")
        self.assertEqual(stated["ranks"], 2048)
        linear, eplb = stated["placements"]
        self.assertEqual(linear["duplicates"], 0)
        self.assertGreater(eplb["duplicates"], 0)
        self.assertLess(eplb["predicted"], linear["predicted"])
        # The largest part: 64 steps x 4 layers x 2048 ranks of two placements, 68 bytes each.
        self.assertGreater(stated["file_bytes_at_most"], 2 * 64 * 4 * 2048 * 68)
        self.assertGreater(stated["memory_bytes_root"], stated["memory_bytes_per_rank"])

    def test_ranks_that_are_stated_belong_to_a_dry_run_alone(self):
        self.one_sentence(self.gembench("run", *SMALL, "-o", "a.h5", "--ranks", "8"), 2,
                          "add --dry-run")
        self.one_sentence(self.gembench("run", *SMALL, "--dry-run", "--ranks", "8", ranks=2), 2,
                          "drop it, or start one")
        self.one_sentence(self.gembench("run", *SMALL, "--dry-run", "--ranks", "8", "--routing",
                                        "router"), 2, "--routing synthetic")


class ManyRanks(CliTest):
    def test_sixteen_and_thirty_two_ranks_on_few_cpus(self):
        words = [*SMALL, "--placements", "linear,gem", "--check", "all"]
        for ranks, more in ((16, ["--dispatch", "hierarchical", "--ranks-per-node", "4"]),
                            (32, [])):
            with self.subTest(ranks=ranks):
                out = self.good("run", *words, *more, "-o", f"{ranks}.h5", ranks=ranks)
                self.assertEqual(out.splitlines()[-2], "# check: PASS")
                with h5py.File(self.folder / f"{ranks}.h5") as f:
                    self.assertEqual(f["barrier_wait"].shape, (2, 8, 2, ranks))
                    self.assertTrue((f["assignments"][:].sum(axis=3) == 128 * 4).all())


if __name__ == "__main__":
    main()
