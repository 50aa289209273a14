"""Everything that needs no MPI: traces, plans and scores."""

import json

import numpy

from support import CliTest, main

SHAPE = ["--model", "gpt-oss-20b", "--layers", "2"]


class Offline(CliTest):
    def make_trace(self):
        self.good("trace", "make", *SHAPE, "--tokens", "256", "--steps", "64", "-o", "t.h5")

    def test_a_trace_is_made_planned_on_and_judged(self):
        self.make_trace()
        self.good("plan", "--trace", "t.h5", "--ranks", "4", "--strategy", "gem", "--variability",
                  "high", "--plan-steps", "32", "-o", "gem.json")
        placement = json.loads((self.folder / "gem.json").read_text())
        self.assertEqual(placement["schema"], "gembench-placement")
        slots = numpy.array(placement["slot_expert"])
        self.assertEqual(slots.shape, (2, 4, 8))
        self.assertTrue((numpy.sort(slots.reshape(2, 32)) == numpy.arange(32)).all())

        out = self.good("score", "--trace", "t.h5", "--ranks", "4", "--strategies", "linear,eplb,gem",
                        "--variability", "high", "--plan-steps", "32", "--format", "json", "gem.json")
        judged = json.loads(out)
        self.assertTrue(judged["held_out"])
        means = {row["placement"]: row["step_mean"] for row in judged["placements"]}
        self.assertEqual(means["gem"], means["gem.json"], "same inputs and seed, same placement")
        self.assertLess(means["gem"], means["linear"])
        self.assertTrue(all(row["gap"] >= 0 for row in judged["placements"]))

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
        self.assertEqual(out.splitlines()[-1], "# check: PASS")


if __name__ == "__main__":
    main()
