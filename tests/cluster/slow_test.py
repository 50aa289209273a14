#!/usr/bin/python3
"""What takes Slurm half a minute of waiting, and more of the faults."""

from cluster_case import LONG_RUN, RUN, SLOW_LINK, ClusterCase, main


class Slow(ClusterCase):
    def test_slurm_itself_signals_before_the_time_limit(self):
        self.reference()
        # A minute is the shortest limit; Slurm looks twice a minute and rather signals too early.
        job = self.submit("run.sbatch", *LONG_RUN, "-o", "a.h5",
                          options=["--time=1", "--signal=B:TERM@20"])
        self.assertEqual(self.ended(job)[:2], ("FAILED", 1), self.printed())
        self.assertEqual(self.printed().count("gembench: interrupted by SIGTERM"), 1, self.printed())
        self.is_readable()

    def test_a_job_is_queued_again_where_the_site_wants_it(self):
        self.reference()
        self.site(requeue="yes")
        self.cluster.limit(SLOW_LINK)
        job = self.submit("run.sbatch", *RUN, "-o", "a.h5", options=["--requeue"])
        self.wait_for_a_block()
        self.term(job)
        self.cluster.wait(lambda: self.state(job)[0] == "PENDING", "job queued again")
        self.cluster.wait(lambda: not self.left(0), "end of the first run")
        # Slurm would wait two minutes.
        self.cluster.call("scontrol", "update", f"JobId={job}", "StartTime=now")
        self.assertIn("# resumed last at", self.completes(job))
        self.is_whole()

    def test_a_rank_is_killed_under_mpirun(self):
        code, _ = self.run_into(self.kill_a_rank, "mpirun")
        self.assertEqual(code, 137)

    def test_the_writing_rank_is_killed(self):
        self.run_into(lambda: self.kill_a_rank(0))

    def test_a_node_dies(self):
        code, ours = self.run_into(self.kill_node)
        self.assertEqual(code, 5)
        self.assertIn("ranks 0-1 on node0", ours[0])

    def test_the_network_is_cut_under_mpirun(self):
        # mpirun waits for its daemon until Slurm says that the node is down; it may crash then.
        _, ours = self.run_into(lambda: self.cluster.cut("node1"), "mpirun")
        self.assertEqual(len(ours), 1, ours)


if __name__ == "__main__":
    main()
