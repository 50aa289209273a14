#!/usr/bin/python3
"""A real run: the package's numbers are those of `gembench compare`, to the last digit."""

import csv
import io
import json
import math

from analysis_support import ReportTest, main
from gembench_analysis.loading import load
from gembench_analysis.reduction import reduce
from gembench_analysis.summary import drift, summarise


SMALL = ["--model", "gpt-oss-20b", "--scale", "16", "--layers", "2", "--tokens", "128",
         "--block", "4", "--plan-steps", "32", "-q"]


class Compare(ReportTest):
    def equal(self, ours, theirs, what):
        """Both missing, or equal to 14 digits."""
        if theirs is None:
            self.assertTrue(ours is None or math.isnan(ours), what)
            return
        self.assertTrue(math.isclose(ours, theirs, rel_tol=1e-13, abs_tol=1e-300),
                        f"{what}: {ours!r} and {theirs!r}")

    def same_interval(self, ours, theirs, what):
        """Both missing, or equal to 10 digits: their ends are differences of larger numbers."""
        self.assertEqual(ours is None, theirs is None, what)
        if ours is not None:
            for end in ("low", "high"):
                self.assertTrue(math.isclose(getattr(ours, end), theirs[end], rel_tol=1e-10,
                                             abs_tol=1e-14), f"{what}: {ours} and {theirs}")

    def same(self, path):
        theirs = json.loads(self.good("compare", path, "--format", "json"))
        run = load(self.folder / path)
        rows = summarise(run, reduce(run))
        self.assertEqual([row.placement for row in rows],
                         [row["placement"] for row in theirs["placements"]])
        compared = 0
        for row, other in zip(rows, theirs["placements"]):
            for name, value in other.items():
                if name == "placement":
                    continue
                if name == "last_share":
                    for a, b in zip(row.last_share, value):
                        self.equal(a, b, name)
                elif name == "rates":
                    for rate, number in value.items():
                        self.equal(row.rates[rate], number, rate)
                        compared += 1
                elif name == "changes":
                    self.assertEqual([vars(change) for change in row.changes], value)
                elif name == "intervals":
                    self.assertEqual(list(row.intervals), list(value))
                    for of, found in row.intervals.items():
                        self.same_interval(found, value[of], of)
                        compared += 1
                elif name == "difference":
                    if row.difference is not None:
                        for part in ("mean", "typical", "low", "high", "blocks"):
                            self.equal(getattr(row.difference, part), value.get(part), part)
                            compared += 1
                else:
                    self.equal(getattr(row, name), value, name)
                    compared += 1
        self.assertGreater(compared, 45)
        for a, b in zip(drift(run) or [], theirs["drift"]):
            self.equal(a, b, "drift")

    def test_a_run(self):
        self.good("run", *SMALL, "--steps", "24", "--placements", "linear,eplb,gem",
                  "--variability", "high", "--non-moe-time", "0.0001", "--profile-seconds", "1",
                  "-o", "a.h5", ranks=4)
        self.same("a.h5")
        printed = list(csv.DictReader(io.StringIO(self.good("compare", "a.h5", "--format", "csv"))))
        run = load(self.folder / "a.h5")
        for row, line in zip(summarise(run, reduce(run)), printed):
            self.assertEqual(f"{row.step_mean:.6g}", line["step_mean"])
            if row.difference is not None:
                self.assertEqual(f"{row.difference.low:.6g}", line["difference_low"])
                self.assertEqual(f"{row.difference.high:.6g}", line["difference_high"])
        self.written("a.h5")
        page = (self.folder / "a.html").read_text()
        self.assertIn("rank speeds EMULATED", page)
        self.assertIn("thread CPU time", page)

    def test_a_run_with_replicas_that_drifts_and_adapts(self):
        # Steps long enough to tell speeds apart on a busy machine.
        words = ["512" if word == "128" else word for word in SMALL]
        self.good("run", *words, "--steps", "40", "--profile-seconds", "0", "--placements", "eplb",
                  "--adapt", "--spare-slots", "2", "--slowdown", "1,3", "--drift", "slow@12",
                  "--clock", "cpu-time", "-o", "d.h5", ranks=2)
        self.same("d.h5")
        self.written("d.h5")
        page = (self.folder / "d.html").read_text()
        self.assertIn("CHANGED ON PURPOSE in mid-run: slow@12", page)
        self.assertIn("Changes while it was measured", page)

    def test_intervals_of_quantiles_take_more_steps(self):
        self.good("run", *[word for word in SMALL if word not in ("--block", "4")], "--block", "1",
                  "--steps", "100", "--profile-seconds", "0", "--placements", "linear,gem",
                  "--clock", "cpu-time", "-o", "q.h5", ranks=2)
        self.same("q.h5")
        rows = json.loads(self.good("compare", "q.h5", "--format", "json"))["placements"]
        for row in rows:
            for name in ("step_mean", "step_p50", "wait_mean", "wait_share", "straggler_share"):
                self.assertLessEqual(row["intervals"][name]["low"], row[name])
                self.assertGreaterEqual(row["intervals"][name]["high"], row[name])
            self.assertIsNone(row["intervals"]["step_p99"])
        said = self.written("q.h5", "--format", "md").split("### How well the steps are known")[1]
        for row in rows:
            low, high = (1e6 * row["intervals"]["step_mean"][end] for end in ("low", "high"))
            self.assertIn(f"| {row['placement']} | {1e6 * row['step_mean']:.0f} ({low:.0f} .. "
                          f"{high:.0f}) |", said)

    def test_whole_steps_on_the_wall_clock(self):
        self.good("run", *SMALL, "--steps", "8", "--profile-seconds", "0",
                  "--placements", "linear,gem",
                  "--clock", "wall", "--whole-steps", "-o", "w.h5", ranks=2)
        self.same("w.h5")


if __name__ == "__main__":
    main()
