"""Recordings as serving engines write them come in; what is in the trace is held against NumPy."""

import gzip
import json
import lzma
import os
import pathlib
import re
import resource
import unittest

import h5py
import numpy

import recorders
from recorders import Tensor
from support import TOP, CliTest, data_folder, main


def peer_fixtures():
    """Samples of other programs' formats that are not part of the project, or None."""
    folder = pathlib.Path(os.environ.get("GEMBENCH_PEER_FIXTURES",
                                         TOP.parent / "shared" / "peer_fixtures"))
    return folder if folder.is_dir() else None


def routed(*shape, experts, tokens, topk, seed=1):
    """Counts [*shape][experts] of `tokens` tokens to `topk` distinct experts each."""
    random = numpy.random.default_rng(seed)
    cells = int(numpy.prod(shape))
    chosen = numpy.argsort(random.random((cells, tokens, experts)), axis=2)[:, :, :topk]
    counts = [numpy.bincount(cell.ravel(), minlength=experts) for cell in chosen]
    return numpy.array(counts).reshape(*shape, experts)


class ImportCase(CliTest):
    def imported(self, *words, told=None):
        """Imports as t.h5 and returns its arrays and attributes by name; `told` is on stderr."""
        done = self.gembench("trace", "import", *words, "-o", "t.h5", "--overwrite")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        if told:
            self.assertIn(told, done.stderr)
        self.printed = done.stdout
        with h5py.File(self.folder / "t.h5") as file:
            return {**{name: file[name][:] for name in file}, **dict(file.attrs)}

    def refused(self, said, *words):
        done = self.gembench("trace", "import", *words, "-o", "no.h5")
        self.one_sentence_last(done, said)
        self.assertFalse(list(self.folder.glob("no.h5*")), "nothing is left behind")

    def one_sentence_last(self, done, said):
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertIn(said, done.stderr.splitlines()[-1])

    def equal(self, found, expected):
        numpy.testing.assert_array_equal(found, expected)


class Formats(ImportCase):
    def test_sglang_stat(self):
        counts = numpy.zeros((7, 6, 16), dtype=numpy.int32)
        counts[:5, 2:] = routed(5, 4, experts=16, tokens=50, topk=3)
        recorders.torch_save({"rank": 0, "logical_count": Tensor(counts, "cuda:0"),
                              "average_utilization_rate_over_window": 0.5},
                             self.folder / "stat.pt")
        trace = self.imported("auto", "stat.pt", "--topk", "3", told="is read as sglang-stat")
        self.equal(trace["tokens"], counts[:5, 2:])
        self.equal(trace["layer_id"], [2, 3, 4, 5])
        self.assertEqual(trace["model_layers"], 6)
        self.assertEqual(trace["topk"], 3)
        self.assertIn("layers in the model: 2-5 of 6", self.printed)

    def test_sglang_per_pass(self):
        mapping = numpy.array([[0, 1, 2, 3, 1, 0], [3, 2, 1, 0, 0, 3]])
        logical = numpy.zeros((3, 2, 4, 4), dtype=numpy.int64)  # rank, pass, layer, expert
        logical[:, :, 2:] = routed(3, 2, 2, experts=4, tokens=40, topk=2)
        full_map = numpy.concatenate([mapping, mapping])
        for rank in (2, 0, 1):  # replicas share the expert's tokens in some way
            physical = numpy.zeros((2, 4, 6), dtype=numpy.int32)
            for layer, row in enumerate(full_map):
                for slot, expert in enumerate(row):
                    left = logical[rank, :, layer, expert] - physical[:, layer, row == expert].sum(1)
                    last = slot == numpy.flatnonzero(row == expert)[-1]
                    physical[:, layer, slot] = left if last else left // 2
            records = [{"forward_pass_id": 5 + i, "rank": rank, "gatherer_key": "primary",
                        "global_physical_count": Tensor(physical[i], f"cuda:{rank}")}
                       for i in range(2)]
            recorders.torch_save({"records": records,
                                  "last_physical_to_logical_map": Tensor(full_map)},
                                 self.folder / f"pass_{rank}.pt")
        trace = self.imported("auto", "pass_2.pt", "pass_0.pt", "pass_1.pt", "--topk", "2",
                              told="is read as sglang-per-pass")
        self.equal(trace["source_tokens"], logical[:, :, 2:].transpose(1, 2, 0, 3))
        self.equal(trace["tokens"], logical[:, :, 2:].sum(0))
        self.assertIn("tokens by source: 3 ranks", self.printed)

    def test_sglang_json(self):
        counts = numpy.zeros((3, 4, 8), dtype=int)
        counts[:, 1:] = routed(3, 3, experts=8, tokens=20, topk=2)
        text = json.dumps({"logical_count": counts.tolist()}).encode()
        for name, content in (("a.json", text), ("b.json.gz", gzip.compress(text)),
                              ("c.json.xz", lzma.compress(text))):
            (self.folder / name).write_bytes(content)
            trace = self.imported("auto", name, "--topk", "2", told="is read as sglang-json")
            self.equal(trace["tokens"], counts[:, 1:])
        totals = json.dumps({"logical_count": counts.sum(0).astype(float).tolist()})
        (self.folder / "totals.json").write_text(totals)
        self.equal(self.imported("sglang-json", "totals.json", "--topk", "2")["tokens"],
                   counts[:, 1:].sum(0)[None])

    def test_trtllm_statistics(self):
        counts = numpy.stack([routed(12, 4, experts=8, tokens=tokens, topk=2) for tokens in (5, 9)])
        recorders.save_trtllm_statistics(counts, self.folder / "stats", topk=2)
        trace = self.imported("auto", "stats", told="is read as trtllm-statistics")
        self.equal(trace["source_tokens"], counts.transpose(1, 2, 0, 3))
        self.equal(trace["tokens"], counts.sum(0))
        self.equal(trace["layer_id"], [3, 4, 5, 6])
        self.assertIn("layers in the model: 3-6\n", self.printed)
        self.assertNotIn("model_layers", trace)
        self.refused("topk = 2 but 4 was stated", "auto", "stats", "--topk", "4")

    def test_arrays(self):
        counts = routed(4, 3, experts=8, tokens=20, topk=2)
        for dtype in ("<i4", "<i8", "<u2", "<f4", "<f8"):
            numpy.save(self.folder / "a.npy", counts.astype(dtype))
            self.equal(self.imported("auto", "a.npy", "--topk", "2")["tokens"], counts)
        numpy.save(self.folder / "a.npy", numpy.asfortranarray(counts))
        self.refused("Fortran order", "npy", "a.npy", "--topk", "2")
        recorders.torch_save(Tensor(counts.astype(float), "npu:0"), self.folder / "a.pt")
        self.equal(self.imported("auto", "a.pt", "--topk", "2", told="as ascend-pt")["tokens"],
                   counts)

    def test_totals_follow_one_another_and_traces_are_joined(self):
        counts = routed(3, 2, experts=8, tokens=20, topk=2)
        for name, one in zip("abc", counts):
            numpy.savez_compressed(self.folder / f"{name}.npz", counts=one, other=one + 1)
        self.refused("b.npz holds counts, other: name one with --array", "auto", "b.npz")
        words = ["--topk", "2", "--array", "counts"]
        trace = self.imported("auto", "b.npz", "a.npz", *words, told="2 recordings follow one another")
        self.equal(trace["tokens"], counts[[1, 0]])
        self.assertEqual(trace["source"], "b.npz, a.npz")
        self.assertIn("independent requests: not known", self.printed)
        done = self.gembench("trace", "import", "auto", "c.npz", *words, "-q", "-o", "c.h5")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.good("trace", "join", "t.h5", "c.h5", "-o", "all.h5")
        with h5py.File(self.folder / "all.h5") as file:
            self.equal(file["tokens"][:], counts[[1, 0, 2]])
            self.assertIn("joined: t.h5 (2 steps of b.npz, a.npz), c.h5", file.attrs["source"])

    def test_text(self):
        counts = routed(2, 3, experts=8, tokens=20, topk=2)
        rows = ["step,layer," + ",".join(f"e{e}" for e in range(8))]
        rows += [f"{step},{layer}," + ",".join(map(str, counts[step, layer]))
                 for layer in (2, 0, 1) for step in (1, 0)]
        (self.folder / "a.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
        self.equal(self.imported("auto", "a.csv.gz", "--topk", "2")["tokens"], counts)
        (self.folder / "omni").mkdir()
        for step, layers in enumerate(counts):
            text = "\n".join("\t".join(map(str, row)) for row in layers)
            name = f"activation_counts_recordstep_{step + 9}_rank_0.txt"
            (self.folder / "omni" / name).write_text(text + "\n")
        self.equal(self.imported("auto", "omni", "--topk", "2", told="as omni")["tokens"], counts)

    def test_what_is_left_out_and_assumed_is_said(self):
        counts = routed(5, 3, experts=8, tokens=12, topk=2)
        ring = numpy.zeros((8, 4, 8), dtype=numpy.int32)  # a dense layer, and a gap of 3 passes
        ring[[6, 7, 0, 1, 2], 1:] = counts
        recorders.torch_save({"logical_count": Tensor(ring)}, self.folder / "ring.pt")
        trace = self.imported("auto", "ring.pt", "--topk", "2", told="left out 3 steps")
        self.equal(trace["tokens"], counts)
        rows = [f"{100 + step};{layer};{expert};{counts[step, layer, expert]},0"
                for expert in range(8) for step in range(5) for layer in range(3)]
        (self.folder / "long.csv").write_bytes(
            "\r\n".join(["\ufeffstep;layer;expert;count", *rows]).encode())
        trace = self.imported("auto", "long.csv", "--topk", "2", told="add --experts if")
        self.equal(trace["tokens"], counts)
        answer = {"choices": [{"routed_experts": [[[0, 1]], [[2, 3]], [[-1, -1]], [[4, 5]]]}],
                  "usage": {"prompt_tokens": 7, "completion_tokens": 3, "took": float("nan")}}
        (self.folder / "a.sse").write_text(
            f"data: {json.dumps(answer)}\n\ndata: [DONE]\n\ndata: {{\"choi")
        trace = self.imported("auto", "a.sse", "--experts", "6", "--window", "1",
                              told="left out 1 of 4 tokens, which have no route")
        self.equal(trace["topk_ids"][:, 0, 0], [[0, 1], [2, 3], [4, 5]])
        self.equal(trace["phase"], [1, 1, 0])
        done = self.gembench("trace", "import", "auto", "a.sse", "--experts", "6", "--window", "1",
                             "-o", "t.h5", "--overwrite")
        self.assertIn("left out the last line of a.sse, which was cut off", done.stderr)
        billions = [[[3_000_000_000, 5_000_000_000, 2_000_000_000]]]
        (self.folder / "totals.json").write_text(json.dumps({"logical_count": billions}))
        trace = self.imported("auto", "totals.json", "--topk", "1", "--expand-multinomial",
                              "--steps", "300", "--tokens", "40")
        self.assertLess(abs(trace["tokens"][:, 0, 1].mean() / 40 - 0.5), 0.02)
        self.refused("a count does not fit 32 bits", "auto", "totals.json", "--topk", "1")


class Sums(ImportCase):
    def save(self, counts):
        (self.folder / "a.json").write_text(json.dumps({"logical_count": counts}))

    def test_layers_that_differ_a_little_are_scaled(self):
        self.save([[[500, 500], [505, 499]], [[300, 300], [300, 300]]])
        trace = self.imported("auto", "a.json", "--topk", "1", told="layers of 1 of 2 steps summed")
        self.equal(trace["tokens"], [[[500, 500], [503, 497]], [[300, 300], [300, 300]]])
        self.assertIn("a.json; layers of 1 of 2 steps summed differently, by 0.4 % at most",
                      trace["source"])

    def test_layers_that_differ_more_are_refused_with_the_remedies(self):
        self.save([[[10, 20], [7, 8]]])
        self.refused("a.json: step 0: layer 1 sums to 15 and layer 0 to 30, 50.0 % apart",
                     "auto", "a.json", "--topk", "1")
        self.refused("--expand-multinomial", "auto", "a.json", "--topk", "1")
        trace = self.imported("auto", "a.json", "--topk", "1", "--rescale", "0.5")
        self.equal(trace["tokens"], [[[5, 10], [7, 8]]])

    def test_totals_of_steps_are_drawn_out(self):
        self.save([[[0, 0, 0], [30, 20, 10]], [[0, 0, 0], [10, 20, 33]]])
        trace = self.imported("auto", "a.json", "--topk", "1", "--expand-multinomial", "--steps",
                              "200", "--tokens", "60")
        self.assertEqual(trace["tokens"].shape, (200, 1, 3))
        self.equal(trace["tokens"].sum(axis=2), 60)
        self.assertLess(abs(trace["tokens"][:, 0, 1].mean() / 60 - 40 / 123), 0.02)
        self.equal(trace["layer_id"], [1])
        self.assertIn("drawn as independent multinomials", trace["source"])

    def test_top_k_is_not_guessed(self):
        self.save([[[10, 20, 10, 8], [10, 8, 10, 20]]])
        self.refused("pass --topk N, or --model", "auto", "a.json")
        self.refused("pass --topk N, or --model", "auto", "a.json", "--expand-multinomial")
        self.refused("expert 1 has 20 tokens of a batch of 16", "auto", "a.json", "--topk", "3")
        self.refused("experts = 4 but 32 was stated", "auto", "a.json", "--model", "gpt-oss-20b")
        self.refused("layers = 2 but 5 was stated", "auto", "a.json", "--topk", "2", "--layers", "5")
        self.assertEqual(self.imported("auto", "a.json", "--topk", "2")["topk"], 2)


class Refusals(ImportCase):
    def test_what_is_no_recording(self):
        (self.folder / "a.txt").write_text("hello\n")
        self.refused("a.txt is not in a known recording format: name its format, "
                     "trtllm-statistics", "auto", "a.txt")
        self.refused("unknown trace format 'parquet': choose one of", "parquet", "a.txt")
        self.refused("needs a format, or auto, and files", "csv")
        self.refused("missing.pt does not exist", "auto", "missing.pt")
        for name in ("trtllm-statistics", "sglang-stat", "sglang-per-pass", "sglang-json",
                     "ascend-pt", "omni", "npy", "csv"):
            self.refused("a.txt", name, "a.txt")
            self.refused("missing", name, "missing")
            self.assertRegex(self.good("list"), rf"(?m)^  {name} ")

    def test_code_in_a_pickle_is_not_run(self):
        class Evil:
            def __reduce__(self):
                return os.system, ("touch ran",)
        recorders.torch_save({"logical_count": Evil()}, self.folder / "evil.pt")
        self.refused("evil.pt names posix system", "sglang-stat", "evil.pt")
        self.assertFalse((self.folder / "ran").exists())

    def test_a_bomb_takes_no_memory(self):
        bomb = b"{" + b" " * (1 << 28)
        (self.folder / "a.json.gz").write_bytes(gzip.compress(bomb, 9))
        self.refused("value of more than", "sglang-json", "a.json.gz")
        header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (99999999, 64, 64), }\n"
        with gzip.open(self.folder / "a.npy.gz", "wb", 9) as to:
            to.write(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
            to.write(bytes(1 << 28))
        self.refused("cut off", "npy", "a.npy.gz")


class Large(ImportCase):
    def test_memory_does_not_grow_with_the_recording(self):
        steps = numpy.ones((4700, 58, 256), dtype=numpy.uint8)  # 279 MB of counts as int32
        numpy.save(self.folder / "a.npy", steps)
        out = self.good("trace", "import", "npy", "a.npy", "--topk", "8", "-o", "t.h5")
        self.assertIn("steps 4700  layers 58  experts 256  top-k 8\n", out)
        self.assertIn("gembench trace info t.h5", out)
        self.assertNotIn("hottest", out)
        with h5py.File(self.folder / "t.h5") as file:
            self.assertEqual(file["tokens"].shape, steps.shape)
            self.assertEqual(file["tokens"][4699].min(), 1)
        kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.assertLess(kib, 200 << 10)


def skews(printed):
    """Smallest, largest and median over layers of hottest expert / mean."""
    found = re.search(r"summed over steps \(layers ([\d.]+) to ([\d.]+), median ([\d.]+)\)", printed)
    return [float(value) for value in found.groups()]


@unittest.skipUnless(data_folder(), "no recordings: set GEMBENCH_DATA to their folder")
class Recorded(ImportCase):
    def expect_skews(self, loads):
        """What is printed against NumPy, of [layer][expert] totals."""
        expected = loads.max(axis=1) / loads.mean(axis=1)
        numpy.testing.assert_allclose(
            skews(self.printed), [expected.min(), expected.max(), numpy.median(expected)],
            atol=0.006)

    def test_deepseek(self):
        medians = []
        for path in sorted((data_folder() / "deepseek_v3_r1_sglang_ep_stats").glob("*.json")):
            loads = numpy.array(json.loads(path.read_text())["logical_count"])[3:]
            trace = self.imported("auto", path, "--model", "deepseek-v3")
            self.expect_skews(loads)
            medians.append(skews(self.printed)[2])
            self.assertIn("layers in the model: 3-60 of 61", self.printed)
            numpy.testing.assert_allclose(trace["tokens"][0], loads, rtol=2e-4, atol=1)
        self.assertEqual(len(medians), 4)
        self.assertGreaterEqual(min(medians), 5.2)
        self.assertLessEqual(max(medians), 8.2)

    def test_qwen3(self):
        folder = data_folder() / "qwen3_30b_a3b_prefill_routing"
        trace = self.imported("auto", folder / "counts_w64.csv", "--model", "qwen3-30b-a3b")
        self.assertEqual(trace["tokens"].shape, (94, 48, 128))
        self.expect_skews(trace["tokens"].sum(axis=0))
        ids = numpy.fromfile(folder / "topk_ids.u8", numpy.uint8).reshape(-1, 48, 8)
        for first, last in ((0, 1960), (1960, 4010), (4010, 6090)):
            loads = numpy.array([numpy.bincount(ids[first:last, layer].ravel(), minlength=128)
                                 for layer in range(48)])
            numpy.save(self.folder / "batch.npy", loads)
            self.imported("npy", "batch.npy", "--model", "qwen3-30b-a3b")
            self.expect_skews(loads)
            self.assertGreaterEqual(skews(self.printed)[2], 5.2)
            self.assertLessEqual(skews(self.printed)[2], 7.4)

    def test_gpt_oss(self):
        path = data_folder() / "gptoss20b_decode_routing/counts_b256_shuffled.csv"
        trace = self.imported("auto", path, "--model", "gpt-oss-20b")
        self.assertEqual(trace["tokens"].shape, (400, 24, 32))
        self.expect_skews(trace["tokens"].sum(axis=0))
        least, most, _ = skews(self.printed)
        self.assertAlmostEqual(least, 1.95, delta=0.02)
        self.assertAlmostEqual(most, 3.78, delta=0.02)


@unittest.skipUnless(peer_fixtures(), "no samples: set GEMBENCH_PEER_FIXTURES to their folder")
class Peers(ImportCase):
    """Their numbers are invented: layers have different sums, so that steps are drawn from
    totals."""

    def test_all_come_in(self):
        for name, words, totals in (
                ("sglang_logical_count_3d.json", ["--topk", "1"], [[10, 20, 30, 40], [7, 7, 7, 9]]),
                ("sglang_stat.pt", ["--topk", "1"], None),
                ("sglang_per_pass_rank0.pt", ["--topk", "1"], None),
                ("trtllm_expert_statistic", [], None)):
            drawn = self.imported("auto", peer_fixtures() / name, *words, "--expand-multinomial",
                                  "--steps", "500", "--tokens", "100")
            self.assertEqual(drawn["tokens"].shape, (500, 2, 4))
            shares = drawn["tokens"].sum(axis=0) / drawn["tokens"].sum(axis=(0, 2))[:, None]
            if totals:
                expected = numpy.array(totals) / numpy.sum(totals, axis=1)[:, None]
                numpy.testing.assert_allclose(shares, expected, atol=0.01)


if __name__ == "__main__":
    main()
