"""A small job on recorded routing (GPT-OSS-20B decode), where the recordings are there."""

import unittest

import h5py
import numpy

from support import CliTest, data_folder, main

JOB = ["--model", "gpt-oss-20b", "--scale", "8", "--layers", "4", "--steps", "16", "--placements",
       "linear,round-robin,eplb,gem", "--variability", "high", "--profile-seconds", "1", "-q"]


@unittest.skipUnless(data_folder(), "no recordings: set GEMBENCH_DATA to their folder")
class Recorded(CliTest):
    def test_counts(self):
        counts = data_folder() / "gptoss20b_decode_routing/counts_b256_shuffled.csv"
        out = self.good("trace", "import", "csv", counts, "--model", "gpt-oss-20b", "-o", "t.h5")
        self.assertIn("steps 400  layers 24  experts 32  top-k 4  tokens a step 256", out)
        out = self.good("run", *JOB, "--trace", "t.h5", "-o", "a.h5", ranks=4)
        self.assertIn("counts realised exactly, co-selection synthetic", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")

    def test_ids(self):
        ids = data_folder() / "gptoss20b_decode_routing/topk_ids.sample.u8"
        out = self.good("trace", "import", "ids", ids, "--model", "gpt-oss-20b", "--tokens", "256",
                        "-o", "t.h5")
        self.assertIn("per-token ids", out)
        out = self.good("run", *JOB, "--trace", "t.h5", "-o", "a.h5", ranks=4)
        self.assertIn("per-token ids replayed", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")

    def test_from_a_recording_to_the_engine(self):
        """The README's way, on a real recording."""
        folder = data_folder() / "gptoss20b_decode_routing"
        shape = ["--model", "gpt-oss-20b", "--scale", "16"]
        out = self.good("trace", "import", "ids", folder / "topk_ids.sample.u8", *shape[:2],
                        "--requests", folder / "requests.sample.csv", "--batch", "64", "-o",
                        "recorded.h5")
        self.assertIn("steps 262  layers 24  experts 32  top-k 4  tokens a step 64", out)
        self.good("profile", *shape, "--profile-seconds", "2", "--slowdown", "1,1,1,1.3", "-o",
                  "profile.h5", ranks=4)
        self.good("plan", "--trace", "recorded.h5", "--profile", "profile.h5", "--ranks", "4",
                  "--strategy", "gem", "--plan-steps", "240", "-o", "gem.json")
        for engine, name in (("sglang", "experts.json"), ("trtllm", "experts.yaml")):
            self.good("convert", "gem.json", "--to", engine, "-o", name)
        out = self.good("run", *shape, "--trace", "recorded.h5", "--profile", "profile.h5",
                        "--slowdown", "1,1,1,1.3", "--steps", "16", "--placements",
                        "linear,file:gem.json,file:experts.json,file:experts.yaml", "-q", "-o",
                        "a.h5", ranks=4)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        with h5py.File(self.folder / "a.h5") as file:
            _, planned, sglang, trtllm = file["slots"][()]
            numpy.testing.assert_array_equal(planned, sglang)
            numpy.testing.assert_array_equal(planned, trtllm)
            # The slow rank gets less to do than the others, and less than linear gives it.
            linear, planned = file["assignments"][:2, :, :, 3].sum(axis=(1, 2))
        self.assertLess(planned, 0.95 * linear)


if __name__ == "__main__":
    main()
