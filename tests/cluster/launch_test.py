#!/usr/bin/python3
"""The job scripts on two nodes: launchers, GPUs, sweeps, the end before a time limit."""

import h5py
import numpy

from cluster_case import LONG_RUN, RUN, SLOW_LINK, ClusterCase, main
from stop_test import run_of
from support import PROGRAM, SMALL, TOP

QUICK = [*SMALL, "--placements", "linear,gem"]
WHO = """#!/bin/bash
# Stands in for gembench: what a rank would see.
echo "rank $(hostname) ${OMPI_COMM_WORLD_LOCAL_RANK:-$SLURM_LOCALID} sees $CUDA_VISIBLE_DEVICES"
"""


class Launch(ClusterCase):
    def check_topology(self, ranks_per_node):
        with h5py.File(self.folder / "a.h5") as file:
            topology = file["topology"]
            node, local = topology["node"][()], topology["local_rank"][()]
            self.assertEqual(node.tolist(), numpy.repeat([0, 1], ranks_per_node).tolist())
            self.assertEqual(local.tolist(), [*range(ranks_per_node)] * 2)
            hosts = file["environment/host"].asstr()[()]
            self.assertEqual(hosts.tolist(),
                             numpy.repeat(["node0", "node1"], ranks_per_node).tolist())
            for when in ("before", "after"):
                # The nodes have one clock; offsets hold the moments when ranks began counting.
                error = topology[f"clock_error_{when}"][()]
                self.assertTrue((error[node == 0] == 0).all())
                self.assertTrue((error[node == 1] > 0).all() and (error < 0.01).all(), error)
                offset = topology[f"clock_offset_{when}"][()]
                self.assertTrue((abs(offset) < 0.1 + error).all(), offset)
            moved = topology["clock_offset_after"][()] - topology["clock_offset_before"][()]
            errors = topology["clock_error_after"][()] + topology["clock_error_before"][()]
            self.assertTrue((abs(moved) <= errors).all(), (moved, errors))

    def test_sbatch_srun_on_two_nodes(self):
        out = self.completes(self.submit("run.sbatch", *QUICK, "-o", "a.h5"))
        self.assertIn("4 ranks on 2 nodes", out)
        self.check_topology(2)

    def test_sbatch_mpirun_on_two_nodes(self):
        self.site(launcher="mpirun", ranks=4)
        out = self.completes(self.submit("run.sbatch", *QUICK, "-o", "a.h5"))
        self.assertIn("8 ranks on 2 nodes", out)
        self.check_topology(4)

    def test_srun_alone(self):
        done = self.on_head("srun", "--mpi=pmix", "--kill-on-bad-exit=1", "-N2",
                            "--ntasks-per-node=2", PROGRAM, "run", *QUICK, "-o", "a.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("4 ranks on 2 nodes", done.stdout)

    def test_tasks_without_pmix_end_before_a_file_is_touched(self):
        done = self.on_head("srun", "--mpi=none", "-N2", "--ntasks-per-node=2", PROGRAM, "run",
                            *QUICK, "-o", "a.h5")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stderr.count("gembench: srun started 4 tasks and MPI knows of one"),
                         1, done.stderr)
        self.assertEqual(list(self.folder.glob("a.h5*")), [])

    def test_the_same_job_submitted_twice(self):
        self.site(ranks=1)  # both find room at the same time
        words = [word for word in run_of(2000)[1:-1] if word not in ("--profile", "p.h5")]

        def submit(number):
            return self.submit("run.sbatch", *words, "-o", "a.h5",
                               options=["-N1", f"--output={number}.txt"])
        jobs = [submit(1)]
        self.cluster.wait((self.folder / "a.h5.lock").exists, "owner of a.h5")
        jobs += [submit(2)]
        ends = [self.ended(job)[:2] for job in jobs]
        printed = [(self.folder / f"{n}.txt").read_text() for n in (1, 2)]
        self.assertEqual(ends, [("COMPLETED", 0), ("FAILED", 4)], printed)
        self.assertRegex(printed[1], r"gembench: a.h5 is being written by process \d+ on node[01]: ")
        with h5py.File(self.folder / "a.h5") as file:
            self.assertTrue(numpy.isfinite(file["step_time"][()]).all())
        # The one that was refused, once more: there is nothing left to do, and it says so.
        self.assertEqual(self.ended(submit(3))[:2], ("COMPLETED", 0))
        self.assertIn("# a.h5 was finished before, nothing was run",
                      (self.folder / "3.txt").read_text())

    def test_a_mistake_is_said_once_and_ends_with_2(self):
        for launcher in ("srun", "mpirun"):
            self.site(launcher=launcher)
            (self.folder / "out.txt").unlink(missing_ok=True)
            job = self.submit("run.sbatch", *QUICK, "-o", "a.h5", "--placements", "nonsense")
            self.assertEqual(self.ended(job)[:2], ("FAILED", 2), self.printed())
            self.assertEqual(self.printed().count("gembench: "), 1, self.printed())

    def test_a_rank_sees_the_gpus_of_its_local_rank(self):
        (self.folder / "who").write_text(WHO)
        (self.folder / "who").chmod(0o755)
        who = {"GEMBENCH": f"{self.folder}/who"}
        for launcher, binding, seen in (("srun", "all", ["0,1,2,3"] * 2),
                                        ("srun", "one", ["0", "1"]),
                                        ("mpirun", "all", ["0,1,2,3"] * 2)):
            self.site(launcher=launcher, gpus=4, binding=binding)
            (self.folder / "out.txt").unlink(missing_ok=True)
            out = self.completes(self.submit("run.sbatch", environment=who))
            self.assertEqual(sorted(out.splitlines()),
                             sorted(f"rank node{node} {local} sees {seen[local]}"
                                    for node in (0, 1) for local in (0, 1)), launcher)

    def test_a_crash_while_starting_is_tried_once_more(self):
        program = self.folder / "crashes"
        # SEGV of the first, or TERM of those that were not as far: srun reports the largest code.
        for again, ends in (("[[ -e tried ]] && exit\n", [("COMPLETED", 0)]),
                            ("", [("FAILED", 139), ("FAILED", 143)])):
            program.write_text(f"#!/bin/bash\n{again}sleep 0.5\ntouch tried\nkill -SEGV $$\n")
            program.chmod(0o755)
            job = self.submit("run.sbatch", environment={"GEMBENCH": program})
            self.assertIn(self.ended(job)[:2], ends, self.printed())
            self.assertEqual(self.printed().count("launch.sh: a rank crashed"), 1)
            (self.folder / "out.txt").unlink()

    def test_a_sweep_skips_what_is_done_and_continues_what_is_not(self):
        self.reference()
        (self.folder / "sweep.csv").write_text(
            "output;placements;seed\ndone.h5;linear;1\na.h5;linear,gem;1\nnew.h5;linear;2\n")
        words = [word for word in RUN if word not in ("--placements", "linear,gem")]
        self.completes(self.submit("run.sbatch", *words, "--placements", "linear", "--seed", "1",
                                   "-o", "done.h5"))
        self.cluster.limit(SLOW_LINK)
        cut_off = self.submit("run.sbatch", *RUN, "--seed", "1", "-o", "a.h5")
        self.wait_for_a_block()
        self.term(cut_off)
        self.ended(cut_off)
        self.cluster.limit(None)
        before = (self.folder / "done.h5").read_bytes()

        job = self.submit("sweep.sbatch", "sweep.csv", *words, options=["--output=%a.txt"])
        for row in (1, 2, 3):
            state = self.ended(f"{job}_{row}")[:2]
            out = (self.folder / f"{row}.txt").read_text()
            self.assertEqual(state, ("COMPLETED", 0), out)
            self.assertEqual(out.splitlines()[-2], "# check: PASS")
            self.assertEqual("# resumed last at" in out, row == 2, out)
        self.assertEqual((self.folder / "done.h5").read_bytes(), before)
        self.is_whole()

    def test_term_before_the_time_limit(self):
        self.reference()
        for launcher in ("srun", "mpirun"):
            self.site(launcher=launcher)
            job = self.submit("run.sbatch", *LONG_RUN, "-o", f"{launcher}.h5")
            self.wait_for_a_block(f"{launcher}.h5")
            self.term(job)
            state, code, seconds = self.ended(job)
            self.assertEqual((state, code), ("FAILED", 1), self.printed())
            print(f"  {launcher}: {seconds:.1f} s")
            self.assertEqual(self.printed().count("gembench: interrupted by SIGTERM"), 1, self.printed())
            (self.folder / "out.txt").unlink()

    def test_dry_run_prints_the_commands(self):
        done = self.on_head(TOP / "jobs/submit.sh", "-N4", "run.sbatch", "-o", "a.h5",
                            environment={"DRY_RUN": "1"})
        self.assertIn("sbatch --ntasks-per-node=2 --partition=main -N4 ", done.stdout)
        done = self.on_head(TOP / "jobs/run.sbatch", "-o", "a.h5",
                            environment={"DRY_RUN": "1", "GEMBENCH_TOP": TOP})
        self.assertIn("srun --mpi=pmix --kill-on-bad-exit=1", done.stdout)
        self.assertIn("run --resume -o a.h5", done.stdout)


if __name__ == "__main__":
    main()
