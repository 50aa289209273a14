"""Placements through every format of the serving engines and back, as a user would."""

import json

import numpy

from support import CliTest, main

MODEL = ["--model", "deepseek-v3"]  # 3 dense layers, then 58 with 256 experts
RANKS = ["--ranks", "32"]
FORMATS = ["sglang", "trtllm", "vllm-ascend", "vllm-map", "vllm-jsonl", "omni"]


class ConvertTest(CliTest):
    def refused(self, said, *words):
        self.one_sentence(self.gembench(*words), 2, said)

    def text(self, name):
        return (self.folder / name).read_text()

    def scores(self, *files):
        out = self.good("score", "--trace", "t.h5", *RANKS, "--variability", "high", "--format",
                        "json", *files)
        return [row["step_mean"] for row in json.loads(out)["placements"]]


class Convert(ConvertTest):
    def setUp(self):
        super().setUp()
        self.good("trace", "make", *MODEL, "--tokens", "128", "--steps", "8", "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", *RANKS, "--strategy", "eplb", "--spare-slots", "1",
                  "-o", "p.json")

    def test_every_format_and_back(self):
        for name in FORMATS:
            with self.subTest(name):
                out = self.good("convert", "p.json", *MODEL, "--to", name, "-o", name)
                self.assertIn(f"# {name}: {name}; 58 layers, 32 ranks with 9 slots, 256 experts", out)
                self.assertIn("# layers 0-2 of the model have no experts placed: treated as dense", out)
                self.assertIn("# use: ", out)
                self.good("convert", name, *MODEL, *RANKS, "--to", "gembench", "-o", f"{name}.json")
                # Once more, with the ends of the chain equal byte by byte.
                self.good("convert", f"{name}.json", "--to", name, "-o", f"{name}.again")
                self.assertEqual((self.folder / name).read_bytes(),
                                 (self.folder / f"{name}.again").read_bytes())
                back = json.loads(self.text(f"{name}.json"))
                self.assertEqual(back["layer_ids"], list(range(3, 61)))
                self.assertEqual(back["model_layers"], 61)
        scores = self.scores("p.json", *[f"{name}.json" for name in FORMATS],
                             *[name for name in FORMATS if name != "sglang"])
        self.assertEqual(len(scores), 2 * len(FORMATS))
        self.assertEqual(set(scores), {scores[0]})

    def test_what_engines_will_read(self):
        slots = numpy.array(json.loads(self.text("p.json"))["slot_expert"]).reshape(58, 288)
        for name in FORMATS:
            self.good("convert", "p.json", *MODEL, "--to", name, "-o", name)
        sglang = json.loads(self.text("sglang"))
        self.assertEqual(list(sglang), ["physical_to_logical_map"])
        rows = numpy.array(sglang["physical_to_logical_map"])
        self.assertEqual(rows.shape, (61, 288))
        self.assertTrue((rows[3:] == slots).all())
        self.assertTrue((rows[:3] == numpy.arange(288) % 256).all())
        trtllm = self.text("trtllm").splitlines()
        self.assertEqual([line.split(":")[0].strip() for line in trtllm],
                         ["initial_global_assignments", *map(str, range(3, 61)),
                          "layer_updates_per_iter", "num_slots"])
        self.assertEqual(trtllm[-1], "num_slots: 288")
        self.assertTrue((numpy.array(json.loads(self.text("vllm-map"))) == slots).all())
        jsonl = json.loads(self.text("vllm-jsonl"))
        self.assertEqual(jsonl["initial_global_assignments"]["57"], slots[57].tolist())
        ascend = json.loads(self.text("vllm-ascend"))
        self.assertEqual(ascend["layer_list"][5]["device_list"][7]["device_expert"],
                         slots[5, 63:72].tolist())
        pattern = numpy.load(self.folder / "omni")
        self.assertEqual((pattern.dtype, pattern.shape), (numpy.int32, (32, 58, 256)))
        self.assertEqual(pattern.sum(), slots.size)
        self.assertTrue(all(pattern[s // 9, 4, e] for s, e in enumerate(slots[4])))

    def test_int64_patterns_come_in(self):
        self.good("convert", "p.json", "--to", "omni", "-o", "p.npy")
        numpy.save(self.folder / "wide.npy", numpy.load(self.folder / "p.npy").astype(numpy.int64))
        first, second = self.scores("p.npy", "wide.npy")
        self.assertEqual(first, second)

    def test_a_plan_in_force_in_an_engine_s_format(self):
        self.good("convert", "p.json", "--to", "vllm-map", "-o", "now.json")
        out = self.good("score", "--trace", "t.h5", *RANKS, "--from", "now.json", "--format", "json",
                        "--strategies", "file:now.json,linear")
        moves = {row["placement"]: row["moves"] for row in json.loads(out)["placements"]}
        self.assertEqual(moves["file:now.json"], 0)
        self.assertGreater(moves["linear"], 0)

    def test_it_runs(self):
        shape = ["--model", "gpt-oss-20b", "--layers", "2"]
        self.good("trace", "make", *shape, "--tokens", "64", "--steps", "24", "-o", "small.h5")
        self.good("plan", "--trace", "small.h5", "--ranks", "2", "--strategy", "random", "-o", "r.json")
        self.good("convert", "r.json", "--to", "trtllm", "-o", "r.yaml")
        out = self.good("run", *shape, "--scale", "16", "--trace", "small.h5", "--steps", "8",
                        "--block", "4", "--profile-seconds", "0", "-q", "--placements",
                        "linear,file:r.yaml", "-o", "a.h5", ranks=2)
        self.assertIn("file:r.yaml vs linear", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")

    def test_traffic_for_benchmarks(self):
        words = ["convert", "p.json", "--trace", "t.h5", "--layer", "4"]
        out = self.good(*words, "--to", "nccl-alltoallv", "--token-bytes", "14336", "-o", "m.txt")
        self.assertIn("layer 4, mean of 8 steps", out)
        self.assertIn("as if the experts of a token were independent", out)
        matrix = numpy.loadtxt(self.folder / "m.txt")
        self.assertEqual(matrix.shape, (32, 32))
        self.assertTrue((matrix % 16 == 0).all() and (numpy.diag(matrix) == 0).all())
        # A token goes to 8 ranks at most, and the 31 others of 32 are sent to.
        self.assertLess(matrix.sum(), 128 * 8 * 14336)
        self.assertGreater(matrix.sum(), 128 * 4 * 14336)
        self.good(*words, "--to", "bench-moe", "--step", "2", "-o", "b.json")
        pattern = json.loads(self.text("b.json"))
        self.assertEqual((pattern["ep_size"], pattern["experts_per_rank"]), (32, 9))
        sent = numpy.array(pattern["slot_dispatch_matrix"])
        self.assertTrue((sent.sum(axis=1) == 128 // 32 * 8).all())
        self.assertEqual(sent.sum(axis=0).tolist(),
                         numpy.array(pattern["expert_histogram"]).sum(axis=1).tolist())
        self.refused("--trace FILE and --layer L", "convert", "p.json", "--to", "bench-moe", "-o", "c")
        self.refused("--step N", *words, "--to", "bench-moe", "-o", "c")
        self.refused("--token-bytes", *words, "--to", "nccl-alltoallv", "-o", "c")
        self.assertFalse((self.folder / "c").exists())

    def test_refusals(self):
        self.good("plan", "--trace", "t.h5", *RANKS, "--strategy", "linear", "-o", "even.json")
        spare = json.loads(self.text("even.json"))
        spare["slots"] = 9
        spare["slot_expert"] = [[rank + [-1] for rank in layer] for layer in spare["slot_expert"]]
        (self.folder / "spare.json").write_text(json.dumps(spare))
        self.good("convert", "p.json", *MODEL, "--to", "sglang", "-o", "s.json")
        (self.folder / "twice.json").write_text("[[0, 0, 1, 2]]")
        (self.folder / "zeros").write_bytes(bytes(1 << 20))
        out = ["-o", "out"]
        for name in [*FORMATS, "vllm-rank-map"]:
            self.refused("spare.json: layer 0: rank 0 has 1 of its 9 slots empty", "convert",
                         "spare.json", "--to", name, *out)
        self.refused("plan with --replicas 32, which fill them all", "convert", "spare.json",
                     "--to", "sglang", *out)
        self.refused("no replicas and this placement has 32", "convert", "p.json", "--to",
                     "vllm-rank-map", *out)
        self.refused("no placement format 'yaml'; choose one of", "convert", "p.json", "--to", "yaml",
                     *out)
        self.refused("--to FORMAT", "convert", "p.json", *out)
        self.refused("needs --output", "convert", "p.json", "--to", "sglang")
        self.refused("takes one file", "convert", "--to", "sglang", *out)
        self.refused("none does not exist", "convert", "none", "--to", "sglang", *out)
        self.refused("zeros: it is no placement in any of", "convert", "zeros", "--to", "sglang", *out)
        self.refused("add --ranks N", "convert", "s.json", "--to", "trtllm", *out)
        self.refused("do not divide over 7 ranks", "convert", "s.json", "--ranks", "7", "--to",
                     "trtllm", *out)
        self.refused("p.json has 32 ranks: correct --ranks", "convert", "p.json", "--ranks", "16",
                     "--to", "trtllm", *out)
        self.refused("do not fit --first-layer", "convert", "p.json", "--first-layer", "4",
                     "--model-layers", "61", "--to", "trtllm", *out)
        self.good("trace", "make", *MODEL, "--layers", "2", "--tokens", "64", "--steps", "4", "-o",
                  "two.h5")
        self.good("plan", "--trace", "two.h5", *RANKS, "--strategy", "linear", "-o", "two.json")
        self.refused("two.json: 2 layers are placed but deepseek-v3 has 58", "convert", "two.json",
                     *MODEL, "--to", "trtllm", *out)
        self.refused("two.json: it places 256 experts of 2 layers", "convert", "two.json", "--trace",
                     "t.h5", "--to", "bench-moe", "--layer", "0", "--step", "0", *out)
        self.refused("s.json: it places 256 experts of 61 layers", "score", "--trace", "t.h5",
                     *RANKS, "s.json")
        self.assertFalse((self.folder / "out").exists())
        done = self.gembench("convert", "p.json", "--to", "trtllm", "-o", "s.json")
        self.one_sentence(done, 4, "s.json exists")
        self.good("convert", "p.json", "--to", "trtllm", "-o", "s.json", "--overwrite")
        # An expert twice on a rank stays there, and that is said.
        done = self.gembench("convert", "twice.json", "--ranks", "2", "--to", "gembench", *out)
        self.assertEqual(done.returncode, 0)
        self.assertIn("1 slots of twice.json repeat an expert of their rank",
                      done.stderr)
        self.assertEqual(json.loads(self.text("out"))["slot_expert"], [[[0, 0], [1, 2]]])


if __name__ == "__main__":
    main()
