#!/usr/bin/python3
"""The scripts that redo the paper's evaluation, in their short form, and the text they write."""

import csv
import re
import sys
import unittest

from analysis_support import TOP, Made, ReportTest, main
from support import data_folder

sys.path.insert(0, str(TOP / "analysis/reproduction"))
import collect  # noqa: E402
import write  # noqa: E402

MODELS = {"mixtral-8x7b", "mixtral-8x22b", "llama-4-scout", "hunyuan-a13b", "qwen3-30b-a3b"}


class Reproduction(ReportTest):
    def test_predicted_in_short(self):
        done = self.call(TOP / "jobs/reproduce_gem.sh", "--quick", "--predicted", "-o", "raw",
                         "--text", "text")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.folder / "text/predicted.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual({row["model"] for row in rows}, MODELS)
        self.assertEqual({row["variability"] for row in rows}, {"none", "low", "high"})
        self.assertEqual(len(rows), 5 * 2 * 3 * 4)
        gem = [float(row["gain"]) for row in rows if row["placement"] == "gem"]
        self.assertGreater(min(gem), -0.05)
        self.assertLess(max(gem), 0.5)
        text = (self.folder / "text/README.md").read_text()
        for block in ("claims", "models", "sweep", "ablation"):
            found = re.search(rf"<!-- begin {block} -->\n(.*?)<!-- end -->", text, re.DOTALL)
            self.assertGreater(len(found[1].splitlines()), 5, block)
            self.assertNotIn("nan", found[1])
        self.assertIn("<svg", (self.folder / "text/gain_by_tokens.svg").read_text()[:2000])

    def test_measured_rows_are_those_of_the_runs(self):
        (self.folder / "raw/measured").mkdir(parents=True)
        for seed, kind in ((1, "low"), (2, "high")):
            Made(placements=4, steps=32, seed=seed).write(
                self.folder / f"raw/measured/qwen3-30b-a3b-{kind}-{seed}.h5")
        rows = collect.measured(self.folder / "raw")
        self.assertEqual(len(rows), 6)
        for row in rows:
            self.assertLessEqual(row.low, row.gain)
            self.assertLessEqual(row.gain, row.high)
            self.assertGreater(row.gain, 0)  # made so
        write.main(self.folder / "raw", self.folder / "text")
        kept = collect.saved(self.folder / "text/measured.csv")
        self.assertEqual([(r.model, r.seed, r.placement) for r in kept],
                         [(r.model, r.seed, r.placement) for r in rows])
        for one, other in zip(kept, rows):
            self.assertAlmostEqual(one.gain, other.gain, places=5)
        text = (self.folder / "text/README.md").read_text()
        self.assertIn("Qwen3-30B-A3B | high | 2 |", text)
        self.assertIn("clock cpu-time", text)

    def test_text_around_the_blocks_is_left_alone(self):
        text = "before\n<!-- begin a -->\nold\n<!-- end -->\nafter\n<!-- begin b -->\n<!-- end -->\n"
        again = write.rewrite(text, {"a": r"new \1"})
        self.assertEqual(again, text.replace("old", r"new \1"))
        with self.assertRaises(SystemExit):
            write.rewrite(text, {"c": "x"})

    def test_the_text_kept_here_is_what_its_numbers_say(self):
        """README.md's generated blocks come from the CSV files in its folder."""
        folder = TOP / "analysis/reproduction"
        write_to = self.folder / "text"
        write_to.mkdir()
        for name in ("README.md", "predicted.csv", "ablation.csv", "measured.csv"):
            if (folder / name).is_file():
                (write_to / name).write_text((folder / name).read_text())
        write.main(self.folder, write_to)
        self.assertEqual((write_to / "README.md").read_text(), (folder / "README.md").read_text())

    def test_mistakes(self):
        for words in (["--fast"], ["-o"]):
            done = self.call(TOP / "jobs/reproduce_gem.sh", *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage:", done.stderr)


@unittest.skipUnless(data_folder(), "no recordings: set GEMBENCH_DATA to their folder")
class Recordings(ReportTest):
    def test_case_study_in_short(self):
        done = self.call(TOP / "jobs/case_study.sh", "--quick", "-o", "raw", "--text", "text")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.folder / "text/RECORDINGS.md").read_text()
        block = text.split("<!-- begin recordings -->")[1].split("<!-- end -->")[0]
        rows = re.findall(r"(?m)^\| (?:GPT|Qwen|Deep).*\|$", block)
        self.assertEqual(len(rows), 6)
        for row in rows:
            cells = [cell.strip().split(" ")[0] for cell in row.strip("|").split("|")[2:]]
            bound, gem = float(cells[0]), float(cells[4])
            self.assertGreaterEqual(bound, gem)


if __name__ == "__main__":
    main()
