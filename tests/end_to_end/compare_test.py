#!/usr/bin/python3
"""gembench compare: against any placement, and several launches together."""

import csv
import io
import json
import shutil

import h5py

from support import TOP, CliTest, keys_of, main, metrics_in, small_but

PLACEMENTS = ["linear", "eplb", "gem"]


class Compare(CliTest):
    def run_it(self, name, *words, ranks=2):
        self.good("run", *small_but(["--block", "1", *words]), "--placements",
                  ",".join(PLACEMENTS), "--clock", "cpu-time", "-o", name, ranks=ranks)

    def pairs(self, *words):
        """What the JSON of one file compares with what."""
        run = json.loads(self.good("compare", *words, "--format", "json"))
        return run, [(pair["placement"], pair["against"]) for pair in run["pairs"]]

    def test_against_any_placement_or_all(self):
        self.run_it("a.h5")
        first, pairs = self.pairs("a.h5")
        self.assertEqual(pairs, [("eplb", "linear"), ("gem", "linear")])
        self.assertEqual(self.pairs("a.h5", "--against", "linear"), (first, pairs))
        other, pairs = self.pairs("a.h5", "--against", "eplb")
        self.assertEqual(pairs, [("linear", "eplb"), ("gem", "eplb")])
        every, pairs = self.pairs("a.h5", "--against", "all")
        self.assertEqual(pairs, [("eplb", "linear"), ("gem", "linear"), ("gem", "eplb")])

        # linear against eplb is eplb against linear, the other way round.
        there, back = first["pairs"][0], other["pairs"][0]
        self.assertAlmostEqual((1 + there["typical"]) * (1 + back["typical"]), 1)
        self.assertAlmostEqual((1 + there["low"]) * (1 + back["high"]), 1)
        # Three intervals that hold together are wider than two.
        for two, three in zip(first["pairs"], every["pairs"]):
            self.assertEqual(two["typical"], three["typical"])
            self.assertLess(three["low"], two["low"])
            self.assertGreater(three["high"], two["high"])
        self.assertEqual([row["difference"]["against"] for row in other["placements"]],
                         ["eplb", None, "eplb"])

        table = self.good("compare", "a.h5", "--against", "all")
        self.assertEqual([line.split(":")[0] for line in table.splitlines() if " vs " in line and "step time" in line],
                         ["# eplb vs linear", "# gem vs linear", "# gem vs eplb"])
        lines = list(csv.DictReader(io.StringIO(
            self.good("compare", "a.h5", "--against", "all", "--format", "csv"))))
        self.assertEqual([(line["placement"], line["against"]) for line in lines],
                         [("linear", ""), ("eplb", "linear"), ("gem", "linear"), ("gem", "eplb")])
        self.assertEqual(lines[3]["difference"], f"{every['pairs'][2]['typical']:.6g}")
        self.assertEqual(lines[3]["step_mean_low"],
                         f"{every['placements'][2]['intervals']['step_mean']['low']:.6g}")

    def test_against_what_was_not_measured(self):
        self.run_it("a.h5")
        for name in ("gem+", "Linear", " ", "lin"):
            self.one_sentence(self.gembench("compare", "a.h5", "--against", name), 2,
                              f"a.h5: --against '{name}' was not measured: choose one of linear, "
                              "eplb, gem, or all")

    def test_the_file_holds_what_is_printed(self):
        self.run_it("a.h5")
        self.assertEqual(self.good("compare", "a.h5", "--summary", "s.h5"), "")
        for name in ("a.h5", "s.h5"):
            with h5py.File(self.folder / name) as file:
                summary = file["summary"]
                every, _ = self.pairs("a.h5", "--against", "all")
                for k, label in enumerate(PLACEMENTS):
                    run, _ = self.pairs("a.h5", "--against", label)
                    for p, row in enumerate(run["placements"]):
                        for key, value in {**row, **row["rates"]}.items():
                            if key in summary and summary[key].ndim == 1 and value is not None:
                                self.assertEqual(summary[key][p], value, key)
                                self.assertTrue(summary[key].attrs["long_name"], key)
                        for key, found in row["intervals"].items():
                            for end, value in (found or {}).items():
                                self.assertEqual(summary[f"{key}_{end}"][p], value, key)
                        for part, key in (("", "typical"), ("_low", "low"), ("_high", "high"),
                                          ("_mean", "mean"), ("_blocks", "blocks")):
                            if p != k and (k == 0 or key not in ("low", "high")):
                                self.assertEqual(summary[f"difference{part}"][k, p],
                                                 row["difference"][key], part)
                # Those to the first as they are printed, others as the verdict has them.
                for pair in every["pairs"]:
                    p, k = PLACEMENTS.index(pair["placement"]), PLACEMENTS.index(pair["against"])
                    for low, high in (("low", "high"), ("high", "low")):
                        if k != 0:
                            self.assertEqual(summary[f"difference_{low}"][k, p], pair[low])
                        self.assertAlmostEqual(1 / (1 + summary[f"difference_{low}"][p, k]) - 1, pair[high])
        self.one_sentence(self.gembench("compare", "a.h5", "--summary", "s.h5"), 4, "s.h5")
        self.one_sentence(self.gembench("compare", "a.h5", "a.h5", "--summary", "t.h5"), 2,
                          "--summary takes one results file")

    def test_launches_of_one_configuration_are_pooled(self):
        names = [f"{seed}.h5" for seed in (1, 2, 3)]
        for seed, name in enumerate(names, start=1):
            self.run_it(name, "--seed", str(seed))
        alone = [self.good("compare", name) for name in names]
        table = self.good("compare", *names)
        self.assertTrue(table.startswith("".join(alone)), "each file as before")
        said = table[len("".join(alone)):]
        self.assertIn("# POOLED over 3 launches of one configuration, seeds 1 2 3: 1.h5 2.h5 3.h5", said)
        self.assertRegex(said, r"# gem vs linear: step time [-+\d.]+ % \(95 % CI .* 3 launches\)")
        self.assertNotIn("not pooled", said)

        # The pooled object comes last, and holds what its launches found.
        text = self.good("compare", *names, "--against", "gem", "--format", "json")
        decoder, objects = json.JSONDecoder(), []
        while text.strip():
            found, end = decoder.raw_decode(text.lstrip())
            objects.append(found)
            text = text.lstrip()[end:]
        self.assertEqual(len(objects), 4)
        pooled = objects[3]["pooled"]
        self.assertEqual((pooled["files"], pooled["seeds"]), (names, [1, 2, 3]))
        self.assertEqual([(pair["placement"], pair["against"]) for pair in pooled["pairs"]],
                         [("linear", "gem"), ("eplb", "gem")])
        for index, pair in enumerate(pooled["pairs"]):
            product = 1
            for one in objects[:3]:
                product *= 1 + one["pairs"][index]["typical"]
            self.assertAlmostEqual((1 + pair["typical"]) ** 3, product)
            self.assertTrue(pair["low"] <= pair["typical"] <= pair["high"])
        self.assertRegex(said.splitlines()[-1], r"^# over 3 launches: (.*(eplb and linear|eplb is faster|linear is "
                                                r"faster than eplb).*); .*gem")
        text = self.good("compare", *names, "--format", "csv")
        pooled = [line for line in csv.DictReader(io.StringIO(text)) if line["launches"]]
        self.assertEqual([(line["placement"], line["file"]) for line in pooled],
                         [("eplb", "1.h5 2.h5 3.h5"), ("gem", "1.h5 2.h5 3.h5")])
        self.assertTrue(all(line["difference_low"] for line in pooled))

        # Two launches tell too little of how launches differ; a copy is no launch.
        two = self.good("compare", *names[:2])
        self.assertIn("(no interval: 2 of the 3 launches needed, run it once more)", two)
        shutil.copy(self.folder / "1.h5", self.folder / "copy.h5")
        copied = self.good("compare", "1.h5", "copy.h5", "2.h5")
        self.assertIn("# POOLED over 2 launches", copied)
        self.assertIn("# copy.h5 is not pooled: it holds the same launch as 1.h5", copied)
        # Nor are the times of wrong outputs.
        with h5py.File(self.folder / "3.h5", "r+") as file:
            file["check"].attrs["passed"] = type(file["check"].attrs["passed"])(0)
        wrong = self.good("compare", *names)
        self.assertIn("# POOLED over 2 launches", wrong)
        self.assertIn("# 3.h5 is not pooled: its outputs are wrong", wrong)
        self.assertIn("# 3.h5: no verdict: outputs are wrong", wrong)

    def test_other_configurations_are_printed_one_after_the_other(self):
        self.run_it("a.h5")
        self.run_it("b.h5", "--tokens", "64")
        said = "only launches of one configuration are: --tokens of a.h5 and b.h5 differ (128 and 64)"
        table = self.good("compare", "a.h5", "b.h5")
        self.assertEqual(table.count(said), 1)
        self.assertNotIn("POOLED", table)
        alone = [self.good("compare", name).splitlines()[-1] for name in ("a.h5", "b.h5")]
        self.assertEqual(table.splitlines()[-2:],
                         [f"# {name}: {line[2:]}" for name, line in zip(("a.h5", "b.h5"), alone)])
        done = self.gembench("compare", "a.h5", "b.h5", "--format", "json")
        self.one_sentence(done, 0, said)
        self.assertNotIn('"pooled"', done.stdout)
        self.assertEqual(self.gembench("compare", "a.h5", "b.h5", "--format", "json", "-q").stderr, "")

    def test_a_run_that_became_slower_fails(self):
        self.run_it("old.h5")
        shutil.copy(self.folder / "old.h5", self.folder / "new.h5")
        with h5py.File(self.folder / "new.h5", "r+") as file:
            longer = file["expert_time"][..., 1] * 2
            times = file["expert_time"][:]
            times[..., 1] += longer
            file["expert_time"][:] = times
            file["step_time"][:] += longer.sum(axis=-1)[..., None]
            file.attrs["started"] = "2030-01-01T00:00:00Z"
        same = self.good("compare", "old.h5", "--baseline", "old.h5", "--fail-above", "5%")
        self.assertRegex(same.splitlines()[-1], r"^# not slower than old.h5 by more than 5 %")
        told = self.gembench("compare", "new.h5", "--baseline", "old.h5", "--fail-above", "5", "--format", "json")
        self.assertEqual(told.returncode, 1, told.stderr)
        told = json.loads(told.stdout)
        self.assertEqual((told["failed"], told["fail_above"]), (True, 0.05))
        self.assertRegex(told["sentence"], r"^slower than old.h5: .*2030-01-01.*; rank 1 .*slowed down")
        self.assertEqual([row["placement"] for row in told["placements"]], PLACEMENTS)
        documented = (TOP / "harness/OUTPUT.md").read_text()
        for name in keys_of(told):
            self.assertIn(f"`{name}`", documented, "OUTPUT.md documents every key")
        self.assertIn("slower than old.h5", self.good("compare", "new.h5", "--baseline", "old.h5"))

        self.gembench("compare", "new.h5", "--baseline", "old.h5", "--fail-above", "5", "--prometheus", "m.prom")
        metrics = metrics_in((self.folder / "m.prom").read_text())
        for name in metrics:
            self.assertIn(f"`{name.removeprefix('gembench_')}`", documented)
        linear = (("placement", "linear"),)
        self.assertEqual(metrics["gembench_slower_than_baseline"][()], 1)
        self.assertEqual(metrics["gembench_step_seconds"][linear], told["placements"][0]["now"])
        self.assertEqual(metrics["gembench_step_change_low_ratio"][linear],
                         told["placements"][0]["difference"]["low"])
        self.assertEqual(metrics["gembench_started_timestamp_seconds"][()], 1893456000)
        alone = self.good("compare", "new.h5", "--prometheus", "m.prom")
        self.assertEqual(alone, self.good("compare", "new.h5"))
        self.assertNotIn("gembench_step_change_ratio", metrics_in((self.folder / "m.prom").read_text()))
        self.assertEqual([path.name for path in self.folder.glob("m.prom*")], ["m.prom"])
        for said, words in [("--prometheus takes one", ["old.h5", "--prometheus", "x"]),
                            ("add --baseline", ["--fail-above", "5"]),
                            ("takes one results file", ["old.h5", "--baseline", "old.h5"]),
                            ("drop --against", ["--baseline", "old.h5", "--against", "gem"])]:
            self.one_sentence(self.gembench("compare", "new.h5", *words), 2, said)

    def test_one_rank_has_nothing_to_pool(self):
        for name in ("a.h5", "b.h5"):
            self.run_it(name, ranks=1)
        table = self.good("compare", "a.h5", "b.h5", "--against", "all")
        self.assertNotIn("95 % CI", table)
        self.assertNotIn("POOLED", table)
        run, _ = self.pairs("a.h5", "--against", "all")
        self.assertTrue(all(pair["low"] is None and pair["high"] is None for pair in run["pairs"]))


if __name__ == "__main__":
    main()
