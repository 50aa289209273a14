#!/usr/bin/python3
"""A real run: the package's numbers are those of `gembench compare`."""

import csv
import io
import json
import math
import os
from unittest import mock

import h5py

from analysis_support import ReportTest, main
from gembench_analysis.loading import load
from gembench_analysis.summary import drift, summarise


SMALL = ["--model", "gpt-oss-20b", "--scale", "16", "--layers", "2", "--tokens", "128",
         "--block", "4", "--plan-steps", "32", "-q"]


def json_of(value):
    """As compare prints it."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, list):
        return [json_of(one) for one in value]
    if isinstance(value, dict):
        return {name: json_of(one) for name, one in value.items()}
    return {name: json_of(one) for name, one in vars(value).items()} \
        if hasattr(value, "__dataclass_fields__") else value


class Compare(ReportTest):
    def same(self, path, stored=True):
        """Every number of the JSON, bit for bit; `stored`: read, without the program's help."""
        theirs = json.loads(self.good("compare", path, "--format", "json"))
        run = load(self.folder / path)
        with mock.patch.dict(os.environ, {"GEMBENCH": "/none" if stored else os.environ["GEMBENCH"]}):
            rows = summarise(run)
        self.assertEqual([row.placement for row in rows],
                         [row["placement"] for row in theirs["placements"]])
        for row, other in zip(rows, theirs["placements"]):
            told = {name: json_of(value) for name, value in vars(row).items()}
            told["rates"] = {name: json_of(rate.value) for name, rate in row.rates.items()}
            if row.difference is not None:
                self.assertEqual(vars(row.difference), {
                    name: other["difference"][name] for name in vars(row.difference)})
            for name in ("planned", "against", "difference"):
                told.pop(name), other.pop(name, None)
            self.assertEqual(told, other)
        for a, b in zip(drift(run) or [], theirs["drift"]):
            self.assertAlmostEqual(a, b, places=12)

    def test_a_run(self):
        self.good("run", *SMALL, "--steps", "24", "--placements", "linear,eplb,gem",
                  "--variability", "high", "--non-moe-time", "0.0001", "--profile-seconds", "1",
                  "-o", "a.h5", ranks=4)
        self.same("a.h5")
        printed = list(csv.DictReader(io.StringIO(self.good("compare", "a.h5", "--format", "csv"))))
        for row, line in zip(summarise(load(self.folder / "a.h5")), printed):
            self.assertEqual(f"{row.step_mean:.6g}", line["step_mean"])
            if row.difference is not None:
                self.assertEqual(f"{row.difference.low:.6g}", line["difference_low"])
                self.assertEqual(f"{row.difference.high:.6g}", line["difference_high"])
        self.written("a.h5")
        page = (self.folder / "a.html").read_text()
        self.assertIn("rank speeds EMULATED", page)
        self.assertIn("thread CPU time", page)

        # A file of before 2.7.0: the program makes what it lacks.
        with h5py.File(self.folder / "a.h5", "a") as file:
            del file["summary"]
        self.same("a.h5", stored=False)

    def test_a_run_with_replicas_that_drifts_and_adapts(self):
        # Steps long enough to tell speeds apart on a busy machine.
        words = ["512" if word == "128" else word for word in SMALL]
        self.good("run", *words, "--steps", "40", "--profile-seconds", "0", "--placements", "eplb",
                  "--adapt", "--spare-slots", "2", "--slowdown", "1,3", "--drift", "slow@12",
                  "--clock", "cpu-time", "-o", "d.h5", ranks=2)
        self.same("d.h5")
        self.written("d.h5")
        page = (self.folder / "d.html").read_text()
        self.assertIn("DRIFT INJECTED during the run: slow@12", page)
        self.assertIn("Changes during the run", page)

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
        said = self.written("q.h5", "--format", "md").split("### Precision of these numbers")[1]
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
