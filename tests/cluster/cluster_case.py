"""What the cluster tests share: jobs submitted as a user does, and what they may not leave behind."""

import os
import pathlib
import re
import signal
import sys
import time

import h5py
import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "end_to_end"))

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"  # to look at a file that is being written

import support  # noqa: E402  pylint: disable=wrong-import-position
from cluster import Cluster, missing  # noqa: E402  pylint: disable=wrong-import-position
from stop_test import SAME, ranks_of, run_of  # noqa: E402  pylint: disable=wrong-import-position

# Words after "run" and before the name of the output. On SLOW_LINK a step lasts 10 ms at least on
# every machine, so that the first takes more than a second after its first block.
RUN = run_of(64)[1:-1]
LONG_RUN = run_of(40000)[1:-1]
SLOW_LINK = "100mbit"
HANG = ["--hang-timeout", "5"]
CUT_OFF = "launch.sh: gembench was cut off"
ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               # The program counts on a node having its CPUs for itself; here two share them.
               "OMPI_MCA_mpi_yield_when_idle": "1", "GEMBENCH": support.PROGRAM}
SITE = """
modules=() partition=main account= sbatch_options=() ranks_per_node={ranks} cpus_per_rank={cpus} gpus_per_node={gpus}
gpu_binding={binding} launcher={launcher} interfaces=10.77.0.0/24 requeue={requeue}
launcher_options=({options})
"""


class ClusterCase(support.CliTest):
    """One cluster for all tests of a class, and a folder for each that all its nodes see."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.down)
        cls.made = {}

    def setUp(self):
        super().setUp()
        self.site()

    def tearDown(self):
        # What is still there is ended, so that the next test is not disturbed.
        self.cluster.call("scancel", "--full", "--signal=KILL", "--user=root")
        self.cluster.repair()
        self.assertEqual(self.left(), [])

    def left(self, seconds=5):
        """Processes, shared memory and temporary files of jobs that ended, a moment later."""
        deadline = time.monotonic() + seconds
        while True:
            found = []
            for node in self.cluster.nodes:
                found += node.processes().values()
                found += map(str, pathlib.Path(f"/proc/{node.first}/root/dev/shm").iterdir())
            found += [str(path) for folder in self.cluster.folder.glob("tmp*")
                      for path in folder.iterdir()]
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def site(self, launcher="srun", ranks=2, gpus=0, binding="all", requeue="no"):
        (self.folder / "site.sh").write_text(SITE.format(
            launcher=launcher, ranks=ranks, gpus=gpus, cpus=2 if gpus else "", binding=binding,
            requeue=requeue, options="--bind-to none" if launcher == "mpirun" else ""))

    def on_head(self, *words, environment=None):
        words = ["env", "-u", "HDF5_USE_FILE_LOCKING", f"GEMBENCH_SITE={self.folder}/site.sh",
                 *(f"{k}={v}" for k, v in {**ENVIRONMENT, **(environment or {})}.items()),
                 *map(str, words)]
        return self.cluster.call(*words, cwd=self.folder, timeout=support.HANGS)

    def submit(self, script, *words, options=(), **how):
        """Job number. What it prints goes to out.txt, also when it runs again."""
        done = self.on_head(support.TOP / "jobs/submit.sh", "--parsable", "-N2", "--no-requeue",
                            "--output=out.txt", *options, script, *words, **how)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def state(self, job):
        """(state, exit code)."""
        told = self.cluster.call("scontrol", "-o", "show", "job", job).stdout
        return (re.search(r"JobState=(\w+)", told)[1],
                int(re.search(r"ExitCode=(\d+)", told)[1]))

    def printed(self):
        out = self.folder / "out.txt"
        return out.read_text() if out.exists() else ""

    def ended(self, job):
        """Waits: (state, exit code, seconds until no rank was left)."""
        begin, gone = time.monotonic(), None
        while True:
            state, code = self.state(job)
            if gone is None and not ranks_of(self.folder):
                gone = time.monotonic() - begin
            if state not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING"):
                return state, code, gone
            if time.monotonic() - begin > support.HANGS:
                self.fail(f"job {job} hangs and is {state}:\n{self.printed()}")
            time.sleep(0.05)

    def completes(self, job):
        state, code, _ = self.ended(job)
        self.assertEqual((state, code), ("COMPLETED", 0), self.printed())
        return self.printed()

    def reference(self):
        """Here p.h5, so that every run plans the same, and whole.h5, a RUN with it that nobody
        disturbed. Made once a class."""
        if not self.made:
            self.completes(self.submit("profile.sbatch", *support.SMALL[:8], "--profile-seconds",
                                       "0", "-q", "-o", "p.h5"))
            self.completes(self.submit("run.sbatch", *RUN, "-o", "whole.h5"))
            (self.folder / "out.txt").unlink()
            for name in ("p.h5", "whole.h5"):
                self.made[name] = (self.folder / name).read_bytes()
        for name, content in self.made.items():
            (self.folder / name).write_bytes(content)

    def wait_for_a_block(self, name="a.h5"):
        """Until a run has finished something."""
        partial = self.folder / f"{name}.partial"

        def finished():
            self.assertNotIn(CUT_OFF, self.printed())
            if not partial.exists():
                return False
            with h5py.File(partial) as file:
                return (file["block"][()] != -1).any()
        self.cluster.wait(finished, f"block in {partial}")

    def term(self, job):
        """As --signal=B:TERM@60 does: to the batch script alone."""
        self.cluster.call("scancel", "--batch", "--signal=TERM", job)

    def ranks_on(self, node):
        """Process ids of the ranks on a node."""
        return sorted(process for process, name in node.processes().items() if name == "gembench")

    def is_readable(self):
        """An unfinished file can be compared."""
        done = self.gembench("compare", "a.h5.partial")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[-2], "# check: INCOMPLETE")

    def resumes(self, *words):
        """The same job again completes a.h5, which then differs from whole.h5 in times only."""
        (self.folder / "out.txt").unlink(missing_ok=True)
        out = self.completes(self.submit("run.sbatch", *RUN, *words, "-o", "a.h5"))
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        self.assertIn("# resumed last at", out)
        self.is_whole()

    def is_whole(self):
        with h5py.File(self.folder / "a.h5") as file, h5py.File(self.folder / "whole.h5") as whole:
            for name in SAME:
                numpy.testing.assert_array_equal(file[name][()], whole[name][()], name)
            self.assertTrue(numpy.isfinite(file["step_time"][()]).all())

    def run_into(self, fault, launcher="srun"):
        """Starts a run and calls `fault` in its middle. The job must end, not with 0, and its file must
        be readable; the same job again must complete it to what a run has that nobody disturbed. How
        soon it ends is printed. (exit code, gembench's sentences)"""
        self.reference()
        self.site(launcher=launcher)
        self.cluster.limit(SLOW_LINK)
        job = self.submit("run.sbatch", *RUN, *HANG, "-o", "a.h5")
        self.wait_for_a_block()
        begin = time.monotonic()
        fault()
        self.cluster.wait(lambda: CUT_OFF in self.printed(), "end of the job")
        seconds = time.monotonic() - begin
        printed = self.printed()
        # Unreachable ranks also end by themselves.
        living = [node for node in self.cluster.nodes if node.process.poll() is None]
        self.cluster.wait(lambda: not any(map(self.ranks_on, living)), "end of all ranks")
        self.cluster.repair()  # before, Slurm waits for a node that does not answer
        state, code, _ = self.ended(job)
        ours = [line for line in printed.splitlines() if line.startswith("gembench: ")]
        print(f"  exit code {code} after {seconds:.1f} s; {ours}")
        self.assertIn(state, ("FAILED", "NODE_FAIL"), printed)
        self.assertNotEqual(code, 0, printed)
        self.assertEqual(printed.count(CUT_OFF), 1, printed)
        self.is_readable()
        self.resumes(*HANG)
        return code, ours

    def kill_a_rank(self, node=1):
        os.kill(self.ranks_on(self.cluster.nodes[node])[0], signal.SIGKILL)

    def kill_node(self):
        """As when its power fails."""
        self.cluster.nodes[1].kill()


def main():
    why_not = missing()
    if why_not:
        print(f"skipped: {why_not}")
        sys.exit(77)
    support.main()
