"""What a run says of its machine: which clock was chosen, and how quiet it was."""

import json
import os
import subprocess
import sys

import h5py
import numpy

from support import PROGRAM, SMALL, TOP, CliTest, main, mpirun


class Clocks(CliTest):
    """Which clock was chosen on this machine, and that the header and the file say so."""

    def chosen(self, ranks, *more):
        out = self.good("run", *SMALL, "--placements", "linear", "-o", "a.h5", "--overwrite", *more,
                        ranks=ranks)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertIn(f"# clock {f.attrs['clock']}", out)
            self.assertIn(f"({f.attrs['clock_reason']})", out)
            return f.attrs["clock"], f.attrs["clock_reason"], out

    def test_one_rank_has_a_cpu_of_its_own(self):
        self.assertEqual(self.chosen(1)[:2], ("wall", "every rank has a CPU of its own"))

    def test_hardware_threads_of_a_core_are_not_cpus_of_their_own(self):
        one_core = ["env", "HWLOC_SYNTHETIC=pack:1 core:1 pu:2", "HWLOC_THISSYSTEM=1"]
        start = [*mpirun(2), *one_core, PROGRAM, "run", *SMALL, "--overwrite", "-o", "a.h5"]
        if not {0, 1} <= os.sched_getaffinity(0):
            self.skipTest("the described CPUs 0 and 1 are not both this process's")
        for more, clock, said in (
                ([], "cpu-time",
                 "ranks share cores: hardware threads of one core are not CPUs of their own"),
                (["--clock", "wall"], "wall",
                 "as asked; ranks share cores, waits are not trustworthy")):
            done = self.call(*start, *more)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"({said})", done.stdout)
            with h5py.File(self.folder / "a.h5") as f:
                self.assertEqual(f.attrs["clock"], clock)
                self.assertEqual(f.attrs["clock_reason"], said)
                self.assertEqual(f.attrs["ranks_share"], "cores")
                self.assertEqual(list(f["environment/cores"].asstr()), ["0", "0"])
        done = self.call(*start, "--whole-steps")
        self.one_sentence(done, 2, "ranks share cores")

    def test_one_rank_may_have_all_threads_of_its_core(self):
        if not {0, 1} <= os.sched_getaffinity(0):
            self.skipTest("the described CPUs 0 and 1 are not both this process's")
        done = self.call("env", "HWLOC_SYNTHETIC=pack:1 core:1 pu:2", "HWLOC_THISSYSTEM=1",
                         TOP / "jobs/local.sh", "-n", 1, "run", *SMALL, "-o", "a.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("# clock wall", done.stdout)

    def test_more_ranks_than_cpus_share_them(self):
        cpus = len(os.sched_getaffinity(0))
        ranks = next(r for r in (2, 4, 8, 16, 32) if r > cpus or r == 32)
        if ranks <= cpus:
            self.skipTest("this machine has a CPU for each of 32 ranks")
        clock, reason, out = self.chosen(ranks)
        self.assertEqual((clock, reason), ("cpu-time", "ranks share CPUs"))
        # What this clock cannot say is a dash, never a zero.
        rates = out[out.index("tokens/s"):].splitlines()[1].split()
        self.assertEqual(rates[5:7], ["-", "-"])

    def test_affinity_counts_and_not_what_the_machine_has(self):
        first = min(os.sched_getaffinity(0))
        done = self.call("taskset", "-c", first, TOP / "jobs/local.sh", "-n", 2, "run", *SMALL,
                         "-o", "a.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("# clock cpu-time", done.stdout)
        self.assertIn("(ranks share CPUs)", done.stdout)

    def test_who_insists_is_warned(self):
        first = min(os.sched_getaffinity(0))
        done = self.call("taskset", "-c", first, TOP / "jobs/local.sh", "-n", 2, "run", *SMALL,
                         "--clock", "wall", "-o", "a.h5")
        self.assertIn("as asked; ranks share CPUs, waits are not trustworthy", done.stdout)


class Quiet(CliTest):
    """How quiet the machine was: said, and stored. What it is, is the machine's affair."""

    PER_RANK = [f"{name}_{when}" for name in ("quantum", "lost", "lost_cpu", "longest_pause")
                for when in ("before", "after")]
    DURING = ["involuntary_switches", "steal", "other_work", "pressure"]

    def test_it_is_in_header_file_and_json_with_busy_loops_beside_it(self):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        try:
            out = self.good("run", *SMALL, "--placements", "linear", "-o", "a.h5", ranks=2)
        finally:
            for loop in busy:
                loop.kill()
                loop.wait()
        said = [line for line in out.splitlines() if line.startswith("# machine: ")]
        self.assertEqual(len(said), 1, out)
        self.assertRegex(said[0], r"time lost to .* \(longest pause .*s\)")
        self.assertRegex(said[0], r"barrier exit skew .*s \(p99 .*s\)")
        with h5py.File(self.folder / "a.h5") as f:
            quiet = f["quiet"]
            for name in self.PER_RANK + self.DURING:
                values = quiet[name][...]
                self.assertEqual(values.shape, (2,), name)
                self.assertEqual(quiet[name].dims[0][0].name, "/rank", name)
                self.assertTrue((numpy.isnan(values) | (values >= 0)).all(), name)
                if name in self.PER_RANK or name == "involuntary_switches":
                    self.assertTrue(numpy.isfinite(values).all(), name)
            for when in ("before", "after"):
                self.assertGreater(quiet.attrs[f"barrier_skew_median_{when}"], 0)
                self.assertGreaterEqual(quiet.attrs[f"barrier_skew_p99_{when}"],
                                        quiet.attrs[f"barrier_skew_median_{when}"])
            for name in ("governor", "turbo", "smt", "core_threads", "numa_nodes", "kernel",
                         "glibc", "cores"):
                self.assertEqual(f["environment"][name].shape, (2,), name)
            self.assertEqual(f["environment/kernel"].asstr()[0], os.uname().release)
            for name in ("onednn", "hdf5", "hwloc", "mpi", "build"):
                self.assertTrue(f.attrs[name], name)
            lost = quiet["lost_after"][...].tolist()
        print("lost with two busy loops:", lost)
        data = json.loads(self.good("compare", "a.h5", "--format", "json"))["quiet"]
        numpy.testing.assert_allclose(data["after"]["lost"], lost)
        self.assertEqual(len(data["steal"]), 2)

    def test_an_unfinished_file_says_what_was_before(self):
        self.good("run", *SMALL, "--placements", "linear", "-o", "a.h5", ranks=1)
        with h5py.File(self.folder / "a.h5", "r+") as f:
            f.attrs["completed"] = 0
        self.assertIn("# machine: ", self.good("compare", "a.h5"))
        with h5py.File(self.folder / "a.h5", "r+") as f:
            del f["quiet"]  # a file before 2.5.0
        self.assertNotIn("# machine: ", self.good("compare", "a.h5"))

    def test_profile_says_it_too(self):
        out = self.good("profile", "--model", "gpt-oss-20b", "--scale", "16", "--layers", "2",
                        "--tokens", "128", "--profile-seconds", "0", "-q", "-o", "p.h5", ranks=2)
        self.assertIn("# machine: ", out)


if __name__ == "__main__":
    main()
