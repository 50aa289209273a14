#!/usr/bin/python3
"""Faults in the middle of a run. Every job must end soon, not with 0, with a sentence of ours, and
leave nothing behind; its file must be readable, and the same job again must complete it to what a run
has that nobody disturbed. Prints a line a fault: README.md has them as a table."""

import os
import pathlib
import shutil
import signal
import time

from cluster_case import LONG_RUN, RUN, SLOW_LINK, ClusterCase, main

HANG = ["--hang-timeout", "5"]


class Faults(ClusterCase):
    def run_into(self, fault, launcher="srun", limit=10.0):
        """Starts a run, calls `fault` in its middle, checks what comes of it, and completes it:
        (exit code, our sentences)."""
        self.reference()
        self.site(launcher=launcher)
        self.cluster.limit(SLOW_LINK)
        job = self.submit("run.sbatch", *RUN, *HANG, "-o", "a.h5")
        self.wait_for_a_block()
        begin = time.monotonic()
        fault()
        self.cluster.wait(lambda: "launch.sh: " in self.printed(), "end of the job", 60)
        seconds = time.monotonic() - begin
        state, code, _ = self.ended(job)
        printed = self.printed()
        ours = [line for line in printed.splitlines() if line.startswith("gembench: ")]
        print(f"\n  {self._testMethodName}: {state}, exit code {code} after {seconds:.1f} s; {ours}")
        self.assertEqual(state, "FAILED", printed)
        self.assertNotEqual(code, 0, printed)
        self.assertLess(seconds, limit, printed)
        self.is_readable()
        self.cluster.repair()
        self.resumes(*HANG)
        return code, ours

    def kill_a_rank(self, node):
        os.kill(self.ranks_on(self.cluster.nodes[node])[0], signal.SIGKILL)

    def test_a_rank_is_killed_srun(self):
        self.run_into(lambda: self.kill_a_rank(1))

    def test_a_rank_is_killed_mpirun(self):
        self.run_into(lambda: self.kill_a_rank(1), "mpirun")

    def test_the_writing_rank_is_killed(self):
        self.run_into(lambda: self.kill_a_rank(0))

    def kill_node(self):
        self.lost.add("node1")
        self.cluster.nodes[1].kill()

    def test_a_node_dies_srun(self):
        self.run_into(self.kill_node)

    def test_a_node_dies_mpirun(self):
        self.run_into(self.kill_node, "mpirun")

    def test_the_network_is_cut_srun(self):
        code, ours = self.run_into(lambda: self.cluster.cut("node1"), limit=15)
        self.assertEqual((code, len(ours)), (5, 1), ours)

    def test_the_network_is_cut_mpirun(self):
        code, ours = self.run_into(lambda: self.cluster.cut("node1"), "mpirun", limit=15)
        self.assertEqual((code, len(ours)), (5, 1), ours)

    def small_disk(self, size):
        """A folder on a disk of its own, as the first node, which writes, sees it."""
        disk = self.folder / "disk"
        disk.mkdir()
        self.cluster.nodes[0].mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk)
        return pathlib.Path(f"/proc/{self.cluster.nodes[0].first}/root{disk}")

    def test_a_disk_that_fills_up_later_does_not_hurt(self):
        self.reference()
        disk = self.small_disk("8m")
        self.cluster.limit(SLOW_LINK)
        job = self.submit("run.sbatch", *RUN, "-o", "disk/a.h5")
        self.cluster.wait((disk / "a.h5.partial").exists, "a.h5.partial")
        with self.assertRaises(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while filler.write(b"x" * 65536):
                pass
        self.assertEqual(shutil.disk_usage(disk).free, 0)
        self.assertIn("# check: PASS", self.completes(job))
        self.assertTrue((disk / "a.h5").exists())
        self.cluster.nodes[0].mount("--unmount", self.folder / "disk")

    def test_a_disk_that_is_too_small_is_said_before_the_first_step(self):
        self.reference()
        disk = self.small_disk("256k")
        job = self.submit("run.sbatch", *LONG_RUN, "-o", "disk/a.h5")
        self.assertEqual(self.ended(job)[:2], ("FAILED", 4), self.printed())
        self.assertEqual(self.printed().count("gembench: "), 1, self.printed())
        print(self.printed(), os.listdir(disk))

    def test_the_folder_of_the_output_vanishes(self):
        self.reference()
        (self.folder / "out").mkdir()
        self.cluster.limit(SLOW_LINK)
        job = self.submit("run.sbatch", *RUN, "-o", "out/a.h5")
        self.wait_for_a_block("out/a.h5")
        shutil.rmtree(self.folder / "out")
        self.assertEqual(self.ended(job)[:2], ("FAILED", 4), self.printed())
        self.assertEqual(self.printed().count("gembench: "), 1, self.printed())
        print(self.printed())


if __name__ == "__main__":
    main()
