"""gembench probe: whom it names, and what its exit code says."""

import json
import pathlib
import subprocess
import time

from support import PROGRAM, TOP, CliTest, keys_of, main, metrics_in

QUICK = ["probe", "--scale", "16", "--tokens", "128", "-q"]


class Probe(CliTest):
    def test_a_slow_rank_is_named_with_code_1(self):
        done = self.gembench(*QUICK, "--max-seconds", "5", "--slowdown", "1,1,3,1", "--format", "json",
                             "--prometheus", "p.prom", "-o", "p.h5", ranks=4)
        self.one_sentence(done, 1, "rank 2 (")
        told = json.loads(done.stdout)
        self.assertEqual(told["verdict"], "slow")
        self.assertEqual([rank["slow"] for rank in told["ranks"]], [False, False, True, False])
        self.assertIn("is slow", told["findings"][0])
        self.assertIn("emulated", told["findings"][0])
        documented = (TOP / "harness/OUTPUT.md").read_text()
        for key in keys_of(told):
            self.assertIn(f"`{key}`", documented)
        metrics = metrics_in((self.folder / "p.prom").read_text())
        slow = {dict(labels)["rank"]: value
                for labels, value in metrics["gembench_probe_slow"].items()}
        self.assertEqual(slow, {"0": 0, "1": 0, "2": 1, "3": 0})
        for name in metrics:
            self.assertIn(f"`{name.removeprefix('gembench_')}`", documented)
        # It is a profile, of one load.
        self.assertEqual(json.loads(self.good("info", "p.h5", "--format", "json"))[0]["kind"], "profile")

    def test_a_single_rank_has_only_its_past(self):
        self.one_sentence(self.gembench(*QUICK), 2, "a single rank has no others")
        (self.folder / "past").mkdir()
        done = self.gembench(*QUICK, "--max-seconds", "1", "--history", "past", "-o", "past/a.h5")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn("the history holds 0 of the 5 earlier probes", done.stdout)

    def test_addresses_are_not_random(self):
        child = subprocess.Popen([PROGRAM, *QUICK, "--max-seconds", "3", "--history", "."],
                                 cwd=self.folder, stdout=subprocess.DEVNULL)
        fixed = readable = False
        while child.poll() is None:
            try:
                words = pathlib.Path(f"/proc/{child.pid}/personality").read_text()
            except OSError:
                break
            readable = True
            fixed = fixed or int(words, 16) & 0x0040000 != 0
            time.sleep(0.05)
        self.assertEqual(child.wait(), 7)
        allowed = self.call("setarch", "-R", "true").returncode == 0
        self.assertTrue(fixed or not allowed or not readable)


if __name__ == "__main__":
    main()
