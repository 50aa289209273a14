"""On the wall clock a slow rank is named too. Needs a quiet machine with a CPU for each of two
ranks, so it is in the slow tier."""

import os
import unittest

from support import CliTest, main


@unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "needs two CPUs")
class WallStraggler(CliTest):
    def test_the_slow_rank_arrives_last(self):
        out = self.good("run", "--model", "gpt-oss-20b", "--scale", "8", "--layers", "4", "--tokens",
                        "512", "--steps", "16", "--preset", "even", "--placements", "linear",
                        "--slowdown", "1,1.5", "--clock", "wall", "-q", "-o", "a.h5", "--format",
                        "csv", ranks=2)
        names, row = (line.split(",") for line in out.splitlines())
        self.assertEqual(row[names.index("straggler")], "1")
        self.assertGreater(float(row[names.index("straggler_share")]), 0.9)


if __name__ == "__main__":
    main()
