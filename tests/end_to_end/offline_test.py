"""Everything that needs no MPI: traces, plans and scores."""

import json
import re

import h5py
import numpy

from support import CliTest, main

SHAPE = ["--model", "gpt-oss-20b", "--layers", "2"]


class Offline(CliTest):
    def make_trace(self):
        self.good("trace", "make", *SHAPE, "--tokens", "256", "--steps", "256", "-o", "t.h5")

    def test_a_trace_is_made_planned_on_and_judged(self):
        self.make_trace()
        self.good("plan", "--trace", "t.h5", "--ranks", "4", "--strategy", "gem", "--variability",
                  "high", "--plan-steps", "192", "-o", "gem.json")
        placement = json.loads((self.folder / "gem.json").read_text())
        self.assertEqual(placement["schema"], "gembench-placement")
        slots = numpy.array(placement["slot_expert"])
        self.assertEqual(slots.shape, (2, 4, 8))
        self.assertTrue((numpy.sort(slots.reshape(2, 32)) == numpy.arange(32)).all())

        out = self.good("score", "--trace", "t.h5", "--ranks", "4", "--strategies", "linear,eplb,gem",
                        "--variability", "high", "--plan-steps", "192", "--format", "json", "gem.json")
        judged = json.loads(out)
        self.assertTrue(judged["held_out"])
        means = {row["placement"]: row["step_mean"] for row in judged["placements"]}
        self.assertEqual(means["gem"], means["gem.json"], "same inputs and seed, same placement")
        self.assertLess(means["gem"], means["linear"])
        self.assertTrue(all(row["gap"] >= 0 for row in judged["placements"]))

    def test_placements_are_judged_on_another_recording(self):
        self.make_trace()
        shape = [*SHAPE, "--tokens", "128", "--steps", "32"]
        self.good("trace", "make", *shape, "--seed", "5", "-o", "other.h5")
        at = ["--ranks", "4", "--strategies", "linear,gem", "--format", "json"]
        judged = json.loads(self.good("score", "--trace", "t.h5", "--judge", "other.h5", *at))
        self.assertTrue(judged["held_out"])
        self.assertEqual((judged["steps"], judged["planned_steps"]), (32, 256))
        self.assertTrue(judged["judged_on"].endswith("other.h5"))
        linear, gem = judged["placements"]
        self.assertEqual(linear["against_first"], 0)
        self.assertAlmostEqual(gem["against_first"], gem["step_mean"] / linear["step_mean"] - 1)
        self.assertEqual(gem["in_sample_steps"], 0)
        again = json.loads(self.good("score", "--trace", "t.h5", "--judge", "t.h5", *at))
        self.assertEqual(again["placements"][1]["in_sample_steps"], 256)
        self.good("trace", "make", "--model", "gpt-oss-20b", "--layers", "1", "--tokens", "64",
                  "--steps", "8", "-o", "one.h5")
        self.one_sentence(self.gembench("score", "--trace", "t.h5", "--judge", "one.h5", *at), 2,
                          "a recording of the same layers")

    def test_advice_is_a_word_an_exit_code_and_a_file(self):
        self.good("trace", "make", *SHAPE, "--tokens", "256", "--steps", "128", "-o", "t.h5")
        asked = ["advise", "--trace", "t.h5", "--ranks", "4", "--variability", "high"]
        self.one_sentence(self.gembench(*asked, "-o", "plan.json"), 2, "suits no real ranks")
        stated = [*asked[:5], "--slowdown", "1,1,1.3,1"]
        out = self.good(*stated, "--to", "sglang", "-o", "plan.json")
        self.assertRegex(out.splitlines()[-1], r"^# recommended: gem is predicted to take \d+\.\d % less time in the "
                         r"MoE layers than linear \(95 % CI -\d+\.\d \.\. -\d+\.\d %\)$")
        self.assertIn("# use: --init-expert-location plan.json", out)
        self.assertIn("physical_to_logical_map", (self.folder / "plan.json").read_text())
        told = json.loads(self.good(*asked, "--format", "json"))
        self.assertEqual((told["verdict"], told["best"], told["blocks"]), ("recommended", "gem", 48))
        # Even loads on equal ranks: nothing to gain.
        self.good("trace", "make", *SHAPE, "--preset", "even", "--steps", "48", "-o", "even.h5")
        done = self.gembench("advise", "--trace", "even.h5", "--ranks", "4", "-o", "no.json")
        self.assertEqual(done.returncode, 6, done.stdout + done.stderr)
        self.assertIn("# not recommended: nothing is predicted to take less time than linear", done.stdout)
        self.assertFalse((self.folder / "no.json").exists())
        self.good("trace", "make", *SHAPE, "--steps", "5", "-o", "few.h5")
        done = self.gembench("advise", "--trace", "few.h5", "--ranks", "4")
        self.assertEqual(done.returncode, 7, done.stdout + done.stderr)
        self.assertIn("# insufficient evidence: the recording has 5 steps", done.stdout)

    def test_counts_in_csv_come_in(self):
        rows = ["step,layer,e0,e1,e2,e3"]
        rows += [f"{step},{layer},2,3,1,2" for step in range(3) for layer in range(2)]
        (self.folder / "counts.csv").write_text("\n".join(rows) + "\n")
        out = self.good("trace", "import", "csv", "counts.csv", *SHAPE, "--experts", "4", "--topk",
                        "2", "-o", "t.h5")
        self.assertIn("steps 3  layers 2  experts 4  top-k 2  tokens a step 4  counts", out)

    def test_raw_ids_come_in_and_run(self):
        random = numpy.random.default_rng(1)
        ids = random.permuted(numpy.tile(numpy.arange(32, dtype=numpy.uint8), (640, 2, 1)), axis=2)
        ids[:, :, :4].tofile(self.folder / "ids.u8")
        out = self.good("trace", "import", "ids", "ids.u8", *SHAPE, "--tokens", "64", "-o", "t.h5")
        self.assertIn("steps 10  layers 2  experts 32  top-k 4  tokens a step 64  per-token ids", out)
        out = self.good("run", *SHAPE, "--scale", "16", "--trace", "t.h5", "--steps", "4", "--block",
                        "2", "--profile-seconds", "0", "-q", "-o", "a.h5", ranks=2)
        self.assertIn("per-token ids replayed", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")


class PlannedOn(CliTest):
    """Files are never planned on what is measured, as strategies are not."""

    def setUp(self):
        super().setUp()
        self.good("trace", "make", *SHAPE, "--tokens", "128", "--steps", "64", "-o", "t.h5")
        for name, words in (("early", ["--plan-steps", "40"]), ("all", []),
                            ("linear", ["--strategy", "linear"])):
            self.good("plan", "--trace", "t.h5", "--ranks", "2", *words, "-o", f"{name}.json")
        self.good("convert", "all.json", "--to", "sglang", "-o", "foreign.json")
        self.good("convert", "all.json", "--to", "gembench", "-o", "copy.json")
        self.good("plan", "--trace", "t.h5", "--ranks", "2", "--plan-steps", "8", "--from",
                  "copy.json", "--max-moves", "2", "-o", "rebalanced.json")

    def run_with(self, files, *more, trace="t.h5"):
        return self.gembench("run", *SHAPE, "--scale", "16", "--trace", trace, "--steps", "12",
                             "--profile-seconds", "0", "-q", "--placements", f"linear,{files}", "-o",
                             "a.h5", "--overwrite", *more, ranks=2)

    def test_a_run_refuses_what_was_planned_on_its_steps(self):
        for name in ("file:all.json", "relabel:file:copy.json", "adapt:file:rebalanced.json"):
            self.one_sentence(self.run_with(name), 2,
                              "was planned on 12 of the 12 steps to be measured")
        self.one_sentence(self.gembench("run", *SHAPE, "--trace", "t.h5", "--steps", "12",
                                        "--placements", "file:all.json", "--dry-run", "--ranks", "2"),
                          2, "was planned on 12 of the 12 steps")
        done = self.run_with("file:all.json", "--in-sample")
        self.assertIn("# files: all.json was planned on 12 of these 12 steps (IN-SAMPLE)", done.stdout)
        done = self.run_with("file:early.json,file:linear.json,file:foreign.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("# files: early.json was planned on none of these steps; linear.json was planned "
                      "on none of these steps; foreign.json does not say what it was planned on\n",
                      done.stdout)
        self.assertEqual(self.good("compare", "a.h5"), done.stdout)

    def test_the_same_loads_in_another_file_are_recognised(self):
        import h5py
        with h5py.File(self.folder / "t.h5") as f:
            counts = f["tokens"][:]
        rows = ["step,layer," + ",".join(f"e{e}" for e in range(32))]
        rows += [f"{step},{layer}," + ",".join(map(str, counts[20 + step, layer]))
                 for step in range(40) for layer in range(2)]  # steps 20 to 59
        (self.folder / "part.csv").write_text("\n".join(rows) + "\n")
        self.good("trace", "import", "csv", "part.csv", "--topk", "4", "-o", "part.h5")
        self.one_sentence(self.run_with("file:all.json", trace="part.h5"), 2, "12 of the 12 steps")
        # Of the last twelve, 48 to 59, `early` knows none; of 28 to 39 all.
        self.assertEqual(self.run_with("file:early.json", trace="part.h5").returncode, 0)
        self.one_sentence(self.run_with("file:early.json", "--plan-steps", "14", trace="part.h5"), 2,
                          "was planned on 6 of the 12 steps")

    def test_score_says_so(self):
        files = ["early.json", "all.json", "copy.json", "linear.json", "rebalanced.json", "foreign.json"]
        words = ["score", "--trace", "t.h5", "--ranks", "2", "--plan-steps", "40", "--strategies",
                 "gem,file:all.json", *files]
        out = self.good(*words)
        self.assertIn("# all.json was planned on 24 of these 24 steps (IN-SAMPLE)\n", out)
        self.assertIn("# foreign.json does not say what it was planned on\n", out)
        rows = json.loads(self.good(*words, "--format", "json"))["placements"]
        self.assertEqual([row["in_sample_steps"] for row in rows], [0, 24, 0, 24, 24, 0, 24, None])
        names, *lines = (line.split(",") for line in self.good(*words, "--format", "csv").splitlines())
        self.assertEqual([line[names.index("in_sample_steps")] for line in lines],
                         ["0", "24", "0", "24", "24", "0", "24", ""])
        rows = json.loads(self.good("score", "--trace", "t.h5", "--ranks", "2", "--strategies",
                                    "gem,linear", "--format", "json"))["placements"]
        self.assertEqual([row["in_sample_steps"] for row in rows], [64, 0])


class Mismatched(CliTest):
    def test_a_run_takes_the_shape_of_its_trace(self):
        self.good("trace", "make", "--model", "mixtral-8x7b", "--layers", "3", "--tokens", "64",
                  "--steps", "32", "-o", "m.h5")
        words = ["run", "--scale", "16", "--trace", "m.h5", "--steps", "6", "--profile-seconds", "0",
                 "-q", "--placements", "linear", "--overwrite", "-o", "a.h5"]
        out = self.good(*words, "--model", "gpt-oss-20b", ranks=2)
        self.assertIn("3 layers x 8 experts, top-2", out)
        self.assertIn("as the trace has them: layers 3 (not 24), experts 8 (not 32), top-k 2 (not 4)",
                      out)
        out = self.good(*words, "--model", "mixtral-8x7b", "--layers", "2", ranks=2)
        self.assertIn("2 layers x 8 experts, top-2", out)
        self.assertNotIn("as the trace has them", out)
        self.assertIn("3 layers x 8 experts, top-2",
                      self.good("run", "--trace", "m.h5", "--steps", "6", "--dry-run", "--ranks", "2"))
        self.good(*words[:-3], "-o", "a.h5", "--model", "mixtral-8x7b", "--layers", "2", "--resume",
                  ranks=2)

    def test_profiles_of_other_models_and_loads_are_named(self):
        self.good("trace", "make", *SHAPE, "--tokens", "64", "--steps", "16", "-o", "t.h5")
        self.good("trace", "make", *SHAPE, "--tokens", "1M", "--steps", "2", "-o", "huge.h5")
        score = ["score", "--ranks", "2", "--strategies", "linear", "--trace"]
        own, other = "builtin:l40s/gpt-oss-20b", "builtin:l40s/qwen3-30b-a3b"
        self.assertNotIn("NOTE", self.good(*score, "t.h5", "--profile", own))
        self.assertIn("# NOTE: builtin:l40s/qwen3-30b-a3b was measured for qwen3-30b-a3b, which has 128 "
                      "experts, top-8, and the loads have 32 experts, top-4",
                      self.good(*score, "t.h5", "--profile", other))
        self.assertRegex(self.good(*score, "huge.h5", "--profile", own),
                         r"# NOTE: in 2 of 2 steps a rank gets more tokens .* are extrapolated")
        self.good("profile", *SHAPE, "--scale", "16", "--tokens", "64", "--profile-seconds", "0", "-q",
                  "-o", "p.h5", ranks=2)
        self.good("trace", "make", *SHAPE, "--experts", "64", "--tokens", "64", "--steps", "16", "-o",
                  "wide.h5")
        self.assertNotIn("NOTE", self.good(*score, "t.h5", "--profile", "p.h5"))
        self.assertIn("NOTE: p.h5 was measured for gpt-oss-20b, which has 32 experts",
                      self.good(*score, "wide.h5", "--profile", "p.h5"))
        notes = json.loads(self.good(*score, "wide.h5", "--profile", "p.h5", "--format", "json"))["notes"]
        self.assertEqual(len(notes), 1)

    def test_totals_of_a_run_taken_for_a_step_are_named(self):
        rows = ["step,layer,e0,e1,e2,e3", "0,0,9000000,9000000,9000000,9000000",
                "0,1,10000000,8000000,9000000,9000000"]
        (self.folder / "totals.csv").write_text("\n".join(rows) + "\n")
        out = self.good("trace", "import", "csv", "totals.csv", "--topk", "2", "-o", "t.h5")
        said = "NOTE: t.h5 has a step of 18000000 tokens"
        for text in (out, self.good("trace", "info", "t.h5"),
                     self.good("score", "--trace", "t.h5", "--ranks", "2")):
            self.assertIn(said, text)
            self.assertIn("--expand-multinomial --steps N --tokens T", text)
        refused = self.gembench("run", "--trace", "t.h5", "--scale", "16", "--steps", "1", "-o", "a.h5",
                                "--in-sample", ranks=2)
        self.one_sentence(refused, 2, "a step of 18000000 tokens, more than")
        out = self.good("trace", "import", "csv", "totals.csv", "--topk", "2", "--expand-multinomial",
                        "--steps", "8", "--tokens", "64", "-o", "drawn.h5")
        self.assertNotIn("NOTE", out)


class Planner(CliTest):
    def setUp(self):
        super().setUp()
        self.good("trace", "make", *SHAPE, "--tokens", "512", "--steps", "128", "--preset", "bursty",
                  "-o", "t.h5")

    def score(self, *words):
        out = self.good("score", "--trace", "t.h5", "--split", "0.5", "--format", "json", *words)
        judged = json.loads(out)
        return judged, {row["placement"]: row for row in judged["placements"]}

    def test_a_trace_tells_what_it_is_like_and_how_it_was_made(self):
        info = self.good("trace", "info", "t.h5")
        self.assertIn("source synthetic bursty: 128 steps", info)
        self.assertIn("zipf", info, "every parameter is named")
        self.assertRegex(info, r"drift between halves: correlation")
        self.good("trace", "make", *SHAPE, "--tokens", "512", "--steps", "128", "--preset", "bursty",
                  "--set", "zipf=0,hot_share=0", "-o", "flat.h5")
        skew = [float(re.search(r"mean: ([\d.]+)", text)[1])
                for text in (info, self.good("trace", "info", "flat.h5"))]
        self.assertGreater(skew[0], skew[1])
        refused = self.gembench("trace", "make", *SHAPE, "--set", "zip=1", "-o", "x.h5")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("zip", refused.stderr)

    def test_run_totals_are_drawn_out_into_steps(self):
        (self.folder / "totals.csv").write_text("step,layer,e0,e1,e2,e3\n0,0,400,300,200,300\n"
                                               "0,1,40,31,20,30\n")  # layers dropped tokens
        out = self.good("trace", "import", "csv", "totals.csv", *SHAPE[:2], "--layers", "2",
                        "--experts", "4", "--topk", "2", "--expand-multinomial", "--steps", "50",
                        "--tokens", "60", "-o", "drawn.h5")
        self.assertIn("steps 50  layers 2  experts 4  top-k 2  tokens a step 60", out)
        self.assertIn("multinomial", out)

    def test_profiles_and_speeds_measured_by_others(self):
        judged, rows = self.score("--profile", "builtin:l40s/gpt-oss-20b", "--ranks", "4",
                                  "--slowdown-from", "builtin:v100-sgemm", "--seed", "7", "--cost",
                                  "sum", "--strategies", "linear,eplb,vibe,flashlb,gem,gem+,relabel:eplb")
        auto, _ = self.score("--profile", "builtin:l40s/gpt-oss-20b", "--ranks", "4", "--strategies",
                             "linear")
        self.assertIn("cost model per-expert (auto: the profile holds no routed loads; even ones show "
                      "that active experts take time", auto["profile"])
        self.assertTrue(judged["held_out"])
        self.assertEqual(len(set(judged["slowdown"])), 4, "four different GPUs were drawn")
        self.assertLess(rows["gem+"]["step_mean"], rows["linear"]["step_mean"])
        for row in rows.values():
            self.assertGreaterEqual(row["gap"], 0)
            self.assertAlmostEqual(row["straggle"], row["straggle_load"] + row["straggle_speed"])
        floor, _ = self.score("--profile", "builtin:l40s/gpt-oss-20b", "--ranks", "4",
                              "--slowdown-floor", "0.5", "--slowdown", "1,1,1,2", "--cost",
                              "per-expert", "--strategies", "gem")
        self.assertIn("cost model per-expert", floor["profile"])

    def test_spare_slots_hold_replicas(self):
        _, rows = self.score("--ranks", "4", "--spare-slots", "2", "--strategies",
                             "eplb,eplb-hier,linear", "--nodes", "2")
        self.assertEqual(rows["eplb"]["duplicates"], 2 * 4 * 2)
        self.assertEqual(rows["linear"]["duplicates"], 0)
        self.assertLess(rows["eplb"]["step_mean"], rows["linear"]["step_mean"])

    def test_replicas_are_planned_and_shared_by_every_rule(self):
        means = {}
        for rule in ("even", "by-speed", "water-fill", "water-fill-blind", "lp", "lp-blind"):
            _, rows = self.score("--ranks", "4", "--spare-slots", "2", "--replicas", "5",
                                 "--variability", "high", "--token-split", rule, "--strategies",
                                 "eplb,gem,gem+")
            self.assertEqual(rows["eplb"]["duplicates"], 2 * 5)
            self.assertLessEqual(rows["gem+"]["duplicates"], 2 * 5)
            self.assertGreaterEqual(rows["gem+"]["gap"], 0)
            means[rule] = rows["eplb"]["step_mean"]
        self.assertLess(means["water-fill"], means["water-fill-blind"])
        self.assertLess(means["water-fill"], means["even"])
        self.assertLessEqual(means["lp"], means["water-fill"])
        self.assertLess(means["lp"], means["lp-blind"])

    def test_systems_that_rebalance_every_step_are_judged_with_what_they_move(self):
        at = ("--ranks", "4", "--variability", "high", "--spare-slots", "1", "--strategies",
              "linear,eplb", "--per-step", "ultraep,ultraep-speed,lplb", "--expert-bytes", "9e6",
              "--bandwidth", "1e6", "--hidden", "0.5", "--solve-us", "100")
        judged, rows = self.score(*at)
        self.assertEqual(list(rows), ["linear", "linear + ultraep", "linear + ultraep-speed", "eplb",
                                      "eplb + ultraep", "eplb + ultraep-speed", "eplb + lplb"])
        self.assertIn("weights arrive at 0.001 GB/s, 50 % of that time is hidden, planning a layer "
                      "takes 100 us", " ".join(judged["notes"]))
        for name, row in rows.items():
            self.assertEqual(row["charged_mean"] > row["step_mean"], "+" in name)
            self.assertEqual(row["fetched_experts"] > 0, "ultraep" in name)
            self.assertEqual(row["fetched_bytes"], 9e6 * row["fetched_experts"])
            charge = row["charged_mean"] - row["step_mean"] - 2 * 1e-4 * ("+" in name)
            self.assertGreaterEqual(charge + 1e-6, 0.5 * row["fetched_bytes"] / 1e6 / 4)
            self.assertLessEqual(charge - 1e-6, 0.5 * row["fetched_bytes"] / 1e6)
            self.assertGreaterEqual(row["step_mean"] * (1 + 1e-9), row["time_balance"])
            self.assertGreater(row["token_balance"], row["time_balance"])
        self.assertLess(rows["linear + ultraep"]["step_mean"], rows["linear"]["step_mean"])
        self.assertLess(rows["linear + ultraep-speed"]["step_mean"],
                        rows["linear + ultraep"]["step_mean"])

    def test_replanning_is_a_row_with_its_moves_and_draws_an_interval(self):
        at = ["--ranks", "4", "--strategies", "linear,gem", "--variability", "high"]
        moves = ["--expert-bytes", "1e3", "--replan-every"]
        judged, rows = self.score(*at, *moves, "16", "--bandwidth", "1e9", "--hidden", "0.5", "--draws",
                                  "8")
        once, policy = rows["gem"], rows["gem every 16"]
        self.assertEqual(policy["replannings"], 3)
        self.assertGreater(policy["moved_experts"], 0)
        self.assertEqual(policy["moved_bytes"], policy["moved_experts"] * 1e3)
        # All ranks receive at once: from a quarter of all moves to all of them, half hidden.
        each = policy["moving_seconds"] / (policy["moved_experts"] * 1e-6 / 2)
        self.assertGreaterEqual(each, 0.249)
        self.assertLessEqual(each, 1)
        self.assertAlmostEqual(policy["charged_mean"],
                               policy["step_mean"] + policy["moving_seconds"] / judged["steps"])
        self.assertLess(policy["charged_mean"], once["step_mean"])
        for row in (once, policy):
            self.assertLessEqual(row["draws_low"], row["draws_typical"])
            self.assertLessEqual(row["draws_typical"], row["draws_high"])
            self.assertLessEqual(row["draws_mean"], row["draws_worst"])
        self.assertNotIn("draws_low", rows["linear"])
        self.assertEqual(judged["draws"], 8)
        self.assertIn(judged["predicted_fastest"] or "no difference was found", judged["verdict"])
        _, few = self.score(*at, *moves, "16", "--max-moves", "2")
        self.assertLessEqual(few["gem every 16, 2 moves"]["moved_experts"], 3 * 2 * 2)
        with h5py.File(self.folder / "t.h5", "a") as file:
            file.attrs["requests"] = 10
        plan = ["plan", "--trace", "t.h5", "--ranks", "4", "--format", "json", "-o"]
        half = self.good(*plan, "half.json", "--plan-steps", "64")
        self.assertEqual(json.loads(half)["requests"], 5, "of the steps that were planned on")
        self.one_sentence(self.gembench(*plan, "new.json", "--plan-steps", "1", "--learning-curve"), 2,
                          "give no learning curve")
        self.assertFalse((self.folder / "new.json").exists())
        for sentence, words in (("nothing is replanned within 64 judged", [*moves, "64"]),
                                ("size of an expert of", ["--replan-every", "16"]),
                                ("more than the 5 independent requests", ["--draws", "6"]),
                                ("as many judged steps and there are 64", ["--draws", "65"]),
                                ("name at least two", ["--draws", "8", "--strategies", "gem"])):
            self.one_sentence(self.gembench("score", "--trace", "t.h5", "--split", "0.5", *at, *words),
                              2, sentence)

    def test_files_of_one_name_are_rows_of_their_own(self):
        for folder, strategy in (("a", "linear"), ("b", "gem")):
            (self.folder / folder).mkdir()
            self.good("plan", "--trace", "t.h5", "--ranks", "4", "--variability", "high", "--strategy",
                      strategy, "-o", f"{folder}/linear", "-q")
        _, rows = self.score("--ranks", "4", "--variability", "high", "--strategies", "linear", "--draws",
                             "8", "a/linear", "b/linear")
        same, other = rows["file:a/linear"], rows["file:b/linear"]
        self.assertEqual(same["draws_mean"], 0)
        self.assertLess(other["draws_mean"], 0)
        self.assertLess(other["against_first"], 0)

    def test_traffic_between_nodes_is_shown_and_planned_with(self):
        at = ("--ranks", "4", "--variability", "high", "--spare-slots", "1", "--ranks-per-node", "2",
              "--token-bytes", "1000", "--strategies", "linear,gem+")
        _, free = self.score(*at)
        _, dear = self.score(*at, "--node-cost", "1e-7")
        self.assertEqual(free["linear"], {**dear["linear"], "node_seconds": 0,
                                          "plan_seconds": free["linear"]["plan_seconds"]})
        self.assertLess(dear["gem+"]["node_bytes"], free["gem+"]["node_bytes"])
        self.assertAlmostEqual(dear["gem+"]["node_seconds"], 1e-7 * dear["gem+"]["node_bytes"])
        (self.folder / "links").write_text("0 1e-7\n1e-7 0\n")
        _, links = self.score(*at, "--node-costs", "links")
        self.assertEqual(links["gem+"]["node_bytes"], dear["gem+"]["node_bytes"])
        (self.folder / "links").write_text("0 1e-7 1e-7 0 0\n")
        refused = self.gembench("score", "--trace", "t.h5", *at, "--node-costs", "links")
        self.assertIn("5 prices of links for 2 nodes", refused.stderr)
        _, once = self.score(*at, "--dispatch", "hierarchical")
        self.assertLess(once["linear"]["node_bytes"], free["linear"]["node_bytes"])
        refused = self.gembench("score", "--trace", "t.h5", "--ranks", "4", "--ranks-per-node", "2")
        self.assertIn("--token-bytes", refused.stderr)

    def test_a_placement_is_mended_where_that_pays(self):
        self.good("plan", "--trace", "t.h5", "--ranks", "4", "--spare-slots", "1", "-o", "old.json")
        new = ("plan", "--trace", "t.h5", "--ranks", "4", "--slowdown", "1,1.3,1,1", "--from",
               "old.json", "--max-moves", "4", "--expert-bytes", "1e6", "--bandwidth")
        out = self.good(*new, "1e9", "-o", "new.json")
        self.assertRegex(out, r"# \d+ swaps save .* us a step of .* and take .* ms")
        self.assertIn("replan:gem", out)
        moved = json.loads((self.folder / "new.json").read_text())["slot_expert"]
        for before, after in zip(json.loads((self.folder / "old.json").read_text())["slot_expert"],
                                 moved):
            held = [set(rank) for rank in before]
            self.assertLessEqual(sum(e not in held[rank] and e >= 0 for rank, row in enumerate(after)
                                     for e in row), 4)
        out = self.good(*new, "1", "-o", "same.json")
        self.assertIn("# no swap pays within 1000 steps: the placement stays as it is", out)
        self.assertEqual(json.loads((self.folder / "same.json").read_text())["slot_expert"],
                         json.loads((self.folder / "old.json").read_text())["slot_expert"])
        refused = self.gembench("plan", "--trace", "t.h5", "--ranks", "4", "--from", "old.json",
                                "--max-moves", "4", "--bandwidth", "1e9", "-o", "x.json")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--expert-bytes", refused.stderr)

    def test_a_plan_can_be_exact_relabelled_compared_and_run(self):
        self.good("plan", "--trace", "t.h5", "--ranks", "4", "--strategy", "gem", "--plan-steps", "64",
                  "-o", "gem.json")
        _, rows = self.score("--ranks", "4", "--from", "gem.json", "--variability", "high",
                             "--strategies", "file:gem.json,relabel:file:gem.json,linear")
        self.assertEqual(rows["file:gem.json"]["moves"], 0)
        self.assertGreater(rows["linear"]["moves"], 0)
        out = self.good("run", *SHAPE, "--scale", "16", "--trace", "t.h5", "--steps", "8",
                        "--profile-seconds", "0", "-q", "--placements", "linear,file:gem.json",
                        "-o", "a.h5", ranks=4)
        self.assertIn("file:gem.json vs linear", out)
        refused = self.gembench("plan", "--trace", "t.h5", "--ranks", "4", "--strategy", "exact",
                                "-o", "x.json")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("16 experts", refused.stderr)

    def test_what_knowing_time_and_speed_is_worth(self):
        _, rows = self.score("--ranks", "4", "--variability", "high", "--strategies", "gem",
                             "--ablation")
        self.assertEqual(len(rows), 5)
        whole = rows["gem: per-step loads, measured speed"]
        self.assertEqual(whole["step_mean"], rows["gem"]["step_mean"])


if __name__ == "__main__":
    main()
