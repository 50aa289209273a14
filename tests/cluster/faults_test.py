#!/usr/bin/python3
"""Faults in the middle of a run: see run_into() for what must come of each."""

import pathlib
import shutil

from cluster_case import LONG_RUN, RUN, SLOW_LINK, ClusterCase, main


class Faults(ClusterCase):
    def test_a_rank_is_killed(self):
        code, _ = self.run_into(self.kill_a_rank)
        # Of KILL, or Open MPI's own where another rank notices the closed connection first.
        self.assertIn(code, (137, 17))

    def test_a_node_dies_under_mpirun(self):
        self.run_into(self.kill_node, "mpirun")

    def test_the_network_is_cut(self):
        code, ours = self.run_into(lambda: self.cluster.cut("node1"))
        self.assertEqual((code, len(ours)), (5, 1), ours)
        self.assertIn("nothing moved for 5 s (--hang-timeout): ranks 0-1 on node0", ours[0])

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
        self.assertTrue((disk / "a.h5.partial").exists(), "it was too fast")
        self.cluster.limit(None)
        self.assertIn("# check: PASS", self.completes(job))
        self.assertTrue((disk / "a.h5").exists())
        self.cluster.nodes[0].mount("--unmount", self.folder / "disk")

    def test_a_disk_that_is_too_small_is_said_before_the_first_step(self):
        self.reference()
        disk = self.small_disk("256k")
        job = self.submit("run.sbatch", *LONG_RUN, "-o", "disk/a.h5")
        self.assertEqual(self.ended(job)[:2], ("FAILED", 4), self.printed())
        self.assertEqual(self.printed().count("gembench: "), 1, self.printed())
        self.assertEqual(list(disk.iterdir()), [])

    def test_the_folder_of_the_output_vanishes(self):
        self.reference()
        (self.folder / "out").mkdir()
        self.cluster.limit(SLOW_LINK)
        job = self.submit("run.sbatch", *RUN, "-o", "out/a.h5")
        self.wait_for_a_block("out/a.h5")
        shutil.rmtree(self.folder / "out")
        self.cluster.limit(None)
        self.assertEqual(self.ended(job)[:2], ("FAILED", 4), self.printed())
        self.assertEqual(self.printed().count("gembench: "), 1, self.printed())


if __name__ == "__main__":
    main()
