"""Ranks that do not divide the experts, slots and replicas: `plan`, `score`, `convert`, `run` and both
of its dry runs accept the same and refuse the same, in the same words."""

import json

import h5py
import numpy

from support import CliTest, main

TINY = ["--model", "gpt-oss-20b", "--scale", "16", "--layers", "2", "--tokens", "96", "--steps", "4",
        "--block", "2", "--profile-seconds", "0", "--plan-steps", "16"]
# Formats that need the same number of experts on every rank, and support replicas.
FULL = ["sglang", "trtllm", "vllm-map", "vllm-jsonl", "vllm-ascend", "omni"]
ALL = "linear,round-robin,random,eplb,vibe,flashlb,gem,gem+,exact,relabel:eplb"

# experts, ranks, strategies, options; what is refused says so.
SHAPES = [
    (8, 3, ALL, [], None),
    (8, 5, ALL, [], None),
    (8, 3, ALL, ["--replicas", "1"], None),
    (8, 5, ALL, ["--replicas", "2", "--token-split", "water-fill"], None),
    (8, 5, ALL, ["--spare-slots", "1"], None),
    (8, 5, "eplb,gem+", ["--spare-slots", "2", "--replicas", "3"], None),
    (4, 5, "linear,eplb,gem", ["--replicas", "1"], None),
    (4, 5, "linear,eplb", ["--spare-slots", "1"], None),
    (6, 4, "linear,eplb-hier", ["--replicas", "2"], None),
    (8, 3, "linear,gem+", ["--ranks-per-node", "2", "--node-cost", "1e-9"], None),
    (4, 5, "linear,gem", [], "use at most 4 ranks, or add --replicas 1"),
    (8, 3, "eplb", ["--spare-slots", "1", "--replicas", "5"], "5 replicas per layer do not fit"),
    (8, 3, "eplb", ["--spare-slots", "6"], "9 slots per rank are more than the 8 experts"),
    (8, 3, "gem", ["--replicas", "17"], "9 slots per rank are more than the 8 experts"),
    (20, 3, "exact", [], "limited to 16 experts"),
    (8, 3, "vibe", ["--replicas", "1"], "vibe takes no --replicas"),
    (8, 3, "gem", ["--ranks-per-node", "2", "--node-cost", "1e-9"], "gem takes no --node-cost"),
    (8, 3, "gem+", ["--ranks-per-node", "3", "--node-cost", "1e-9"], "all ranks are on one"),
    (8, 3, "linear,best", [], "no strategy 'best'"),
    (8, 3, "gem", ["--slowdown", "1,2"], "--slowdown has 2 values for 3 ranks"),
]
# Of the running layer alone: both dry runs look at these too.
RUNS = [
    (8, 3, ["--tokens-per-rank", "32,0,64"], None),
    (8, 3, ["--tokens-per-rank", "32,64"], "--tokens-per-rank has 2 values for 3 ranks"),
    (8, 3, ["--tokens", "32:128:x2"], None),
    (8, 3, ["--placements", "gem,oracle:gem,adapt:gem", "--drift", "task@2"], None),
    (8, 3, ["--drift", "task@x"], "'x' is not a count"),
    (8, 3, ["--drift", "odd@2"], "slow@STEP"),
    (8, 3, ["--placements", "linear,file:absent.json"], "absent.json does not exist"),
]


class Shapes(CliTest):
    def judge(self, said, *words, ranks=None):
        done = self.gembench(*words, ranks=ranks)
        if said:
            self.one_sentence(done, 2, said)
        else:
            self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def judge_runs(self, said, words, ranks, dry=True):
        """As it looks ahead, dry on its ranks, and for real."""
        self.judge(said, "run", *words, "-q", "--dry-run", "--ranks", ranks)
        if dry:
            self.judge(said, "run", *words, "-q", "--dry-run", ranks=ranks)
        return self.judge(said, "run", *words, "-q", "--check", "all", "-o", "a.h5", "--overwrite",
                          ranks=ranks)

    def test_all_commands_accept_and_refuse_the_same(self):
        for i, (experts, ranks, strategies, options, said) in enumerate(SHAPES):
            with self.subTest(experts=experts, ranks=ranks, strategies=strategies, options=options):
                model = ["--experts", experts, "--topk", "2"]
                self.good("trace", "make", *TINY[:2], *TINY[4:10], *model, "-o", "t.h5",
                          "--overwrite")
                nodes = ["--token-bytes", "64"] if "--ranks-per-node" in options else []
                if strategies == "linear,eplb-hier":
                    nodes = ["--nodes", "2"]  # as --ranks-per-node of run
                at = ["--trace", "t.h5", "--ranks", ranks, *options, *nodes]
                self.judge(said, "score", *at, "--strategies", strategies)
                for name in strategies.split(",") if said is None else strategies.split(",")[-1:]:
                    # Alone a strategy may use fewer options than together with others.
                    alone = [] if said is None and self.takes_less(name) else options
                    at = ["--trace", "t.h5", "--ranks", ranks, *alone, *(nodes if alone else [])]
                    if self.needs_replicas(experts, ranks, alone) and said is None:
                        continue
                    self.judge(said, "plan", *at, "--strategy", name, "-o", "p.json", "--overwrite")
                    if said is None:
                        self.good("convert", "p.json", "--to", "gembench", "-o", "q.json",
                                  "--overwrite")
                run = [option for option in options if option != "--token-bytes"]
                if strategies == "linear,eplb-hier":
                    run += ["--ranks-per-node", "2"]
                # A dry run on its ranks is a run that ends early: some of them will do.
                out = self.judge_runs(said, [*TINY, *model, *run, "--placements", strategies], ranks,
                                      dry=i % 4 == 0)
                if said is None:
                    self.assertEqual(out.splitlines()[-2], "# check: PASS")
        self.assertFalse(list(self.folder.glob("*.partial")))

    @staticmethod
    def takes_less(name):
        return name.split(":")[0] not in ("eplb", "eplb-hier", "flashlb", "gem", "gem+",
                                          "relabel")

    @staticmethod
    def needs_replicas(experts, ranks, options):
        return ranks > experts and "--replicas" not in options

    def test_both_dry_runs_look_at_what_only_a_run_has(self):
        for experts, ranks, options, said in RUNS:
            with self.subTest(options=options):
                words = [*TINY, "--experts", experts, "--topk", "2"]
                if "--tokens" in options or "--tokens-per-rank" in options:
                    del words[words.index("--tokens"):words.index("--tokens") + 2]
                placements = [] if "--placements" in options else ["--placements", "linear,gem"]
                self.judge_runs(said, [*words, *options, *placements], ranks, dry=said is None)

    def test_a_sweep_looks_ahead_at_each_of_its_tokens(self):
        out = self.good("run", *TINY[:6], "--tokens", "64:256:x2", "--steps", "4", "--plan-steps",
                        "16", "--dry-run", "--ranks", "6")
        self.assertEqual([f"{tokens} tokens a step" in out for tokens in (64, 128, 256, 512)],
                         [True, True, True, False])

    def test_a_price_of_bytes_is_planned_with_when_looking_ahead(self):
        words = ["run", *TINY[:6], "--tokens", "256", "--steps", "8", "--plan-steps", "16",
                 "--dry-run", "--ranks", "6", "--ranks-per-node", "2", "--placements", "gem+",
                 "--format", "json"]
        free, dear = (json.loads(self.good(*words, *more))["placements"][0]["predicted"]
                      for more in ([], ["--node-cost", "1e-6"]))
        self.assertGreater(dear, free, "time is given up for bytes")

    def test_a_file_with_more_slots_runs_as_it_is_scored(self):
        """288 slots on 36 ranks, made smaller: 12 on 4 for 8 experts."""
        self.good("trace", "make", *TINY[:2], *TINY[4:8], "--steps", "24", "--experts", "8",
                  "--topk", "2", "-o", "t.h5")
        (self.folder / "wide.yaml").write_text(
            "num_slots: 12\ninitial_global_assignments:\n"
            "  0: [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]\n"
            "  1: [7, 6, 5, 4, 3, 2, 1, 0, 7, 6, 5, 4]\n")
        score = self.good("score", "--trace", "t.h5", "--ranks", "4", "wide.yaml", "--strategies",
                          "linear", "--format", "json")
        self.assertEqual([row["duplicates"] for row in json.loads(score)["placements"]], [0, 8])
        words = [*TINY[:6], *TINY[8:14], "--experts", "8", "--topk", "2", "--trace", "t.h5",
                 "--placements", "linear,file:wide.yaml"]
        self.judge_runs(None, words, 4)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(f["slots"].shape, (2, 2, 4, 3))
            self.assertEqual((f["slots"][1] >= 0).sum(), 24)


class Deployments(CliTest):
    def setUp(self):
        super().setUp()
        self.good("trace", "make", "--model", "deepseek-v3", "--layers", "1", "--tokens", "256",
                  "--steps", "8", "-o", "t.h5")

    def test_as_deepseek_is_deployed(self):
        """256 experts on 24 to 320 ranks: planned, compared with linear, exported and read back."""
        for ranks, replicas, slots in ((24, 8, 11), (36, 32, 8), (72, 32, 4), (144, 32, 2),
                                       (320, 64, 1)):
            at = ["--trace", "t.h5", "--ranks", ranks]
            for name in ("eplb", "flashlb", "gem", "gem+"):
                with self.subTest(ranks=ranks, name=name):
                    self.good("plan", *at, "--replicas", replicas, "--strategy", name, "-o",
                              "p.json", "--overwrite")
                    held = numpy.array(json.loads((self.folder / "p.json").read_text())
                                       ["slot_expert"])
                    self.assertEqual(held.shape, (1, ranks, slots))
                    self.assertTrue((held >= 0).all(), "every slot is filled")
                    self.assertEqual(len(numpy.unique(held)), 256)
                    for to in FULL:
                        self.good("convert", "p.json", "--to", to, "-o", to, "--overwrite")
                        self.good("convert", to, "--to", "gembench", "--ranks", ranks, "--experts",
                                  "256", "-o", "back.json", "--overwrite")
                        back = numpy.array(json.loads((self.folder / "back.json").read_text())
                                           ["slot_expert"])
                        self.assertTrue((numpy.sort(back, axis=2) == numpy.sort(held, axis=2)).all())
            judged = json.loads(self.good("score", *at, "--replicas", replicas, "--strategies",
                                          "linear,eplb", "trtllm", "--format", "json"))
            self.assertEqual([row["duplicates"] for row in judged["placements"]],
                             [0, replicas, replicas])
            # Without options that the file contains: compared with linear, and rebalanced.
            self.good("score", *at, "trtllm", "--strategies", "linear")
            self.good("plan", *at, "--from", "trtllm", "--max-moves", "2", "-o", "m.json",
                      "--overwrite")
            self.good("run", "--model", "deepseek-v3", "--layers", "1", "--steps", "2", "--tokens",
                      "256", "--plan-steps", "4", "--placements", "linear,file:trtllm", "--dry-run",
                      "--ranks", ranks)
            ahead = json.loads(self.good("run", "--model", "deepseek-v3", "--layers", "1", "--steps",
                                         "4", "--tokens", "256", "--plan-steps", "8", "--placements",
                                         "linear,eplb,gem", "--replicas", replicas, "--dry-run",
                                         "--ranks", ranks, "--format", "json"))
            self.assertEqual(ahead["ranks"], ranks)
            self.assertEqual([row["duplicates"] for row in ahead["placements"]],
                             [0, replicas, replicas])

    def test_without_redundant_experts_the_first_ranks_hold_one_more(self):
        self.good("trace", "make", "--model", "qwen3-30b-a3b", "--layers", "1", "--tokens", "64",
                  "--steps", "4", "-o", "q.h5")
        for trace, ranks, counts in (("q.h5", 6, [22] * 2 + [21] * 4),
                                     ("t.h5", 36, [8] * 4 + [7] * 32)):
            self.good("plan", "--trace", trace, "--ranks", ranks, "--strategy", "linear", "-o",
                      "p.json", "--overwrite")
            held = numpy.array(json.loads((self.folder / "p.json").read_text())["slot_expert"])
            self.assertEqual((held[0] >= 0).sum(axis=1).tolist(), counts)
            self.one_sentence(self.gembench("convert", "p.json", "--to", "sglang", "-o", "x"), 2,
                              f"plan with --replicas {ranks * max(counts) - sum(counts)}")


if __name__ == "__main__":
    main()
