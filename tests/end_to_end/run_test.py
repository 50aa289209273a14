"""The main job under mpirun: what it prints, what it stores, and that it ends well or badly."""

import os
import pathlib
import signal
import subprocess
import time

import h5py
import numpy

from support import PROGRAM, SMALL, TOP, CliTest, main


class MainJob(CliTest):
    def test_three_placements_on_four_ranks(self):
        out = self.good("run", "--model", "qwen3-30b-a3b", "--scale", "8", "--layers", "2",
                        "--steps", "16", "--warmup", "2", "--placements", "linear,eplb,gem",
                        "--variability", "high", "--output", "a.h5", ranks=4)
        self.assertEqual(out.splitlines()[-1], "# check: PASS")
        self.assertEqual(self.good("compare", "a.h5"), out, "compare prints the same of the file")
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(f["barrier_wait"].shape, (3, 16, 2, 4))
            self.assertEqual([name.decode() for name in f["placement"][:]],
                             ["linear", "eplb", "gem"])
            self.assertEqual(f.attrs["completed"], 1)
            # Every token-expert pair was computed, in every layer of every step.
            self.assertTrue((f["tokens"][:].sum(axis=3) == 1024 * 8).all())
            # Placements ran the same steps, each once, in an order of blocks that was drawn.
            self.assertEqual(sorted(f["order"][:].ravel()), list(range(48)))
            self.assertTrue((f["block"][:] == f["block"][0]).all())
            numpy.testing.assert_allclose(sorted(f["slowdown"][:]), [1, 1.08, 1.17, 1.277])
            # What the ranks computed is what the placement says of the stored loads.
            loads, slots = f["expert_tokens"][:], f["slots"][:]
            for p in range(3):
                for layer in range(2):
                    expected = loads[:, layer][:, slots[p, layer]].sum(axis=2)
                    numpy.testing.assert_array_equal(f["tokens"][p, :, layer], expected)
            self.assertGreater(f["moves/bytes"][:].sum(), 0, "weights moved between ranks")

    def test_on_shared_cpus_nothing_is_said_about_communication(self):
        out = self.good("run", *SMALL, "--clock", "cpu-time", "-o", "a.h5", ranks=2)
        self.assertIn("# clock cpu-time", out)
        with h5py.File(self.folder / "a.h5") as f:
            for name in ("start_time", "start_wait", "dispatch_time", "combine_time"):
                self.assertTrue(numpy.isnan(f[name][:]).all(), name)
            arrival = f["route_time"][:] + f["expert_time"][:]
            slowest = arrival.max(axis=3, keepdims=True)
            numpy.testing.assert_allclose(f["barrier_wait"][:], slowest - arrival, atol=1e-7)
            numpy.testing.assert_allclose(f["step_time"][:, :, 0], slowest[..., 0].sum(axis=2),
                                          rtol=1e-5)

    def test_on_the_wall_clock_phases_add_up(self):
        self.good("run", *SMALL, "--clock", "wall", "-o", "a.h5", ranks=1)
        with h5py.File(self.folder / "a.h5") as f:
            parts = sum(f[name][:] for name in ("start_wait", "route_time", "dispatch_time",
                                                "expert_time", "barrier_wait", "combine_time"))
            numpy.testing.assert_allclose(parts.sum(axis=2), f["step_time"][:], rtol=0.01)

    def test_the_slow_rank_is_named(self):
        out = self.good("run", *SMALL, "--preset", "even", "--placements", "linear", "--slowdown",
                        "1,1,1,1.5", "--clock", "cpu-time", "-o", "a.h5", "--format", "csv",
                        ranks=4)
        names, row = (line.split(",") for line in out.splitlines())
        self.assertEqual(row[names.index("straggler")], "3")
        self.assertGreater(float(row[names.index("straggler_share")]), 0.9)

    def test_the_gate_decides_once_and_every_placement_replays_it(self):
        out = self.good("run", *SMALL, "--routing", "gate", "--placements", "linear,gem", "-o", "a.h5", ranks=4)
        self.assertIn("gate (decided once", out)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertTrue((f["tokens"][:].sum(axis=3) == 128 * 4).all())

    def test_resident_experts_do_not_move(self):
        words = ["run", *SMALL, "--placements", "linear,round-robin", "-o", "a.h5", "--overwrite"]
        self.good(*words, ranks=2)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(len(f["moves/move"]), 4, "two placements in two blocks")
        out = self.good(*words, "--resident", ranks=2)
        self.assertIn("experts resident", out)
        self.assertEqual(out.splitlines()[-1], "# check: PASS")
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(len(f["moves/move"]), 0)

    def test_every_check_and_shared_experts(self):
        out = self.good("run", "--model", "deepseek-v3", "--scale", "64", "--layers", "1",
                        "--tokens", "64", "--steps", "4", "--block", "2", "--profile-seconds", "0",
                        "--plan-steps", "8", "--check", "all", "-q", "-o", "a.h5", ranks=2)
        self.assertIn("softmax + top-k", out, "what our router simplifies is said")
        self.assertEqual(out.splitlines()[-1], "# check: PASS")

    def test_layers_may_share_weights(self):
        out = self.good("run", *SMALL, "--weight-layers", "1", "-o", "a.h5", ranks=2)
        self.assertIn("layers share 1 sets of weights", out)

    def test_a_profile_of_its_own_is_planned_with(self):
        self.good("profile", *SMALL[:8], "--profile-seconds", "0", "--slowdown", "1,2",
                  "--clock", "cpu-time", "-o", "p.h5", ranks=2)
        with h5py.File(self.folder / "p.h5") as f:
            latency = f["latency"][:]
            self.assertEqual(latency.shape, (2, len(f["knot"])))
        planned = ["run", *SMALL, "--slowdown", "1,2", "--profile", "p.h5", "-o", "a.h5", "--clock"]
        refused = self.gembench(*planned, "wall", ranks=2)
        self.assertEqual(refused.returncode, 2, "seconds of two clocks are not mixed")
        self.assertIn("pass --clock cpu-time", refused.stderr)
        out = self.good(*planned, "cpu-time", ranks=2)
        self.assertEqual(out.splitlines()[-1], "# check: PASS")


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


class Killed(CliTest):
    def test_one_killed_rank_ends_the_job_and_loses_no_finished_block(self):
        words = [word if word != "8" else "4000" for word in SMALL]
        job = subprocess.Popen([TOP / "jobs/local.sh", "-n", "2", "run", *words, "--placements",
                                "linear,eplb", "-o", "a.h5"], cwd=self.folder,
                               env={"GEMBENCH": PROGRAM, "PATH": "/usr/bin:/bin"},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            partial = self.folder / "a.h5.partial"
            deadline = time.monotonic() + 60
            while not partial.exists() or partial.stat().st_size < 200_000:
                self.assertLess(time.monotonic(), deadline, "no block was written")
                time.sleep(0.2)
            os.kill(ranks_of(self.folder)[-1], signal.SIGKILL)
            self.assertNotEqual(job.wait(timeout=10), 0)
        finally:
            job.kill()
        out = self.good("compare", "a.h5.partial")
        self.assertEqual(out.splitlines()[-1], "# check: INCOMPLETE")
        self.assertFalse((self.folder / "a.h5").exists())


if __name__ == "__main__":
    main()
