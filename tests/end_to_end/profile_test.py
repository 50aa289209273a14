"""gembench profile: what it measures, whom it names, and what has changed since another one."""

import csv
import io
import json
import os
import shutil
import sys
import unittest

from support import SMALL, TOP, CliTest, keys_of, main, metrics_in

try:
    import h5py
    import numpy as np
except ImportError:
    sys.exit(77)

SHAPE = SMALL[:8] + ["-q"]
QUICK = SHAPE + ["--profile-seconds", "0"]
LOAD_POINTS = ("latency", "low", "high", "samples")
ACTIVE = ("active_latency", "active_samples")
ROUNDS = 8  # of a profile that tests change: each half holds enough readings to judge
ROUTED = ("routed", "routed_slot", "routed_latency", "routed_tokens", "routed_samples")


def better(attrs):
    """The cost model that --cost auto takes of this file."""
    experts = attrs["routed_experts_median"] < attrs["routed_tokens_median"]
    return "per-expert" if experts else "sum"


class Measured(CliTest):
    def test_a_slow_rank_is_named_and_everything_is_stored(self):
        out = self.good("profile", *SHAPE, "--profile-seconds", "2", "--slowdown", "1,1,3,1", "-o",
                        "p.h5", "--format", "json", ranks=4)
        told = json.loads(out)
        self.assertTrue(told["ranks"][2]["slow"])
        self.assertGreater(told["ranks"][2]["slower"], 0.5)
        self.assertTrue(any("rank 2" in line and "is slow" in line and "emulated" in line
                            for line in told["findings"]), told["findings"])
        self.assertNotIn("comparison", told)
        with h5py.File(self.folder / "p.h5") as file:
            self.assertEqual(file.attrs["schema_version"], "1.5.0")
            ranks, load_points, rounds = file["samples"].shape
            self.assertEqual((ranks, load_points), file["latency"].shape)
            self.assertEqual(file["active_samples"].shape[-1], rounds)
            self.assertEqual(file["active_latency"].shape[0], 4)
            self.assertEqual(file.attrs["slots"], 8)
            self.assertTrue((file["low"][:] <= file["latency"][:]).all())
            self.assertTrue((file["latency"][:] <= file["high"][:]).all())
            self.assertEqual(len(file["environment/host"]), 4)
            self.assertEqual(file["state/clock_before"].shape, (4,))
            shown = told["ranks"][1]["points"][3]
            self.assertEqual(shown["tokens"], file["load_point"][3])
            self.assertEqual(shown["median"], file["latency"][1, 3])
            self.assertGreater(file.attrs["fit_tokens_worst"], 0)
            tokens = file["routed_tokens"][:]
            self.assertEqual(tokens.shape, (4, 8, 8))
            # 128 tokens, top-4, shared out to the ranks; not evenly.
            self.assertEqual(tokens.sum(axis=(0, 2)).tolist(), [128 * 4] * 8)
            self.assertGreater(tokens.max(), 2 * tokens.mean())
            self.assertEqual(file["routed_samples"].shape, (4, 8, rounds))
            self.assertTrue((file["routed_latency"][:] > 0).all())
            for model, stored in (("sum", "tokens"), ("per-expert", "experts")):
                for name in ("median", "worst"):
                    self.assertEqual(told["routed_error"][model][name],
                                     file.attrs[f"routed_{stored}_{name}"])
            self.assertEqual(told["cost_model"], better(file.attrs))
            self.assertEqual(told["fit"]["per-expert"]["mean"], file.attrs["fit_experts_mean"])

    def test_table_and_csv(self):
        table = self.good("profile", *QUICK, "-o", "a.h5", ranks=2)
        self.assertEqual(table.splitlines()[-1], "# result: a.h5")
        self.assertIn("fewer experts active", table)
        self.assertIn("1 warm-up rounds (not yet steady), at most 3 rounds", table)
        self.assertIn("# loads as the trace routes them", table)
        self.assertRegex(table, "# cost model by --cost auto: '(sum|per-expert)', off by .* on 16 "
                                "routed loads")
        text = self.good("profile", *QUICK, "-o", "b.h5", "--format", "csv", ranks=2)
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual({row["rank"] for row in rows}, {"0", "1"})
        self.assertEqual({row["ended"] for row in rows}, {"budget"})
        self.assertEqual({row["readings"] for row in rows}, {"3"})
        self.assertEqual(sum(row["routed"] == "1" for row in rows), 2 * 8)

    def test_the_cost_model_is_the_better_one_unless_it_is_named(self):
        self.good("profile", *QUICK, "--clock", "cpu-time", "-o", "p.h5", ranks=2)
        self.good("trace", "make", *SMALL[:6], "--tokens", "128", "--steps", "8", "-o", "t.h5")
        for chosen in ("sum", "per-expert"):
            # What the ranks took for the routed loads is what this model says of them.
            with h5py.File(self.folder / "p.h5", "r+") as file:
                for name in ("active_latency", "active_samples", "active_load", "active"):
                    if name in file:  # with it the model knows more than one curve
                        del file[name]
                load_points, slots = file["load_point"][:], file.attrs["slots"]
                tokens = file["routed_tokens"][:]
                for rank in range(2):
                    # A smooth curve, whatever noise was measured: noise is mended, and would not
                    # be what the model says.
                    curve = file["latency"][rank] = 1e-4 + 1e-5 * load_points ** 0.7
                    share = (np.interp(tokens[rank] * slots, load_points, curve) - curve[0]) / slots
                    file["routed_latency"][rank] = curve[0] + share.sum(axis=1) \
                        if chosen == "per-expert" else np.interp(tokens[rank].sum(axis=1), load_points, curve)
            for asked, used in (([], chosen), (["--cost", "sum"], "sum"),
                                (["--cost", "per-expert"], "per-expert")):
                with self.subTest(chosen=chosen, asked=asked):
                    run = ["run", *SMALL, "--clock", "cpu-time", "--profile", "p.h5", *asked,
                           "--placements", "linear,gem", "--overwrite", "-o", "a.h5"]
                    other = "sum" if used == "per-expert" else "per-expert"
                    how = "as asked" if asked else "auto"
                    self.assertIn(f"cost model {used} ({how}: off by",
                                  self.good("score", "--trace", "t.h5", "--profile", "p.h5",
                                            *asked, "--strategies", "linear"))
                    if asked and used == chosen:
                        continue  # as without the word
                    out = self.good(*run, ranks=2)
                    self.assertRegex(out, rf"# cost model '{used}' \({how}: off by .*'{other}' by")
                    self.assertRegex(out, rf"us to barriers, +'{used}' +'{other}'\n")
                    told = json.loads(self.good("compare", "a.h5", "--format", "json"))
                    self.assertEqual(told["cost_model"], used)
                    with h5py.File(self.folder / "a.h5") as file:
                        self.assertEqual(file.attrs["cost"], used)
                        self.assertIn("routed_experts_worst", file.attrs)

    def test_without_routed_loads_the_cost_model_is_the_papers(self):
        self.good("profile", *QUICK, "--clock", "cpu-time", "-o", "p.h5", ranks=2)
        with h5py.File(self.folder / "p.h5", "r+") as file:
            for name in ROUTED:
                del file[name]
            file.attrs["schema_version"] = "1.1.0"
        out = self.good("run", *SMALL, "--clock", "cpu-time", "--profile", "p.h5", "-o", "a.h5",
                        ranks=2)
        self.assertIn("# cost model 'sum' (auto: the profile holds no routed loads", out)
        self.good("trace", "make", *SMALL[:6], "--tokens", "128", "--steps", "8", "-o", "t.h5")
        self.assertIn("cost model sum (auto: the profile holds no routed loads",
                      self.good("score", "--trace", "t.h5", "--ranks", "2", "--strategies",
                                "linear"))

    @staticmethod
    def resize_rounds(file, rounds):
        """As if there had been time for that many, however busy the machine is."""
        readings = {name: file[name][:] for name in file if file[name].attrs.get("units") == "s"
                    and file[name].ndim > 2 and name.endswith("samples")}
        for name in ("round", *readings):
            del file[name]
        file["round"] = np.arange(rounds, dtype="i4")
        for name, values in readings.items():
            file.create_dataset(name, data=np.resize(values.mean(axis=-1, keepdims=True),
                                                     (*values.shape[:-1], rounds)))

    def test_a_curve_that_falls_is_named(self):
        self.good("profile", *SHAPE, "--clock", "cpu-time", "--profile-seconds", "2", "-o", "p.h5",
                  ranks=2)
        with h5py.File(self.folder / "p.h5", "r+") as file:
            at = len(file["load_point"]) - 2
            smooth = 1e-4 + 1e-6 * file["load_point"][:]
            self.resize_rounds(file, 9)
            for name, curve in (("samples", smooth[:, None]), ("latency", smooth)):
                values = np.broadcast_to(curve, file[name].shape).copy()
                values[1, at] = values[1, at + 1] * 3
                file[name][:] = values
            loads = file["load_point"][at:at + 2]
        named = f"latency falls by 66.7 % from {loads[0]} to {loads[1]} tokens on rank 1"
        told = json.loads(self.good("profile", "--compare", "p.h5", "--with", "p.h5", "--format",
                                    "json"))
        self.assertTrue(any(named in line for line in told["findings"]), told["findings"])
        out = self.good("run", *SMALL, "--clock", "cpu-time", "--profile", "p.h5", "-o", "a.h5",
                        ranks=2)
        self.assertRegex(out, f"(?m)^# profile: .*{named}, beyond noise")

    def test_a_profile_with_an_active_sweep_is_planned_and_run_with(self):
        self.good("profile", *QUICK, "--clock", "cpu-time", "-o", "p.h5", ranks=2)
        out = self.good("run", *SMALL, "--clock", "cpu-time", "--profile", "p.h5", "--cost",
                        "per-expert", "--placements", "linear,gem", "-o", "a.h5", ranks=2)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        with h5py.File(self.folder / "a.h5") as run, h5py.File(self.folder / "p.h5") as profile:
            self.assertEqual(run["profile_active_latency"][:].tolist(),
                             profile["active_latency"][:].tolist())
            self.assertEqual(run.attrs["profile_slots"], 16)
            for name in ("latency", "tokens"):
                self.assertEqual(run[f"profile_routed_{name}"][:].tolist(),
                                 profile[f"routed_{name}"][:].tolist())

    def test_comparing_needs_no_output_and_the_same_ranks(self):
        self.good("profile", *QUICK, "-o", "p.h5", ranks=2)
        out = self.good("profile", *QUICK, "--slowdown", "1,30", "--compare", "p.h5", ranks=2)
        self.assertRegex(out, r"rank 1 \(.*\) is fail-slow: .* slower than in p.h5")
        self.one_sentence(self.gembench("profile", *QUICK, "--compare", "p.h5", ranks=3), 2,
                          "p.h5 holds 2 ranks but 3 run")
        other = ["--model", "gpt-oss-20b", "--scale", "8", "--layers", "2", "--tokens", "128"]
        self.one_sentence(self.gembench("profile", *other, "--compare", "p.h5", ranks=2), 2,
                          "the model of the old")


class Compared(CliTest):
    """Files that were changed by hand: nothing is measured but the first."""

    def setUp(self):
        super().setUp()
        self.good("profile", *SHAPE, "--profile-seconds", "1", "-o", "old.h5", ranks=4)
        with h5py.File(self.folder / "old.h5", "r+") as file:
            # Equal ranks without noise and enough rounds whatever the machine had time for, so
            # that only what a test changes is there.
            for name in LOAD_POINTS + ACTIVE:
                values = file[name][:]
                equal = file["latency" if name in LOAD_POINTS else "active_latency"][0]
                if name.endswith("samples"):
                    self.replace(file, name, np.broadcast_to(
                        equal[..., None], values.shape[:-1] + (ROUNDS,)))
                else:
                    file[name][:] = equal
            routed = file["routed_samples"][..., :1]
            self.replace(file, "routed_samples", np.repeat(routed, ROUNDS, axis=-1))

    @staticmethod
    def replace(file, name, values):
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)

    def changed(self, name, change):
        shutil.copy(self.folder / "old.h5", self.folder / name)
        with h5py.File(self.folder / name, "r+") as file:
            change(file)

    @staticmethod
    def slower(rank, factor, late=False):
        def change(file):
            for name in LOAD_POINTS + ACTIVE:
                values = file[name][:]
                if name.endswith("samples"):
                    first = values.shape[-1] // 2 if late else 0
                    values[rank, ..., first:] *= factor
                elif not late:
                    values[rank] *= factor
                file[name][:] = values
        return change

    def compare(self, *words):
        return json.loads(self.good("profile", "--compare", "old.h5", *words, "--format", "json"))

    def test_no_rank_drifted(self):
        told = self.compare("--with", "old.h5")
        self.assertEqual(told["comparison"]["common"], 0)
        self.assertEqual([rank["drifted"] for rank in told["comparison"]["ranks"]], [False] * 4)
        self.assertTrue(any("no rank drifted" in line for line in told["findings"]))
        self.assertTrue(any("no rank is slow" in line for line in told["findings"]))
        self.assertEqual(told["comparison"]["other_machine"], [])

    def test_a_rank_that_became_slower_is_fail_slow(self):
        self.changed("new.h5", self.slower(1, 1.25))
        told = self.compare("--with", "new.h5")
        drift = told["comparison"]["ranks"][1]
        self.assertTrue(drift["drifted"])
        self.assertAlmostEqual(drift["relative"], 0.25)
        self.assertTrue(told["ranks"][1]["slow"])
        text = self.good("profile", "--compare", "old.h5", "--with", "new.h5", "--prometheus", "m.prom")
        metrics = metrics_in((self.folder / "m.prom").read_text())
        documented = (TOP / "harness/OUTPUT.md").read_text()
        for name in metrics:
            self.assertIn(f"`{name.removeprefix('gembench_')}`", documented)
        (key,) = [key for key in metrics["gembench_rank_slower_ratio"] if ("rank", "1") in key]
        self.assertEqual(metrics["gembench_rank_change_ratio"][key], drift["relative"])
        self.assertEqual(metrics["gembench_rank_fail_slow"][key], 1)
        self.assertRegex(text, r"# rank 1 \(.*\) is fail-slow: 25.0 % slower than in old.h5")
        self.assertRegex(text, r"# rank 1 \(.*\) is slow: 25.0 % slower than the median rank")

    def test_a_device_slower_than_its_own_past_is_named(self):
        (self.folder / "h").mkdir()
        rng = np.random.default_rng(1)

        def at(day, change):
            def make(file):
                for rank in range(4):
                    self.slower(rank, (1 + 0.005 * rng.normal()) * (change if rank == 2 else 1))(file)
                file.attrs["measured"] = f"2026-11-{day:02}T00:00:00Z"
            return make
        for day in range(1, 13):
            self.changed(f"h/{day}.h5", at(day, 1.15 if day > 9 else 1))
        self.changed("h/later.h5", at(20, 1))
        (self.folder / "h/text.h5").write_text("no HDF5")
        os.mkfifo(self.folder / "h/pipe.h5")  # reading it would never end
        shutil.copy(self.folder / "h/3.h5", self.folder / "h/copy.h5")
        told = json.loads(self.good("profile", "--with", "h/12.h5", "--history", "h", "--format", "json",
                                    "--prometheus", "m.prom"))
        history = told["history"]
        self.assertEqual([one["measured"][8:10] for one in history["profiles"]],
                         [f"{day:02}" for day in range(1, 13)])
        self.assertEqual(sorted(line.split()[0] for line in history["left_out"]),
                         ["h/3.h5", "h/later.h5", "h/text.h5"])
        named = [device for device in history["devices"] if device["changes"]]
        self.assertEqual([device["rank"] for device in named], [2])
        (change,) = named[0]["changes"]
        self.assertEqual((change["after"][:10], change["since"][:10]), ("2026-11-09", "2026-11-10"))
        self.assertTrue(0.1 < change["low"] < 0.15 < change["high"], change)
        self.assertRegex("\n".join(told["findings"]), r"\(rank 2\) became 1\d\.\d % slower than its own past, against "
                         r"its peers, between 2026-11-09T00:00:00Z and 2026-11-10T00:00:00Z .*9 profiles before, 3 since")
        documented = (TOP / "harness/OUTPUT.md").read_text()
        for name in keys_of(history):
            self.assertIn(f"`{name}`", documented, "OUTPUT.md documents every key")
        metrics = metrics_in((self.folder / "m.prom").read_text())["gembench_rank_history_change_ratio"]
        self.assertEqual([(dict(key)["rank"], value) for key, value in metrics.items() if value],
                         [("2", change["change"])])
        # Before it happened there was nothing to see, and four profiles are no history.
        early = self.good("profile", "--with", "h/9.h5", "--history", "h")
        self.assertRegex(early, "# no device changed against its peers by 2 % .* in 9 profiles since")
        self.assertIn("3 of the 7 profiles", self.good("profile", "--with", "h/3.h5", "--history", "h"))
        # A new measurement joins it.
        self.good("profile", *QUICK, "--history", "h", "-o", "h/new.h5", ranks=4)
        self.one_sentence(self.gembench("profile", "--with", "h/9.h5", "--history", "no"), 2, "no is no folder")

    def test_the_whole_machine_changed(self):
        def change(file):
            for rank in range(4):
                self.slower(rank, 0.5)(file)
        self.changed("new.h5", change)
        told = self.compare("--with", "new.h5")
        self.assertTrue(told["comparison"]["shared"])
        self.assertIn("all ranks are 50.0 % faster than in old.h5", told["findings"])
        self.assertFalse(any(rank["drifted"] for rank in told["comparison"]["ranks"]))

    def test_a_rank_that_slows_down_while_it_is_measured(self):
        self.changed("new.h5", self.slower(3, 1.5, late=True))
        told = self.compare("--with", "new.h5")
        self.assertEqual([rank["fail_slow"] for rank in told["ranks"]],
                         [False, False, False, True])
        self.assertTrue(any("rank 3" in line and "50.0 % slower late in the measurement" in line
                            for line in told["findings"]), told["findings"])

    def test_another_machine_is_said(self):
        def change(file):
            names = file["environment/device_id"][:]
            names[2] = "GPU-2"
            file["environment/device_id"][:] = names
        self.changed("new.h5", change)
        self.assertRegex(self.compare("--with", "new.h5")["comparison"]["other_machine"][0],
                         "^rank 2 is another device number now: GPU-2, then ")

    def test_an_old_file_without_samples(self):
        def change(file):
            for name in ("samples", "active_samples", "active_latency", "environment", "state",
                         *ROUTED):
                del file[name]
            del file.attrs["measured"]
            file.attrs["schema_version"] = "1.0.0"
        self.changed("plain.h5", change)
        told = json.loads(self.good("profile", "--compare", "plain.h5", "--with", "old.h5",
                                    "--format", "json"))
        self.assertIn("does not say which machine", told["comparison"]["other_machine"][0])
        self.assertEqual(told["comparison"]["common"], 0)
        self.good("profile", "--compare", "old.h5", "--with", "plain.h5")

    def test_whether_a_replan_pays(self):
        self.good("trace", "make", *SMALL[:6], "--tokens", "128", "--steps", "32", "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", "--profile", "old.h5", "--strategy", "gem+", "-o",
                  "in_force.json")
        judged = ["--trace", "t.h5", "--placement", "in_force.json"]
        told = self.compare("--with", "old.h5", *judged)
        self.assertFalse(told["comparison"]["replan"]["pays"])
        self.assertIn("a replan does not pay", told["findings"][-1])
        self.changed("new.h5", self.slower(1, 3))
        told = self.compare("--with", "new.h5", *judged)
        replan = told["comparison"]["replan"]
        self.assertTrue(replan["pays"])
        self.assertLess(replan["after"], replan["before"] * 0.99)
        self.assertGreater(replan["moves"], 0)
        self.assertRegex(told["findings"][-1], "^a replan pays: .* moves save .* a step")
        # The same, when a move costs more than it can earn.
        dear = self.compare("--with", "new.h5", *judged, "--horizon", "10", "--bandwidth", "1",
                            "--expert-bytes", "1e9")
        self.assertFalse(dear["comparison"]["replan"]["pays"])
        self.assertEqual(dear["comparison"]["replan"]["moves"], 0)

    def test_plans_rest_on_the_speeds_that_last(self):
        self.good("trace", "make", *SMALL[:6], "--tokens", "128", "--steps", "32", "-o", "t.h5")
        (self.folder / "kept").mkdir()
        self.changed("kept/a.h5", self.slower(1, 1.5))
        self.changed("kept/b.h5", self.slower(2, 1.5))
        self.changed("now.h5", self.slower(0, 1.5))

        def told(*words):
            return json.loads(self.good("score", "--trace", "t.h5", "--profile", "now.h5",
                                        "--strategies", "gem", "--format", "json", *words))
        plain, alone, kept = told("--speeds", "measured"), told(), told("--history", "kept")
        self.assertIsNone(plain["shrinkage"])
        self.assertIsNone(alone["shrinkage"])  # its rounds are equal: nothing passes
        self.assertEqual(alone["placements"][0]["step_mean"], plain["placements"][0]["step_mean"])
        # Another rank is slow every day: nothing lasts, and the slow one is stretched by 1.5^-3/4.
        found = kept["shrinkage"]
        self.assertEqual((found["rho"], found["profiles"]), (0, 3))
        self.assertAlmostEqual(found["largest"], 1 - 1.5 ** -0.75)
        # Judged on the profile as it is, a plan on equal ranks is the worse one.
        self.assertGreater(kept["placements"][0]["step_mean"], plain["placements"][0]["step_mean"])
        self.assertEqual(kept["placements"][0]["bound"], plain["placements"][0]["bound"])
        # What passes from day to day is what the judged speeds may be off by.
        wide, narrow = (told(*words, "--strategies", "linear,eplb", "--plan-steps", "16", "--draws", "8")
                        for words in (["--history", "kept"], ["--speeds", "measured"]))
        width = [one["placements"][1]["draws_high"] - one["placements"][1]["draws_low"]
                 for one in (wide, narrow)]
        self.assertGreater(width[0], width[1])
        self.assertIn("the errors of the profile's medians", wide["notes"][-1])
        plan = self.good("plan", "--trace", "t.h5", "--profile", "now.h5", "--history",
                         "kept/a.h5,now.h5", "-o", "p.json")  # the profile itself does not count
        self.assertIn("rho 0.00 on 2 profiles, ranks by at most 26.2 %; judged on the profile as it is",
                      plan)
        advice = json.loads(self.gembench("advise", "--trace", "t.h5", "--profile", "now.h5",
                                          "--history", "kept", "--format", "json").stdout)
        self.assertEqual(advice["shrinkage"], found)
        self.changed("kept/a.h5", lambda file: file.attrs.update(model="other"))
        self.assertEqual(told("--history", "kept")["shrinkage"]["profiles"], 2)  # the others do
        for said, words in [("the model of the old one", ["--history", "kept/a.h5"]),
                            ("drop one of them", ["--history", "kept", "--speeds", "measured"]),
                            ("no.h5", ["--history", "no.h5"])]:
            with self.subTest(words):
                self.one_sentence(self.gembench("score", "--trace", "t.h5", "--profile", "now.h5",
                                                *words), 2, said)

    def test_mistakes(self):
        def other_clock(file):
            file.attrs["clock"] = "other"
        self.changed("clock.h5", other_clock)
        (self.folder / "text.h5").write_text("no HDF5")
        (self.folder / "x.json").write_text("{}")
        for said, words in [
                ("--compare OLD.h5 or --history", ["--with", "old.h5"]),
                ("--trace FILE", ["--compare", "old.h5", "--with", "old.h5", "--placement", "x.json"]),
                ("drop one", ["--compare", "old.h5", "--with", "old.h5", "-o", "x.h5"]),
                ("the clock of the old one", ["--compare", "old.h5", "--with", "clock.h5"]),
                ("text.h5", ["--compare", "text.h5", "--with", "old.h5"]),
                ("no.h5", ["--compare", "old.h5", "--with", "no.h5"]),
        ]:
            with self.subTest(words):
                self.one_sentence(self.gembench("profile", *words), 2, said)


if __name__ == "__main__":
    main()
