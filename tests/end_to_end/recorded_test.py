"""A small job on recorded routing (GPT-OSS-20B decode), where the recordings are there."""

import unittest

from support import CliTest, data_folder, main

JOB = ["--model", "gpt-oss-20b", "--scale", "8", "--layers", "4", "--steps", "16", "--placements",
       "linear,round-robin,eplb,gem", "--variability", "high", "--profile-seconds", "1", "-q"]


@unittest.skipUnless(data_folder(), "no recordings: set GEMBENCH_DATA to their folder")
class Recorded(CliTest):
    def test_counts(self):
        counts = data_folder() / "gptoss20b_decode_routing/counts_b256_shuffled.csv"
        out = self.good("trace", "import", "csv", counts, "--model", "gpt-oss-20b", "-o", "t.h5")
        self.assertIn("steps 400  layers 24  experts 32  top-k 4  tokens a step 256", out)
        out = self.good("run", *JOB, "--trace", "t.h5", "-o", "a.h5", ranks=4, timeout=300)
        self.assertIn("counts realised exactly, co-selection synthetic", out)
        self.assertEqual(out.splitlines()[-1], "# check: PASS")

    def test_ids(self):
        ids = data_folder() / "gptoss20b_decode_routing/topk_ids.sample.u8"
        out = self.good("trace", "import", "ids", ids, "--model", "gpt-oss-20b", "--tokens", "256",
                        "-o", "t.h5")
        self.assertIn("per-token ids", out)
        out = self.good("run", *JOB, "--trace", "t.h5", "-o", "a.h5", ranks=4, timeout=300)
        self.assertIn("per-token ids replayed", out)
        self.assertEqual(out.splitlines()[-1], "# check: PASS")


if __name__ == "__main__":
    main()
