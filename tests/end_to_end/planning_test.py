"""Planning ends, says how far it is, and can be ended."""

import json
import os
import re
import signal
import subprocess
import time

from support import HANGS, PROGRAM, TOP, CliTest, main
from stop_test import ranks_of

# One layer that gem+ works on for many seconds.
LONG = ["--experts", "256", "--topk", "8", "--layers", "1", "--tokens", "2048"]
STEPS = "16384"


class Planning(CliTest):
    def test_small_batches_on_equal_ranks_are_planned(self):
        # With exact ties a swap without gain was repeated forever.
        self.good("trace", "make", "--model", "gpt-oss-20b", "--tokens", "64", "--layers", "6", "-o",
                  "h.h5")
        for strategy in ("gem", "gem+"):
            self.good("plan", "--trace", "h.h5", "--ranks", "4", "--strategy", strategy, "-o",
                      f"{strategy}.json")
            placement = json.loads((self.folder / f"{strategy}.json").read_text())
            self.assertLess(placement["predicted_step"], 1.3 * placement["bound_step"])

    def test_sensitivity_is_score_on_drawn_loads(self):
        shape = ["--experts", "16", "--topk", "2", "--layers", "2", "--tokens", "512", "--steps", "24"]
        common = ["--ranks", "4", "--strategies", "linear,eplb,gem", "--format", "json", "-q"]
        swept = json.loads(self.good(
            "sensitivity", *shape, *common, "--alphas", "0,1.2", "--spreads", "0,30%", "--draws", "2",
            "--seed", "5"))
        self.assertEqual(len(swept["sensitivity"]), 2 * 2 * 3)
        means = []
        for seed in ("5", "6"):
            self.good("trace", "make", *shape, "--preset", "power-law", "--alpha", "1.2", "--seed",
                      seed, "-o", f"{seed}.h5")
            score = json.loads(self.good("score", "--trace", f"{seed}.h5", *common, "--split", "0.5"))
            self.assertTrue(score["held_out"])
            means.append([row["step_mean"] for row in score["placements"]])
        rows = [row for row in swept["sensitivity"] if row["alpha"] == 1.2 and row["spread"] == 0]
        for strategy, row in enumerate(rows):
            self.assertAlmostEqual(row["step_mean"],
                                   (means[0][strategy] + means[1][strategy]) / 2, delta=1e-12)
        self.assertAlmostEqual(rows[2]["change"],
                               sum(one[2] / one[0] - 1 for one in means) / 2, delta=1e-9)
        changes = {(row["strategy"], row["alpha"], row["spread"]): row["change"]
                   for row in swept["sensitivity"]}
        self.assertIsNone(changes["linear", 0, 0.3])
        self.assertLess(abs(changes["gem", 0, 0]), 0.02)  # nothing to gain
        self.assertLess(changes["gem", 1.2, 0.3], -0.1)
        self.one_sentence(self.gembench("sensitivity", *shape, "--ranks", "17"), 2, "lower --ranks")

    def start(self, *command):
        job = subprocess.Popen([str(word) for word in command], cwd=self.folder, text=True,
                               env={**os.environ, "GEMBENCH": PROGRAM}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
        self.addCleanup(job.communicate)
        self.addCleanup(job.kill)
        return job

    def ended_while(self, job, signal_number, ranks=None):
        """Sends the signal once planning says how far it is; what is said then."""
        for line in job.stderr:
            if line.startswith("gembench: planning "):
                self.assertRegex(line, r"^gembench: planning gem\+: 0 of 1 layers after \d+ s$")
                break
        else:
            self.fail("planning said nothing")
        os.kill(ranks_of(self.folder)[0] if ranks else job.pid, signal_number)
        said = job.communicate(timeout=HANGS)[1]
        self.assertEqual(job.returncode, 1, said)
        ours = [one for one in said.splitlines()
                if one.startswith("gembench: ") and "planning gem+: 0 of 1" not in one]
        self.assertEqual(len(ours), 1, said)
        return ours[0]

    def test_a_long_planning_says_so_and_ends_when_asked(self):
        self.good("trace", "make", *LONG, "--steps", STEPS, "-o", "t.h5")
        common = ["--trace", "t.h5", "--ranks", "64"]
        plan = [PROGRAM, "plan", *common, "--strategy", "gem+", "-o", "p.json"]
        self.assertEqual(self.ended_while(self.start(*plan), signal.SIGTERM),
                         "gembench: ended by SIGTERM while planning gem+, layer 1 of 1 (0 done): "
                         "no placement was written")
        self.assertFalse((self.folder / "p.json").exists())
        score = [PROGRAM, "score", *common, "--strategies", "linear,gem+"]
        self.assertEqual(self.ended_while(self.start(*score), signal.SIGINT),
                         "gembench: ended by SIGINT while planning gem+, layer 1 of 1 (0 done): "
                         "nothing was scored")

    def test_a_mended_placement_too(self):
        self.good("trace", "make", *LONG, "--steps", "64", "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", "--ranks", "8", "--strategy", "random", "-o", "r.json")
        self.good("plan", "--trace", "t.h5", "--ranks", "8", "--from", "r.json", "--max-moves",
                  "16000000", "-o", "p.json", "-q")

    def run_of(self, *more):
        return [TOP / "jobs/local.sh", "-n", "2", "run", "--model", "gpt-oss-20b", "--scale", "32",
                *LONG, "--steps", "4", "--block", "2", "--plan-steps", STEPS, "--profile-seconds",
                "0", "--placements", "gem+", "-o", "a.h5", *more]

    def test_a_run_says_what_it_was_planning(self):
        said = self.ended_while(self.start(*self.run_of()), signal.SIGTERM, ranks=2)
        self.assertEqual(said, "gembench: ended by SIGTERM while planning gem+, layer 1 of 1 (0 done): "
                               "nothing was measured yet")

    def test_a_time_limit_says_so_too(self):
        job = self.start(*self.run_of("--timeout", "4", "-q"))
        said = job.communicate(timeout=HANGS)[1]
        self.assertEqual(job.returncode, 5, said)
        ours = [line for line in said.splitlines() if line.startswith("gembench: ")]
        self.assertEqual(len(ours), 1, said)
        self.assertTrue(re.search(r"not done after --timeout 4 s", ours[0]), said)


if __name__ == "__main__":
    main()
