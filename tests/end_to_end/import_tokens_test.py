"""Recordings of tokens become steps, and what the router decided becomes a trace."""

import base64
import collections
import csv
import json
import lzma
import os
import pathlib
import unittest

import h5py
import numpy as np

from support import TOP, CliTest, data_folder, main

LAYERS, EXPERTS, TOPK = 3, 32, 4
SHAPE = ["--layers", LAYERS, "--experts", EXPERTS, "--topk", TOPK]
SMALL_RUN = ["--model", "gpt-oss-20b", "--scale", "16", "--layers", "2", "--steps", "8", "--block",
             "4", "--profile-seconds", "0", "-q"]


def fixtures():
    """Samples of engines' files that are not part of the project, or None."""
    folder = pathlib.Path(os.environ.get("GEMBENCH_PEER_FIXTURES",
                                         TOP.parent / "shared" / "peer_fixtures"))
    return folder if folder.is_dir() else None


def made_ids(tokens, seed=1, layers=LAYERS, experts=EXPERTS):
    """[token, layer, k], distinct within a layer."""
    random = np.random.default_rng(seed)
    return np.argsort(random.random((tokens, layers, experts)), axis=2)[:, :, :TOPK].astype("u1")


def counts(ids, experts=EXPERTS):
    """[layer, expert] of tokens [token, layer, k]."""
    return np.stack([np.bincount(ids[:, layer].ravel(), minlength=experts)
                     for layer in range(ids.shape[1])])


class Importing(CliTest):
    def read(self, name):
        with h5py.File(self.folder / name) as file:
            data = {name: item[:] for name, item in file.items() if isinstance(item, h5py.Dataset)}
            return data, dict(file.attrs)

    def write(self, name, content):
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def import_it(self, *words):
        self.good("trace", "import", *words, "-o", "t.h5", "--overwrite", "-q")
        return self.read("t.h5")


class ImportTokens(Importing):
    def test_windows_of_any_width_and_compression(self):
        ids = made_ids(70)
        np.save(self.folder / "ids.npy", ids.astype("<i4"))
        expected = np.stack([counts(ids[at:at + 16]) for at in range(0, 64, 16)])
        for words in ([self.write("a.u8", ids.tobytes())],
                      [self.write("a.u8.xz", lzma.compress(ids.tobytes()))],
                      [self.write("a.u16", ids.astype("<u2").tobytes()), "--id-bytes", 2],
                      ["ids.npy"]):
            data, _ = self.import_it("ids", *words, *SHAPE, "--window", 16)
            np.testing.assert_array_equal(data["tokens"], expected)
            np.testing.assert_array_equal(data["topk_ids"].reshape(-1, LAYERS, TOPK), ids[:64])
        data, _ = self.import_it("ids", "a.u8", *SHAPE, "--tokens", 16, "--counts-only")
        np.testing.assert_array_equal(data["tokens"], expected)
        self.assertNotIn("topk_ids", data)

    def test_continuous_batching(self):
        lengths = [5, 9, 3, 12, 7, 8, 4, 10]
        starts = np.cumsum([0, *lengths])
        ids = made_ids(starts[-1])
        self.write("a.u8", ids.tobytes())
        rows = [f"{length},{'math' if i < 4 else 'code'}" for i, length in enumerate(lengths)]
        self.write("r.csv", "decode_tokens,dataset\n" + "\n".join(rows) + "\n")
        data, attributes = self.import_it("ids", "a.u8", *SHAPE, "--requests", "r.csv", "--batch", 3)
        waiting = collections.deque(range(8))
        slots = [[waiting.popleft(), lengths[i] * i // 3] for i in range(3)]
        steps, tasks, ran, full = [], [], set(), True
        while full:
            ran.update(request for request, _ in slots)
            steps.append([starts[request] + done for request, done in slots])
            tasks.append(int(sum(request >= 4 for request, _ in slots) >= 2))
            for slot in slots:
                slot[1] += 1
                if slot[1] == lengths[slot[0]]:
                    full = full and bool(waiting)
                    slot[:] = [waiting.popleft(), 0] if waiting else slot
        np.testing.assert_array_equal(data["topk_ids"], ids[steps])
        np.testing.assert_array_equal(data["task"], tasks)
        np.testing.assert_array_equal(data["phase"], np.zeros(len(steps)))
        self.assertIn("tasks from 0: math, code", attributes["source"])
        self.assertEqual(attributes["requests"], len(ran))
        self.assertIn(f"independent requests: {len(ran)}, of 2 tasks\n",
                      self.good("trace", "info", "t.h5"))

    def test_answers_of_vllm_and_sglang(self):
        ids = made_ids(9, layers=LAYERS + 1)
        ids[:, 0] = 0  # a dense layer
        npy = self.folder / "one.npy"
        np.save(npy, ids)
        vllm = {"choices": [{"routed_experts": base64.b64encode(npy.read_bytes()).decode()}],
                "usage": {"prompt_tokens": 6}}
        sglang = {"meta_info": {"prompt_tokens": 6, "routed_experts":
                                base64.b64encode(ids.astype("<i4").tobytes()).decode()}}
        expected = np.stack([counts(ids[at:at + 3, 1:]) for at in range(0, 9, 3)])
        shape = ["--layers", LAYERS + 1, "--experts", EXPERTS, "--topk", TOPK]
        for name, answer in (("v.jsonl", json.dumps(vllm)), ("s.json", json.dumps(sglang, indent=1))):
            self.write(name, answer)
            data, attributes = self.import_it("auto", name, *shape, "--window", 3)
            np.testing.assert_array_equal(data["tokens"], expected)
            np.testing.assert_array_equal(data["phase"], [1, 1, 0])
            np.testing.assert_array_equal(data["layer_id"], [1, 2, 3])
            self.assertEqual(attributes["model_layers"], LAYERS + 1)

    def arrivals(self):
        """A trace of steps of different size, and what it was made of."""
        self.write("a.u8", made_ids(64, layers=2).tobytes())
        self.write("r.csv", "decode_tokens\n" + "16\n" * 4)
        random = np.random.default_rng(3)
        at = np.cumsum(random.exponential(0.2, 60))
        prompts, answers = random.integers(1, 90, 60), random.integers(1, 30, 60)
        self.write("arrivals.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
            f"2024-05-10 00:00:{seconds:09.6f},{prompt},{answer}\n"
            for seconds, prompt, answer in zip(at, prompts, answers)))
        data, attributes = self.import_it(
            "ids", "a.u8", "--layers", 2, "--experts", EXPERTS, "--topk", TOPK, "--requests",
            "r.csv", "--arrivals", "arrivals.csv", "--step-seconds", 0.05, "--max-batch-tokens", 64)
        return data, attributes, int(prompts.sum() + (answers - 1).sum())

    def test_arrivals_mix_prefill_and_decode(self):
        data, attributes, passes = self.arrivals()
        sizes = data["tokens"][:, 0].sum(axis=1) // TOPK
        self.assertEqual(sizes.sum(), passes)
        self.assertLessEqual(sizes.max(), 64)
        self.assertGreater(len(set(sizes)), 5)
        self.assertEqual(set(data["phase"]), {0, 1, 2})
        self.assertNotIn("topk_ids", data)
        self.assertIn("synthetic", attributes["source"])
        out = self.good("trace", "info", "t.h5")
        self.assertIn(f"tokens a step {sizes.min()}-{sizes.max()}", out)
        decode = int((data["phase"] == 0).sum())
        self.assertIn(f"phases: {decode} steps of decode", out)

    def test_steps_of_different_size_run_everywhere(self):
        data, _, _ = self.arrivals()
        last = data["tokens"][-8:]
        out = self.good("run", *SMALL_RUN, "--trace", "t.h5", "--placements", "linear,gem", "-o",
                        "a.h5", ranks=2)
        self.assertIn("% of steps decode", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        np.testing.assert_array_equal(self.read("a.h5")[0]["expert_tokens"], last)
        dry = ["run", *SMALL_RUN, "--trace", "t.h5", "--dry-run"]
        self.assertIn("% of steps decode", self.good(*dry, ranks=2))
        self.assertIn("DRY RUN for 8 ranks", self.good(*dry, "--ranks", 8))
        self.assertIn("gem", self.good("score", "--trace", "t.h5", "--ranks", 4, "--split", 0.5,
                                       "--strategies", "linear,eplb,flashlb,gem,gem+"))
        self.good("plan", "--trace", "t.h5", "--ranks", 4, "--strategy", "gem", "-o", "p.json")

    def test_the_routers_decisions_are_replayed(self):
        gate = ["run", *SMALL_RUN, "--tokens", "64", "--plan-steps", "8", "--routing", "router",
                "--placements", "linear"]
        self.good(*gate, "--record", "r.h5", "-o", "gate.h5", ranks=2)
        recorded, attributes = self.read("r.h5")
        self.assertEqual(recorded["topk_ids"].shape, (16, 64, 2, 4))
        self.assertIn("router of gpt-oss-20b", attributes["source"])
        self.good("run", *SMALL_RUN, "--routing", "trace", "--trace", "r.h5", "--placements",
                  "linear", "-o", "replay.h5", ranks=2)
        measured = self.read("gate.h5")[0]["expert_tokens"]
        np.testing.assert_array_equal(measured, recorded["tokens"][8:])
        np.testing.assert_array_equal(self.read("replay.h5")[0]["expert_tokens"], measured)
        self.one_sentence(self.gembench(*gate, "--record", "r.h5", "-o", "b.h5", ranks=2), 4,
                          "r.h5 exists")
        self.one_sentence(self.gembench("run", *SMALL_RUN, "--record", "s.h5", "-o", "b.h5"), 2,
                          "add --routing router")

    def test_what_is_not_said_is_asked_for(self):
        self.write("a.u8", made_ids(64).tobytes())
        self.write("steps.csv", "step,layer,e0\n0,0,1\n")
        self.write("bad.json", '{"routed_experts": "' + "A" * 64 + '"}')
        for words, said in (
                (["ids", "a.u8", *SHAPE], "choose how to group them into steps"),
                (["ids", "a.u8", *SHAPE, "--window", 4, "--batch", 2], "exclude each other"),
                (["ids", "a.u8", *SHAPE, "--batch", 2], "too few for a batch of 2"),
                (["ids", "a.u8", *SHAPE, "--window", 65], "too few for a window of 65"),
                (["ids", "a.u8", "--window", 4], "state the model's"),
                (["ids", "none.u8", *SHAPE, "--window", 4], "does not exist"),
                (["ids", "a.u8", *SHAPE, "--window", 4, "--id-bytes", 3], "1 or 2"),
                (["ids", "a.u8", "--layers", 5, "--experts", 32, "--topk", 4, "--window", 4],
                 "ends within token"),
                (["ids", "a.u8", *SHAPE, "--batch", 1, "--shuffle", "--arrivals", "a.csv"],
                 "--shuffle is for --batch"),
                (["ids", "a.u8", *SHAPE, "--arrivals", "a.csv"], "add --step-seconds"),
                (["ids", "a.u8", *SHAPE, "--arrivals", "a.csv", "--step-seconds", 1],
                 "a.csv does not exist"),
                (["ids", "a.u8", *SHAPE, "--window", 4, "--max-steps", 2], "--max-steps is for"),
                (["ids", "a.u8", *SHAPE, "--window", 4, "--expand-multinomial"], "no totals"),
                (["csv", "steps.csv", "--topk", 1, "--window", 4], "holds steps already"),
                (["vllm-routed", "bad.json", *SHAPE, "--window", 4], "bad.json:1: its array"),
                (["sglang-routed", "bad.json", "--model", "gpt-oss-20b", "--window", 4],
                 "pass --layers (dense ones counted)")):
            with self.subTest(words=words):
                done = self.gembench("trace", "import", *words, "-o", "x.h5", "-q")
                self.one_sentence(done, 2, said)
                self.assertFalse((self.folder / "x.h5").exists())


@unittest.skipUnless(data_folder(), "no recordings: set GEMBENCH_DATA to their folder")
class RecordedTokens(Importing):
    def setUp(self):
        super().setUp()
        self.gpt_oss = data_folder() / "gptoss20b_decode_routing"

    def reference(self, path, experts):
        rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64)
        return rows[:, 2:].reshape(-1, int(rows[:, 1].max()) + 1, experts)

    def test_windows_of_qwen3_are_the_ready_counts(self):
        # Windows stay within a batch, and its shorter last one is left out: so were these made.
        folder = data_folder() / "qwen3_30b_a3b_prefill_routing"
        data, _ = self.import_it("ids", folder / "topk_ids.u8", "--model", "qwen3-30b-a3b",
                                 "--requests", folder / "batches.csv", "--window", 64)
        np.testing.assert_array_equal(data["tokens"],
                                      self.reference(folder / "counts_w64.csv", 128))

    def test_batches_of_gpt_oss_are_like_the_ready_counts(self):
        # Those hold twice as many requests, in another order; the sample is drawn from all of them.
        data, _ = self.import_it("ids", self.gpt_oss / "topk_ids.sample.u8", "--model",
                                 "gpt-oss-20b", "--requests", self.gpt_oss / "requests.sample.csv",
                                 "--batch", 96, "--shuffle")
        ours = data["tokens"].mean(axis=0)
        theirs = self.reference(self.gpt_oss / "counts_b256_shuffled.csv", 32).mean(axis=0)
        for layer in range(24):
            self.assertGreater(np.corrcoef(ours[layer], theirs[layer])[0, 1], 0.96)
        hottest = [load.max(axis=1) / load.mean(axis=1) for load in (ours, theirs)]
        np.testing.assert_allclose(*hottest, rtol=0.2)

    def test_batches_of_256(self):
        # The first half of the tokens: 333 of 703 requests lie in it.
        words = ["ids", self.gpt_oss / "topk_ids.part0.u8.xz", "--model", "gpt-oss-20b",
                 "--requests", self.gpt_oss / "requests.csv"]
        data, attributes = self.import_it(*words, "--batch", 256, "--shuffle")
        self.assertEqual(data["topk_ids"].shape[1:], (256, 24, 4))
        self.assertIn("(333 of 703; the others are not in it)", attributes["source"])
        load = data["tokens"].mean(axis=0)
        hottest = load.max(axis=1) / load.mean(axis=1)
        self.assertGreater(hottest.min(), 1.9)
        self.assertLess(hottest.max(), 3.8)

    def test_azure_arrivals(self):
        arrivals = data_folder() / "llm_request_traces/AzureLLMInferenceTrace_conv.csv"
        data, _ = self.import_it("ids", self.gpt_oss / "topk_ids.sample.u8", "--model",
                                 "gpt-oss-20b", "--requests", self.gpt_oss / "requests.sample.csv",
                                 "--arrivals", arrivals, "--step-seconds", 0.03, "--max-steps",
                                 2000)
        sizes = data["tokens"][:, 0].sum(axis=1) // 4
        self.assertEqual(len(sizes), 2000)
        self.assertEqual(set(data["phase"]), {0, 1, 2})
        with open(arrivals, encoding="utf-8") as file:
            first = next(csv.DictReader(file))
        self.assertEqual(sizes[0], int(first["ContextTokens"]))
        self.assertEqual(data["phase"][0], 1)


@unittest.skipUnless(fixtures(), "no samples: set GEMBENCH_PEER_FIXTURES to their folder")
class Samples(Importing):
    def test_trtllm_calibration(self):
        data, attributes = self.import_it("auto", fixtures() / "trtllm_calibration_data.json")
        np.testing.assert_array_equal(data["tokens"], [[[4, 4, 2, 2], [2, 2, 4, 4]]] * 2)
        np.testing.assert_array_equal(data["source_tokens"],
                                      [[[[2, 2, 1, 1]] * 2, [[1, 1, 2, 2]] * 2]] * 2)
        np.testing.assert_array_equal(data["layer_id"], [3, 4])
        self.assertEqual(attributes["topk"], 2)

    def test_vllm_load_stats(self):
        # Its layers differ by a quarter: accepted only if that is allowed, then scaled to the same
        # sum.
        stats = fixtures() / "vllm_pr41141_stats.jsonl"
        done = self.gembench("trace", "import", "auto", stats, "--topk", 1, "-o", "t.h5", "-q")
        self.one_sentence(done, 2, "layer 1 sums to 14 and layer 0 to 19")
        data, _ = self.import_it("auto", stats, "--topk", 1, "--rescale", 0.5)
        np.testing.assert_array_equal(data["tokens"][:, 1], [[2, 8, 1, 3]] * 3)
        np.testing.assert_array_equal(data["tokens"].sum(axis=2), [[14, 14]] * 3)


if __name__ == "__main__":
    main()
