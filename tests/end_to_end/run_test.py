"""The main job under mpirun: what it prints, what it stores, and that it ends well or badly."""

import json

import h5py
import numpy

from support import SMALL, TOP, CliTest, main, small_but


class MainJob(CliTest):
    def test_three_placements_on_four_ranks(self):
        out = self.good("run", "--model", "qwen3-30b-a3b", "--scale", "8", "--layers", "2",
                        "--steps", "16", "--warmup", "2", "--placements", "linear,eplb,gem",
                        "--variability", "high", "--output", "a.h5", ranks=4)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        self.assertEqual(self.good("compare", "a.h5"), out, "compare prints the same of the file")
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(f["barrier_wait"].shape, (3, 16, 2, 4))
            self.assertEqual([name.decode() for name in f["placement"][:]],
                             ["linear", "eplb", "gem"])
            self.assertEqual(f.attrs["completed"], 1)
            # Every token-expert pair was computed, in every layer of every step.
            self.assertTrue((f["assignments"][:].sum(axis=3) == 1024 * 8).all())
            # Placements ran the same steps, each once, in an order of blocks that was drawn.
            self.assertEqual(sorted(f["order"][:].ravel()), list(range(48)))
            self.assertTrue((f["block"][:] == f["block"][0]).all())
            numpy.testing.assert_allclose(sorted(f["slowdown"][:]), [1, 1.08, 1.17, 1.277])
            # What the ranks computed is what the placement says of the stored loads.
            loads, slots = f["expert_tokens"][:], f["slots"][:]
            for p in range(3):
                for layer in range(2):
                    expected = loads[:, layer][:, slots[p, layer]].sum(axis=2)
                    numpy.testing.assert_array_equal(f["assignments"][p, :, layer], expected)
            self.assertGreater(f["segments/bytes_moved"][:].sum(), 0, "weights moved between ranks")

    def test_on_shared_cpus_nothing_is_said_about_communication(self):
        out = self.good("run", *SMALL, "--clock", "cpu-time", "-o", "a.h5", ranks=2)
        self.assertIn("# clock cpu-time", out)
        with h5py.File(self.folder / "a.h5") as f:
            for name in ("start_time", "start_wait", "dispatch_time", "combine_time"):
                self.assertTrue(numpy.isnan(f[name][:]).all(), name)
            arrival = f["route_time"][:] + f["expert_time"][:]
            slowest = arrival.max(axis=3, keepdims=True)
            numpy.testing.assert_allclose(f["barrier_wait"][:], slowest - arrival, atol=1e-7)
            numpy.testing.assert_allclose(f["step_time"][:, :, 0], slowest[..., 0].sum(axis=2),
                                          rtol=1e-5)

    def test_on_the_wall_clock_phases_add_up(self):
        self.good("run", *SMALL, "--clock", "wall", "-o", "a.h5", ranks=1)
        with h5py.File(self.folder / "a.h5") as f:
            parts = sum(f[name][:] for name in ("start_wait", "route_time", "dispatch_time",
                                                "expert_time", "barrier_wait", "combine_time"))
            numpy.testing.assert_allclose(parts.sum(axis=2), f["step_time"][:], rtol=0.01)

    def test_the_slow_rank_is_named(self):
        out = self.good("run", *SMALL, "--preset", "even", "--placements", "linear", "--slowdown",
                        "1,1,1,1.5", "--clock", "cpu-time", "-o", "a.h5", "--format", "csv",
                        ranks=4)
        names, row = (line.split(",") for line in out.splitlines())
        # What is printed is what the readings say; how often that is the slow rank on a busy machine
        # is for tests/bench to measure.
        with h5py.File(self.folder / "a.h5") as f:
            last = (f["route_time"][0] + f["expert_time"][0]).argmax(axis=-1)
        share = numpy.bincount(last.ravel(), minlength=4) / last.size
        self.assertEqual(int(row[names.index("straggler")]), share.argmax())
        self.assertAlmostEqual(float(row[names.index("straggler_share")]), share.max(), places=6)
        self.assertEqual(share.argmax(), 3)

    def test_the_gate_decides_once_and_every_placement_replays_it(self):
        out = self.good("run", *SMALL, "--routing", "router", "--placements", "linear,gem", "-o", "a.h5", ranks=4)
        self.assertIn("router (decided once", out)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertTrue((f["assignments"][:].sum(axis=3) == 128 * 4).all())

    def test_resident_experts_do_not_move(self):
        words = ["run", *SMALL, "--placements", "linear,round-robin", "-o", "a.h5", "--overwrite"]
        self.good(*words, ranks=2)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(len(f["segments/segment"]), 4, "two placements in two blocks")
            self.assertTrue((f["segments/experts_moved"][:] >= 0).all())
        out = self.good(*words, "--resident", ranks=2)
        self.assertIn("with all experts in memory", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        with h5py.File(self.folder / "a.h5") as f:
            later = f["segments/first_step"][:] > 0
            self.assertTrue((f["segments/experts_moved"][:][later] == -1).all())
            self.assertTrue((f["segments/experts_moved"][:][~later] >= 0).all(), "timed beforehand")

    def test_whole_steps_have_no_phases(self):
        out = self.good("run", *SMALL, "--placements", "linear,round-robin", "-o", "a.h5",
                        "--clock", "wall", "--whole-steps", "--format", "csv", ranks=2)
        names, *rows = (line.split(",") for line in out.splitlines())
        for row in rows:
            values = dict(zip(names, row))
            self.assertGreater(float(values["step_mean"]), 0)
            self.assertGreater(float(values["tokens_per_s"]), 0)
            for unknown in ("wait_mean", "wait_share", "straggler", "straggler_share", "measured",
                            "expert_flops", "dispatch_bytes_per_s"):
                self.assertEqual(values[unknown], "", unknown)
        table = self.good("compare", "a.h5")
        self.assertIn("WHOLE STEPS", table)
        self.assertNotIn("nan", table)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(f.attrs["whole_steps"], "yes")
            self.assertEqual(json.loads(f.attrs["config"])["whole-steps"], True)
            for name in ("start_time", "route_time", "barrier_wait", "layer_time"):
                self.assertTrue(numpy.isnan(f[name][:]).all(), name)
            self.assertTrue((f["assignments"][:].sum(axis=3) == 128 * 4).all())
            self.assertNotIn("gpu", f)
        refused = self.gembench("run", *SMALL, "--whole-steps", "--overwrite", "-o", "a.h5",
                                ranks=8)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("--clock wall", refused.stderr)

    def test_every_check_and_shared_experts(self):
        out = self.good("run", "--model", "deepseek-v3", "--scale", "64", "--layers", "1",
                        "--tokens", "64", "--steps", "4", "--block", "2", "--profile-seconds", "0",
                        "--plan-steps", "8", "--check", "all", "-q", "-o", "a.h5", ranks=2)
        self.assertIn("softmax + top-k", out, "what our router simplifies is said")
        self.assertEqual(out.splitlines()[-2], "# check: PASS")

    def test_a_model_from_its_config_file(self):
        folder = self.folder / "Tiny MoE"
        folder.mkdir()
        (folder / "config.json").write_text(
            '{"hidden_size": 64, "moe_intermediate_size": 32, "n_routed_experts": 8, "num_experts_per_tok": 2,'
            ' "n_shared_experts": 1, "num_hidden_layers": 3, "first_k_dense_replace": 1}')
        out = self.good("run", "--model", "./Tiny MoE", "--tokens", "32", "--steps", "8", "--profile-seconds", "0.2",
                        "--placements", "linear,gem", "--output", "a.h5", ranks=2)
        self.assertIn("tiny-moe: 2 layers x 8 experts + 1 shared, top-2, hidden 64, ffn 32", out)
        self.assertIn("# check: PASS", out)
        (folder / "config.json").write_text("{}")
        self.one_sentence(self.gembench("run", "--model", "./Tiny MoE", "--output", "b.h5", ranks=2), 2,
                          "it is no config.json of a MoE model")

    def test_layers_may_share_weights(self):
        out = self.good("run", *SMALL, "--weight-layers", "1", "-o", "a.h5", ranks=2)
        self.assertIn("layers share 1 sets of weights", out)

    def test_a_profile_of_its_own_is_planned_with(self):
        self.good("profile", *SMALL[:8], "--profile-seconds", "0", "--slowdown", "1,2",
                  "--clock", "cpu-time", "-o", "p.h5", ranks=2)
        with h5py.File(self.folder / "p.h5") as f:
            latency = f["latency"][:]
            self.assertEqual(latency.shape, (2, len(f["load_point"])))
        planned = ["run", *SMALL, "--slowdown", "1,2", "--profile", "p.h5", "-o", "a.h5", "--clock"]
        refused = self.gembench(*planned, "wall", ranks=2)
        self.assertEqual(refused.returncode, 2, "seconds of two clocks are not mixed")
        self.assertIn("pass --clock cpu-time", refused.stderr)
        out = self.good(*planned, "cpu-time", ranks=2)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")


    def test_tokens_need_not_be_alike_on_all_ranks(self):
        words = [word for word in SMALL if word not in ("--tokens", "128")]
        out = self.good("run", *words, "--tokens-per-rank", "10,0,100,18", "--check", "all", "-o",
                        "a.h5", ranks=4)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        with h5py.File(self.folder / "a.h5") as f:
            # A rank sends what its tokens choose: rank 1 has none.
            sent = f["bytes_pair"][0].sum(axis=(0, 2))
            self.assertEqual(sent[1], 0)
            self.assertGreater(sent[2], 3 * sent[3])

    def test_a_run_is_replayed_from_its_file(self):
        self.good("run", *SMALL, "--variability", "high", "-o", "a.h5", ranks=4)
        # The router too: its choice is not an option, so it must choose the same.
        self.good("run", *SMALL, "--routing", "router", "-o", "gate.h5", ranks=2)
        for name, ranks in (("a.h5", 4), ("gate.h5", 2)):
            self.good("run", "--config-from", name, "-o", "b.h5", "--overwrite", ranks=ranks)
            with h5py.File(self.folder / name) as a, h5py.File(self.folder / "b.h5") as b:
                for same in ("slots", "expert_tokens", "order", "block", "assignments", "bytes_pair",
                             "slowdown"):
                    self.assertTrue((a[same][...] == b[same][...]).all(), same)
                self.assertEqual(b.attrs["replayed_from"], name)
                self.assertEqual(a.attrs["config"], b.attrs["config"])

    def test_what_cannot_be_replayed_is_refused(self):
        self.good("run", *SMALL, "-o", "a.h5", ranks=2)
        for words, ranks, said in (
                (["--seed", "9"], 2, "cannot make the loads of that run again"),
                (["--placements", "linear"], 2, "leave out --placements"),
                ([], 1, "replays a run of 2 ranks and here are 1")):
            replayed = self.gembench("run", "-q", "--config-from", "a.h5", *words, "-o", "b.h5",
                                     ranks=ranks)
            self.one_sentence(replayed, 2, said)
        missing = self.gembench("run", "--config-from", "none.h5", "-o", "b.h5")
        self.one_sentence(missing, 2, "none.h5")

    def test_hierarchical_dispatch_crosses_to_a_node_once(self):
        def crossing(kind):
            out = self.good("run", *SMALL, "--check", "all", "--dispatch", kind,
                            "--ranks-per-node", "2", "-o", f"{kind}.h5", ranks=4)
            self.assertEqual(out.splitlines()[-2], "# check: PASS")
            self.assertIn("4 ranks on 2 nodes (as stated)", out)
            with h5py.File(self.folder / f"{kind}.h5") as f:
                self.assertEqual(list(f["topology/node"]), [0, 0, 1, 1])
                self.assertEqual(list(f["topology/local_rank"]), [0, 1, 0, 1])
                pairs = f["bytes_pair"][...]
                nodes = f["inter_node_bytes"][...].sum(axis=(1, 2, 3))
                self.assertTrue((pairs[:, :, :2, 2:].sum(axis=(1, 2, 3))
                                 + pairs[:, :, 2:, :2].sum(axis=(1, 2, 3)) == nodes).all())
                self.assertTrue((abs(f["topology/clock_offset_after"][...]
                                     - f["topology/clock_offset_before"][...])
                                 <= f["topology/clock_error_after"][...]
                                 + f["topology/clock_error_before"][...]).all(),
                                "both nodes read one clock")
                return nodes
        self.assertTrue((crossing("hierarchical") < crossing("flat")).all())

    def test_a_sweep_over_tokens_is_a_run_each_and_one_table(self):
        words = [word for word in SMALL if word not in ("--tokens", "128")]
        out = self.good("run", *words, "--placements", "linear,gem", "--tokens", "32:128:x2", "-o",
                        "a.h5", ranks=2)
        self.assertEqual(out.count("# check: PASS"), 3)
        rows = [line for line in out[out.index("# SWEEP"):].splitlines() if line[0] != "#"]
        self.assertEqual([row.split()[:2] for row in rows],
                         [[tokens, name] for tokens in ("32", "64", "128")
                          for name in ("linear", "gem")])
        for tokens in (32, 64, 128):
            with h5py.File(self.folder / f"a-{tokens}.h5") as f:
                self.assertTrue((f["expert_tokens"][:].sum(axis=2) == tokens * 4).all())

    def test_json_has_what_the_table_has_and_rates_are_those_of_the_raw_data(self):
        self.good("run", *SMALL, "--placements", "linear,gem", "--clock", "wall", "-o", "a.h5",
                  ranks=2)
        run = json.loads(self.good("compare", "a.h5", "--format", "json"))
        documented = (TOP / "harness/OUTPUT.md").read_text()
        for name in keys_of(run):
            self.assertIn(f"`{name}`", documented, "OUTPUT.md documents every key")
        with h5py.File(self.folder / "a.h5") as f:
            model = f["model"].attrs
            for p, row in enumerate(run["placements"]):
                rates, times = row["rates"], f["step_time"][p].max(axis=1)
                self.assertAlmostEqual(rates["tokens_per_s"] / (128 / times.mean()), 1, places=5)
                flop = f["assignments"][p].sum() * 6.0 * model["hidden"] * model["ffn"]
                self.assertAlmostEqual(
                    rates["expert_flops"] / (flop / f["expert_time"][p].sum()), 1, places=4)
                self.assertAlmostEqual(
                    rates["dispatch_bytes_per_s"]
                    / (f["bytes_sent"][p].sum() / f["dispatch_time"][p].sum()), 1, places=4)
                self.assertAlmostEqual(rates["active_experts"], f["active_experts"][p].mean(),
                                       places=6)
                rows = f["bytes_pair"][p].sum() / model["row_bytes"]
                self.assertAlmostEqual(rates["distinct_ranks"], rows / (128 * 8 * 2), places=6)
                self.assertTrue(1 <= rates["distinct_ranks"] <= 2)

    def test_too_few_blocks_give_no_interval_and_say_what_would(self):
        out = self.good("run", *SMALL, "--placements", "linear,gem", "-o", "a.h5", ranks=2)
        self.assertIn("(no interval: 2 blocks of the 6 needed, measure with --steps 24 or --block 1)",
                      out)
        self.assertNotIn("95 % CI", out)
        self.assertRegex(out.splitlines()[-1], r"^# too short to tell (gem and linear|linear and gem) apart: no "
                                               r"interval: 2 blocks of the 6 needed, measure with --steps 24")
        row = json.loads(self.good("compare", "a.h5", "--format", "json"))["placements"][1]
        self.assertEqual(row["difference"], {**row["difference"], "low": None, "high": None,
                                             "blocks": 2})
        names, _, gem = (line.split(",") for line in
                         self.good("compare", "a.h5", "--format", "csv").splitlines())
        self.assertEqual([gem[names.index(f"difference_{end}")] for end in ("low", "high")], ["", ""])
        out = self.good("run", *small_but(["--block", "1"]), "--placements", "linear,gem", "-o",
                        "b.h5", ranks=2)
        self.assertRegex(out, r"gem vs linear: step time .* \(95 % CI .*, 8 blocks\)")

    def test_what_was_not_measured_is_empty_and_never_nan(self):
        self.good("run", *small_but(["--block", "1"]), "--placements", "linear,eplb,gem", "-o",
                  "a.h5", ranks=2)
        # As a stop leaves it: gem has no step, eplb four.
        (self.folder / "a.h5").rename(self.folder / "a.h5.partial")
        with h5py.File(self.folder / "a.h5.partial", "r+") as f:
            f.attrs["completed"] = numpy.int64(0)
            f["block"][2, :] = -1
            f["block"][1, 4:] = -1
        out = self.good("compare", "a.h5.partial", "--format", "csv")
        names, linear, eplb, gem = (line.split(",") for line in out.splitlines())
        self.assertEqual(gem[names.index("steps")], "0")
        for name in ("step_mean", "step_p99", "step_imbalance", "predicted", "measured", "difference",
                     "difference_low", "tokens_per_s"):
            self.assertEqual(gem[names.index(name)], "", name)
            self.assertNotEqual(linear[names.index(name)], "", name) if "_low" not in name else None
        self.assertEqual(eplb[names.index("difference_low")], "")
        table = self.good("compare", "a.h5.partial")
        self.assertIn("continue the run with --resume", table)
        for text in (out, table, self.good("compare", "a.h5.partial", "--format", "json")):
            self.assertNotRegex(text, r"(?i)\b(nan|inf)\b")

    def test_the_profile_taken_again_shows_drift(self):
        self.good("run", *SMALL, "--clock", "cpu-time", "-o", "a.h5", ranks=2)
        with h5py.File(self.folder / "a.h5", "r+") as f:
            self.assertTrue((f["profile_after"][:] > 0).all())
            f["profile_after"][:] = f["profile_latency"][:] * [[1.015], [1.25]]
        out = self.good("compare", "a.h5")
        self.assertIn("# drift: after the run rank 1's experts took +25.00 %", out)
        self.assertEqual(out.count("# drift"), 1, "1.5 % is not worth a line")


def keys_of(value):
    """Names of all objects in JSON, but those of objects that map names a user gave."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    inside = (keys_of(v) for k, v in value.items() if k not in ("facts", "config", "ranks"))
    return set(value).union(*inside)


if __name__ == "__main__":
    main()
