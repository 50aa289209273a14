"""Runs that end early: a killed rank, SIGTERM, a time limit; and that --resume completes them with the
same routing, placements and steps."""

import os
import pathlib
import signal
import subprocess
import time

import h5py
import numpy

from support import HANGS, PROGRAM, SMALL, TOP, CliTest, main


def run_of(steps):
    """Words of a run up to the name of its output."""
    at = SMALL.index("--steps") + 1
    return ["run", *SMALL[:at], str(steps), *SMALL[at + 1:], "--placements", "linear,gem",
            "--profile", "p.h5", "-o"]


RUN = run_of(480)  # long enough to be stopped after its first block, short enough to be completed
LONG_RUN = run_of(4000)  # many times as long as the limits below, also on a faster machine
# Equal in a run that was interrupted and in one that was not.
SAME = ["expert_tokens", "slots", "order", "block", "assignments", "active_experts", "bytes_sent",
        "metadata_bytes", "bytes_pair", "predicted_layer_time", "profile_latency",
        "segments/to_placement", "segments/first_step", "segments/steps", "segments/checked_tokens"]

# MPI's own end, which waits for all ranks, with rank 1 stopped before it.
STOPS_AT_THE_END = r"""
#include <signal.h>
#include <stdlib.h>
int PMPI_Finalize(void);
int MPI_Finalize(void) {
  const char* rank = getenv("OMPI_COMM_WORLD_RANK") ? getenv("OMPI_COMM_WORLD_RANK") : getenv("PMI_RANK");
  if (rank && atoi(rank) == 1) raise(SIGSTOP);
  return PMPI_Finalize();
}
"""


def ranks_of(folder):
    """Process ids of the gembench ranks that run in this folder."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "exe") == os.path.realpath(PROGRAM) \
                    and os.readlink(process / "cwd") == str(folder):
                found.append(int(process.name))
        except OSError:  # it ended meanwhile
            pass
    return sorted(found)


class Stopped(CliTest):
    def setUp(self):
        super().setUp()
        self.good("profile", *SMALL[:8], "--profile-seconds", "0", "-o", "p.h5", ranks=2)
        self.partial = self.folder / "a.h5.partial"

    def start(self, *more, run=LONG_RUN):
        job = subprocess.Popen([TOP / "jobs/local.sh", "-n", "2", *run, "a.h5", *more],
                               cwd=self.folder, env={**os.environ, "GEMBENCH": PROGRAM}, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(job.communicate)
        self.addCleanup(job.kill)
        return job

    def wait_for_a_block(self):
        deadline = time.monotonic() + HANGS
        while not self.partial.exists() or self.finished_steps() == 0:
            self.assertLess(time.monotonic(), deadline, "no block was written")
            time.sleep(0.1)

    def finished_steps(self):
        out = self.call("env", "HDF5_USE_FILE_LOCKING=FALSE", PROGRAM, "compare", "a.h5.partial",
                        "--format", "csv")
        return int(out.stdout.splitlines()[1].split(",")[1]) if out.returncode == 0 else 0

    def is_incomplete_and_readable(self):
        out = self.good("compare", "a.h5.partial")
        self.assertEqual(out.splitlines()[-2], "# check: INCOMPLETE")
        self.assertFalse((self.folder / "a.h5").exists())

    def holds_its_summary(self, there=True):
        """Of the steps that it holds; a run that was killed has none."""
        with h5py.File(self.partial) as f:
            steps = f["summary/steps"][:]
            measured = (f["block"][:] >= 0).sum(axis=1)
            if not there:
                self.assertTrue(numpy.isnan(steps).all())
                return
            numpy.testing.assert_array_equal(steps, measured)
            numpy.testing.assert_allclose(f["summary/step_mean"][:], numpy.nanmean(
                f["step_time"][:].max(axis=2), axis=1), rtol=1e-6)
            self.assertEqual(f["summary/difference"].shape, (2, 2))

    def test_a_killed_rank_ends_the_job_and_resuming_completes_it(self):
        job = self.start(run=RUN)
        self.wait_for_a_block()
        os.kill(ranks_of(self.folder)[-1], signal.SIGKILL)
        self.assertNotEqual(job.wait(timeout=HANGS), 0)
        self.is_incomplete_and_readable()
        self.holds_its_summary(there=False)
        with h5py.File(self.partial) as f:
            before = f["step_time"][:]
            self.assertTrue(0 < numpy.isfinite(before).sum() < before.size)

        out = self.good(*RUN, "a.h5", "--resume", ranks=2)
        self.assertIn("# resumed last at", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        self.assertFalse(self.partial.exists())
        self.good(*RUN, "whole.h5", ranks=2)
        with h5py.File(self.folder / "a.h5") as f, h5py.File(self.folder / "whole.h5") as whole:
            for name in SAME:
                numpy.testing.assert_array_equal(f[name][()], whole[name][()], name)
            kept = numpy.isfinite(before)
            numpy.testing.assert_array_equal(f["step_time"][:][kept], before[kept])
            self.assertTrue(numpy.isfinite(f["step_time"][:]).all())
        # Once more, as a job script does that was requeued too often: only printed, and it says so.
        again = self.good(*RUN, "a.h5", "--resume", ranks=2)
        self.assertEqual(again, "# a.h5 was finished before, nothing was run\n"
                         + self.good("compare", "a.h5"))

    def test_a_file_that_is_being_written_is_left_alone(self):
        self.start()
        self.wait_for_a_block()
        self.one_sentence(self.gembench("compare", "a.h5.partial"), 2, "a run is writing it")
        for more in ([], ["--resume"], ["--overwrite"]):
            self.one_sentence(self.gembench(*LONG_RUN, "a.h5", *more), 4,
                              f"a.h5 is being written by process {ranks_of(self.folder)[0]} on ")

    def test_another_run_is_not_continued(self):
        job = self.start()
        self.wait_for_a_block()
        os.kill(ranks_of(self.folder)[0], signal.SIGKILL)
        job.wait(timeout=HANGS)
        kept = self.partial.read_bytes()
        for words, said in ((["--seed", "2"], "--seed"), (["--layers", "1"], "--layers")):
            given = LONG_RUN if words[0] not in LONG_RUN else \
                [w for i, w in enumerate(LONG_RUN) if words[0] not in (w, LONG_RUN[i - 1])]
            done = self.gembench(*given, "a.h5", "--resume", *words, ranks=2)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
        self.assertEqual(self.gembench(*LONG_RUN, "a.h5", ranks=2).returncode, 4, "nor overwritten")
        self.assertEqual(self.partial.read_bytes(), kept)

    def test_sigterm_ends_in_order(self):
        job = self.start()
        self.wait_for_a_block()
        os.kill(ranks_of(self.folder)[-1], signal.SIGTERM)
        said = job.communicate(timeout=HANGS)[1]
        self.assertEqual(job.returncode, 1, said)
        self.assertRegex(said, r"gembench: interrupted by SIGTERM: \d+ of 2000 segments are kept in "
                               r"a\.h5\.partial; continue with: \S+/local\.sh -n 2 run .* --resume\n")
        self.is_incomplete_and_readable()
        self.holds_its_summary()

    def test_a_time_limit_ends_in_order(self):
        done = self.gembench(*LONG_RUN, "a.h5", "--timeout", "2", ranks=2)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(done.stderr.count("gembench: not done after --timeout 2 s"), 1)
        self.holds_its_summary()

    def hang(self, *options):
        """Stops the last rank in mid-run as a debugger would; what the job says then."""
        job = self.start(*options)
        self.wait_for_a_block()
        os.kill(ranks_of(self.folder)[-1], signal.SIGSTOP)
        said = job.communicate(timeout=HANGS)[1]
        self.assertEqual(job.returncode, 5, said)
        ours = [line for line in said.splitlines() if line.startswith("gembench: ")]
        self.assertEqual(len(ours), 1, said)
        self.assertRegex(ours[0], r"rank 1 on \S+ was last seen in the [a-z ]+( of layer [01])?, "
                                  r"step \d+, and is stopped or gone: ")
        self.is_incomplete_and_readable()
        return ours[0]

    def test_a_rank_that_hangs_is_named_when_nothing_moves(self):
        self.assertIn("nothing moved for 5 s (--hang-timeout)", self.hang("--hang-timeout", "5"))

    def test_a_rank_that_hangs_is_ended_soon_after_the_limit(self):
        self.assertIn("not ended 10 s after --timeout 4 s", self.hang("--timeout", "4"))

    def test_a_rank_that_is_asked_to_end_and_cannot_is_gone_soon(self):
        job = self.start()
        self.wait_for_a_block()
        first, last = ranks_of(self.folder)
        os.kill(last, signal.SIGSTOP)
        os.kill(first, signal.SIGTERM)
        said = job.communicate(timeout=HANGS)[1]
        self.assertEqual(job.returncode, 1, said)
        # The second where rank 1 took part in the end of the step before the signal reached it.
        self.assertRegex(said, "gembench: (asked to end, and nothing moved for 3 s: rank|"
                               "interrupted by SIGTERM: )")
        self.is_incomplete_and_readable()

    def test_a_rank_that_hangs_after_the_last_result_does_not_keep_the_others(self):
        (self.folder / "stops.c").write_text(STOPS_AT_THE_END)
        subprocess.run(["mpicc", "-shared", "-fPIC", "-o", "stops.so", "stops.c"], cwd=self.folder,
                       check=True)
        done = self.call("env", f"LD_PRELOAD={self.folder}/stops.so", TOP / "jobs/local.sh", "-n", 2,
                         *run_of(8), "a.h5", "--hang-timeout", 2)
        self.one_sentence(done, 5, "all is done, and a rank did not end within 2 s: see whether it is "
                                   "stopped or gone")
        self.good("compare", "a.h5")


if __name__ == "__main__":
    main()
