"""`--device cuda` as a user starts it, with the simulated plugin next to a copy of the program."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "end_to_end"))
from support import HANGS, PROGRAM, CliTest, main  # noqa: E402

# A simulated GPU is slow: what is tested here shows at the smallest shapes.
TINY = ["--model", "gpt-oss-20b", "--scale", "45", "--layers", "2", "--tokens", "64", "--steps", "4",
        "--block", "2", "--profile-seconds", "0", "--plan-steps", "16", "--soak", "0", "-q"]
RUN = ["run", *TINY, "--device", "cuda", "--placements", "linear,gem", "-o", "a.h5"]
ONE_WAY = ["--expert-products", "cublas-grouped"]  # so that few calls come before the first step
REAL = os.environ.get("GEMBENCH_REAL", "")  # the program next to nvcc's plugin, if built
NVML = os.environ.get("GEMBENCH_FAKE_NVML", "")  # a folder with a libnvidia-ml.so.1


def simulated(**settings):
    """Words before a command that set variables of the simulation."""
    return ["env", *[f"GEMBENCH_SIMULATED_{name}={value}" for name, value in settings.items()]]


class CudaTest(CliTest):
    def on_ranks(self, ranks, *words, env=()):
        return self.call(*env, pathlib.Path(os.environ["GEMBENCH_TOP"]) / "jobs/local.sh", "-n",
                         ranks, *words)

    def passes(self, ranks, *words, env=()):
        done = self.on_ranks(ranks, *words, env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.splitlines()[-2], "# check: PASS")
        return done.stdout

    def fails(self, code, ranks, *words, env=(), says=()):
        done = self.on_ranks(ranks, *words, env=env)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for part in says:
            self.assertIn(part, done.stderr)
        return done.stderr


class Runs(CudaTest):
    def test_placements_side_by_side_at_several_rank_counts(self):
        # The gate decides and is replayed on 4 ranks, a GPU is slow on 8.
        for ranks, more in ((1, ["--dtype", "bf16"]), (2, ["--dtype", "f32"]),
                            (4, ["--routing", "router"]), (8, ["--slowdown", "1,1,1,1,1,1,1,1.5"])):
            with self.subTest(ranks=ranks):
                out = self.passes(ranks, *RUN, *more, "--overwrite")
                self.assertEqual("emulated" in out.lower(), ranks == 8)
                self.assertIn("simulated", out.splitlines()[0] + out.splitlines()[1])
                self.assertIn("clock wall", out)
                with h5py.File(self.folder / "a.h5") as f:
                    self.assertIn("simulated", f.attrs["device"])
                    self.assertEqual(f.attrs["clock"], "wall")
                    for phase in ("route", "dispatch", "expert", "combine"):
                        host, gpu = f[f"{phase}_time"][:], f[f"gpu/{phase}_time"][:]
                        self.assertTrue((gpu > 0).all(), phase)
                        self.assertTrue((gpu <= host + 1e-6).all(), phase)
                    uuids = {u for u in f["environment/gpu_uuid"][:]}
                    for name in ("barrier_floor", "gpu_event_floor"):
                        self.assertRegex(f[f"environment/{name}"].asstr()[0], r"^\d+\.\d\d us$")
                    ways = f["environment/expert_products"].asstr()[0]
                    self.assertRegex(ways, r"^cublas up to \d+ assignments$" if ranks == 2 else
                                     r"^(cublas|cutlass)\S* up to \d+ assignments")
                    self.assertEqual(f["environment/expert_products_failed"].asstr()[0], "none")
                    self.assertEqual(f["environment/gpu_timer_step"].asstr()[0], "not measured")
                    self.assertEqual(len(uuids), ranks)
                    # Without NVML nothing is reported, and the file says so.
                    self.assertTrue(numpy.isnan(f["gpu/clock_before"][:]).all())
                    self.assertTrue((f["gpu/throttle_reasons_after"][:] == -1).all())
                    self.assertTrue(numpy.isnan(f["gpu/clock_mean"][:]).all())
                    if ranks > 1:
                        self.assertGreater(f["segments/bytes_moved"][:].sum(), 0)

    def test_what_is_computed_is_what_the_cpu_computes(self):
        self.passes(2, *RUN, "--dtype", "f32")
        on_cpu = [word for word in RUN if word not in ("--device", "cuda", "a.h5")]
        self.good(*on_cpu, "b.h5", "--clock", "wall", "--dtype", "f32", ranks=2)
        with h5py.File(self.folder / "a.h5") as a, h5py.File(self.folder / "b.h5") as b:
            for name in ("assignments", "active_experts", "bytes_sent", "metadata_bytes"):
                numpy.testing.assert_array_equal(a[name][0], b[name][0], err_msg=name)

    def test_hierarchical_dispatch_sends_what_the_cpu_sends(self):
        nodes = ["--dispatch", "hierarchical", "--ranks-per-node", "2", "--dtype", "f32"]
        out = self.passes(4, *RUN, *nodes)
        self.assertIn("4 ranks on 2 nodes (as stated)", out)
        on_cpu = [word for word in RUN if word not in ("--device", "cuda", "a.h5")]
        self.good(*on_cpu, "b.h5", "--clock", "wall", *nodes, ranks=4)
        with h5py.File(self.folder / "a.h5") as a, h5py.File(self.folder / "b.h5") as b:
            for name in ("assignments", "bytes_sent", "inter_node_bytes", "metadata_bytes"):
                numpy.testing.assert_array_equal(a[name][0], b[name][0], err_msg=name)
            self.assertGreater(a["inter_node_bytes"][:].sum(), 0)

    def test_whole_steps(self):
        out = self.passes(2, *RUN, "--whole-steps")
        self.assertIn("WHOLE STEPS", out)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertTrue(numpy.isfinite(f["step_time"][:]).all())
            for name in ("layer_time", "gpu/expert_time"):
                self.assertTrue(numpy.isnan(f[name][:]).all(), name)

    def test_steps_as_graphs(self):
        graph = [*RUN, "--launch", "graph", "--check", "all", "--slowdown", "1,1.5",
                 "--ranks-per-node", "1"]
        out = self.passes(2, *graph, env=simulated(CLOCK_STEP=1024))
        self.assertIn("clock gpu-stamps: EVERY STEP IS ONE GRAPH", out)
        self.assertRegex(out, r"clocks are aligned within \d+\.\d us.* \(by --launch graph\)\n")
        self.assertIn("predictions of small loads are too high", out)
        share = re.search(r"rather too long: up to (\S+) % of a step may be none", out)
        times = [f"{name}_time" for name in ("route", "dispatch", "expert", "combine")]
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual((f.attrs["clock"], f.attrs["launch"]), ("gpu-stamps", "graph"))
            self.assertEqual(f.attrs["profile_clock"], "wall")
            for name in times:
                self.assertTrue((f[name][:] > 0).all(), name)
                self.assertTrue(numpy.isnan(f[f"gpu/{name}"][:]).all(), name)
            wait, layer = f["barrier_wait"][:], f["layer_time"][:]
            self.assertTrue((wait.min(axis=3) == 0).all())  # the slowest rank's
            compared = self.call(PROGRAM, "compare", "a.h5", "--format", "json")
            for row, waits in zip(json.loads(compared.stdout)["placements"], wait):
                last = (waits.argmin(axis=2) == row["straggler"]).mean()
                self.assertAlmostEqual(row["straggler_share"], last)
            numpy.testing.assert_allclose(sum(f[name][:] for name in times) + wait, layer,
                                          rtol=1e-4, atol=1e-6)
            numpy.testing.assert_allclose(layer.sum(axis=2) + f["start_wait"][:].sum(axis=2),
                                          f["step_time"][:], rtol=1e-4, atol=1e-6)
            errors = [f[f"topology/clock_error_{when}"][:] for when in ("before", "after")]
            self.assertTrue((numpy.array(errors) > 0).all())
            steps = f["step_time"][:].max(axis=2).mean(axis=1)
            self.assertAlmostEqual(float(share[1]),
                                   min(100, 100 * 2 * numpy.max(errors) * 2 / steps.min()), delta=0.1)
            self.assertEqual(list(f["environment/gpu_timer_step"].asstr()), ["1.024 us"] * 2)
        # An unfinished run goes on as it began, and in no other way.
        (self.folder / "a.h5").rename(self.folder / "a.h5.partial")
        with h5py.File(self.folder / "a.h5.partial", "r+") as f:
            f.attrs["completed"] = numpy.int64(0)
            f["block"][1, 2:] = -1
            f["step_time"][1, 2:] = numpy.nan
        self.fails(2, 2, *[word for word in graph if word not in ("--launch", "graph")], "--resume",
                   says=["--launch", "graph"])
        self.passes(2, *graph, "--resume")
        with h5py.File(self.folder / "a.h5") as f:
            self.assertTrue(numpy.isfinite(f["step_time"][:]).all())
        self.fails(2, 1, *graph, "--transport", "mpi", says=["--launch graph needs sends without"])
        # It plans on a profile that was measured before, as other runs do.
        shape = TINY[:TINY.index("--steps")]
        done = self.on_ranks(2, "profile", *shape, "--profile-seconds", "0", "--soak", "0", "-q",
                             "--device", "cuda", "-o", "p.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        shutil.copy(self.folder / "p.h5", self.folder / "q.h5")
        with h5py.File(self.folder / "p.h5", "r+") as f:
            self.assertIn(" assignments", f["environment/expert_products"].asstr()[0])
            f["environment/expert_products"][0] = "zen"
        told = json.loads(self.good("profile", "--with", "p.h5", "--compare", "q.h5", "--format", "json"))
        self.assertTrue(told["comparison"]["other_machine"][0].startswith(
            "expert products changed: zen now, "), told["comparison"]["other_machine"])
        out = self.passes(2, *RUN, "--launch", "graph", "--profile", "p.h5", "--overwrite")
        self.assertIn("NOTE: p.h5 was measured with expert products zen, and this run has ", out)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(f.attrs["profile_source"], "p.h5")

    def test_mpi_also_where_ranks_share_a_gpu(self):
        one, may = simulated(GPUS=1), "NCCL_MULTI_RANK_GPU_ENABLE=1"
        self.fails(3, 2, *RUN, env=one, says=["ranks 0 and 1 share GPU-", "--transport mpi"])
        # An NCCL before 2.30 does not know the variable, and every rank must have it.
        self.fails(3, 2, *RUN, env=[*simulated(GPUS=1, NCCL=22809), may],
                   says=["share GPU-", "2.30 on (here: 2.28.9)"])
        done = self.on_ranks(2, *RUN, env=[*simulated(GPUS=1, NCCL=23000), may])
        self.assertIn("(RANKS SHARE A GPU: no time is a rank's own)", done.stdout, done.stderr)
        self.passes(2, *RUN, "--overwrite", "--transport", "mpi", env=one)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertIn("MPI", f["environment/transport"].asstr()[0])
            self.assertIn("RANKS SHARE A GPU", f.attrs["clock_reason"])

    def test_clocks_are_recorded_locked_and_set_free(self):
        log = self.folder / "nvml.log"
        env = [*simulated(NVML_LOG=log), f"LD_LIBRARY_PATH={NVML}"]
        out = self.passes(2, *RUN, "--lock-clocks", "1200", env=env)
        self.assertIn("# GPUs while measuring: clock 1500 to 1500 MHz, power ", out)
        self.assertIn(" at most, 45 to 45 degC; clocks were held down on ranks 0, 1 (power cap)\n", out)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(list(f["gpu/clock_before"][:]), [1.5e9, 1.5e9])
            self.assertEqual(list(f["gpu/power_after"][:]), [123, 123])
            # While steps were measured, too.
            self.assertTrue((f["gpu/readings"][:] >= 1).all())
            self.assertEqual(list(f["gpu/clock_mean"][:]), [1.5e9, 1.5e9])
            self.assertEqual(list(f["gpu/temperature_max"][:]), [45, 45])
            self.assertEqual(list(f["gpu/throttle_reasons_during"][:]), [4, 4])
            count = f["gpu/readings"][:]
            numpy.testing.assert_array_equal(f["gpu/energy"][:],  # two readings show what one adds
                                             numpy.where(count > 1, count - 1, numpy.nan))
            self.assertEqual(list(f["gpu/throttle_reasons_after"][:]), [4, 4])
            self.assertEqual(f["environment/locked_clocks"].asstr()[1], "1200 MHz")
        self.assertEqual(sorted(log.read_text().splitlines()),
                         ["lock 0 1200 1200", "lock 1 1200 1200", "reset 0", "reset 1"])
        # Also when the job fails on one rank, and when it is asked to end.
        log.unlink()
        self.fails(3, 1, *RUN, "--lock-clocks", "1200", "--overwrite",
                   env=[*env, "GEMBENCH_SIMULATED_MEMORY=168300000"], says=["GPU"])
        self.assertEqual(log.read_text().splitlines(), ["lock 0 1200 1200", "reset 0"])
        log.unlink()
        # Once only: a second SIGTERM makes mpirun kill its ranks, and killed ranks
        # cannot set clocks free. It kills a second after the first as well, so steps are short.
        long = [*(word if word != "4" else "8000" for word in RUN), "--check", "none"]
        stopped = subprocess.Popen(
            [*env, pathlib.Path(os.environ["GEMBENCH_TOP"]) / "jobs/local.sh", "-n", "1", *long,
             "--lock-clocks", "1200", "--overwrite"], cwd=self.folder,
            env={**os.environ, "GEMBENCH": PROGRAM}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(stopped.kill)
        begin = time.monotonic()
        while not log.exists() and time.monotonic() < begin + HANGS:
            time.sleep(0.1)
        stopped.terminate()
        self.assertNotEqual(stopped.wait(timeout=HANGS), 0)
        self.assertEqual(log.read_text().splitlines(), ["lock 0 1200 1200", "reset 0"])
        refused = [*env, "GEMBENCH_SIMULATED_FAULT=nvmlDeviceSetGpuLockedClocks:1:4"]
        self.fails(3, 1, *RUN, "--lock-clocks", "1200", "--overwrite", env=refused,
                   says=["--lock-clocks 1200", "Insufficient Permissions", "nvidia-smi -lgc"])

    def test_the_state_over_time_is_stored_and_told(self):
        # Since NVML was asked first: 0.2 s of warming up, then steady at 400 W, held down by its power.
        script = "0,1900,100,30,0;0.2,1500,400,60,0;0.201,1500,400,60,4"
        words = [*RUN, "--soak", "2", "--steps", "40", "--block", "20", "--warmup", "0"]
        out = self.passes(2, *words, env=[*simulated(NVML_SCRIPT=script), f"LD_LIBRARY_PATH={NVML}"])
        with h5py.File(self.folder / "a.h5") as f:
            self.assertIn("POWER_INSTANT", f["environment/gpu_power"].asstr()[0])
            soak = dict(f["soak"].attrs)
            self.assertGreaterEqual(soak["seconds"], 0.5)  # a window at least
            self.assertLess(soak["seconds"], 2 + HANGS)
            self.assertEqual(soak["steady"], int("unsteady" not in soak))
            self.assertEqual(out.count("not known to be steady before the first step"), 1 - soak["steady"])
            begins, ends = f["segments/begin"][:], f["segments/end"][:]
            self.assertTrue((begins[1:] >= ends[:-1]).all())
            self.assertTrue((f["segments/job"][:] == 0).all())
            starts = f["start_time"][:, :, 0, 0]
            for segment, placement in enumerate(f["segments/to_placement"][:]):
                first = f["segments/first_step"][segment]
                self.assertTrue(begins[segment] <= starts[placement, first] <= ends[segment])
            times, powers = f["series/time"][:], f["series/power"][:]
            for rank in range(2):
                known = numpy.isfinite(times[rank])
                time, power = times[rank][known], powers[rank][known]
                self.assertTrue((numpy.diff(time) > 0).all())
                self.assertLess(time[0], 0)  # the soak is in it
                late = time > 0.3 - soak["seconds"]  # NVML was asked before the soak
                self.assertTrue(late.any())
                self.assertTrue((power[late] == 401).all())  # of the moment, not the mean
                self.assertTrue((f["series/temperature"][rank][known][late] == 60).all())
                self.assertTrue((f["series/throttle_reasons"][rank][known][late] == 4).all())
                self.assertTrue((f["series/took"][rank][known] >= 0).all())
                self.assertTrue((f["series/job"][rank][known] == 0).all())
            tokens = f["expert_tokens"][:].sum() / 2 / f["model"].attrs["topk"]  # of a placement
            told, to = f["summary/energy_per_token"][:], f["segments/to_placement"][:]
        by_block = (ends - begins).max() > 1.5  # surely 10 readings
        self.assertTrue(numpy.isfinite(told).any() or not by_block)
        self.assertEqual(numpy.isfinite(told).any(), "by placement, of its blocks alone" in out)
        for placement in numpy.flatnonzero(numpy.isfinite(told)):  # 2 GPUs with 400 W each
            seconds = (ends - begins)[to == placement].sum()
            self.assertAlmostEqual(told[placement] / (2 * 400 * seconds / tokens), 1, delta=0.3)
        self.assertRegex(out, r"# energy: \S+ J a measured token, \S+ J an assignment, by the counter of 2 GPUs; ")
        for rank in range(2):
            self.assertRegex(out, rf"# WARNING: the clock of rank {rank}'s GPU on \S+ was held down in "
                             r"\S+ % of \d+ readings \(power cap in \S+ %\): ")
        self.assertRegex(out, r"# soaked for \S+ s \(\d+ untimed steps\) before the first measured step")
        told = json.loads(self.good("compare", "a.h5", "--format", "json"))
        self.assertGreater(told["gpus"]["energy"]["per_token"], 0)
        self.assertEqual(told["gpus"]["energy"]["gpus"], 2)
        self.assertGreater(len(told["gpus"]["findings"]), 1)
        self.assertEqual(told["soak"]["steps"], soak["steps"])


class GpuCheck(CudaTest):
    """jobs/gpu_check.sh, all but real GPUs: tiny shapes on the simulation."""

    def check(self, *env):
        return self.call("env", f"GEMBENCH={PROGRAM}", *env,
                         pathlib.Path(os.environ["GEMBENCH_TOP"]) / "jobs/gpu_check.sh", "-n", "2",
                         "-t", "-o", "page")

    def test_its_page_says_what_passed_and_what_failed(self):
        sanitizer = self.folder / "bin/compute-sanitizer"  # that finds a race
        sanitizer.parent.mkdir()
        sanitizer.write_text('#!/bin/sh\necho "$*" >>"$SEEN"\ncase "$2" in racecheck) exit 9;; esac\n')
        sanitizer.chmod(0o755)
        seen = self.folder / "seen"
        done = self.check(f"PATH={sanitizer.parent}:{os.environ['PATH']}", f"SEEN={seen}")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for line in ("memcheck                     PASS", "racecheck                    FAIL (exit code 9)",
                     "synccheck                    PASS", "initcheck                    PASS"):
            self.assertIn(line, done.stdout)
        calls = seen.read_text().splitlines()
        self.assertEqual(len(calls), 5)
        self.assertIn(" --expert-products cublas ", calls[0])
        self.assertIn(" --expert-products cutlass ", calls[4])
        self.assertIn("--tool memcheck --error-exitcode 9 --target-processes all --report-api-errors no ", calls[0])
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("verdict: PASS", done.stdout)
        self.assertRegex(done.stdout, r"graph_slow +PASS  \d+ s\n# clock gpu-stamps: EVERY STEP")
        for part in ("check_1_f32 ", "check_2_bf16 ", "check_mpi ", "NO GPU: ", "whole_steps ",
                     "median us of the expert phase", "gem+ vs linear",
                     *(f"{f'graph_{way}':28} PASS" for way in ("cublas-grouped", "cublas", "cublaslt", "cutlass"))):
            self.assertIn(part, done.stdout)
        for comparison, rows in (("ceiling", 11), ("exchange", 2), ("experts", 4), ("tax", 1),
                                 ("start barrier", 1), ("stages", 1)):
            found = [line for line in done.stdout.splitlines() if line.startswith(f"  {comparison} ")]
            self.assertEqual(len(found), rows, done.stdout)
            for line in found:
                self.assertTrue(line.endswith("no GPU, so no times"), line)
        self.assertTrue((self.folder / "page/compare.h5").exists())
        done = self.check("GEMBENCH_SIMULATED_GPUS=1")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("verdict: FAIL", done.stdout)
        self.assertIn("share GPU-", done.stdout)


class GpuCheckLines(unittest.TestCase):
    """Its numbers, from records as a GPU would give them."""

    def lines(self, bench, **more):
        record = {"bench": bench, "shape": "some", "ranks": 2, "device": "cuda: H100", "unit": "",
                  "work": 0, "ours": [2e-6, 2e-6, 1e-3], "reference": [1e-6, 1e-6, 1e-6], **more}
        return self.awk(bench, "other\n" + json.dumps(record, separators=(",", ":")))

    def awk(self, bench, text):
        script = pathlib.Path(os.environ["GEMBENCH_TOP"]) / "jobs/gpu_check/lines.awk"
        return subprocess.run(["awk", "-v", f"bench={bench}", "-f", script], input=text,
                              capture_output=True, text=True, check=False)

    def test_rates_and_shares(self):
        done = self.lines("exchange", unit="byte", work=4e3)
        self.assertIn("ours       2.0 us, NCCL alone       1.0 us, ratio 0.500, 2.0 GB/s",
                      done.stdout)
        self.assertIn("ratio 0.500, 3.0 TFLOP/s",
                      self.lines("experts", unit="FLOP", work=6e6).stdout)
        self.assertIn("+100.00 %", self.lines("tax").stdout)
        self.assertIn("  ceiling       some                                         2 ranks  4250 GB/s",
                      self.lines("ceiling", unit="GB/s", value=4250.1).stdout)
        self.assertIn("ran on the simulation", self.lines("tax", device="simulated GPU").stdout)
        self.assertEqual(self.awk("tax", "").returncode, 1)


class Jobs(unittest.TestCase):
    def dry_run(self, settings, *command):
        """The words that a script would start with these settings, a line each."""
        top = pathlib.Path(os.environ["GEMBENCH_TOP"])
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as site:
            site.write((top / "jobs/site.sh").read_text() + settings + "\n")
            site.flush()
            done = subprocess.run(
                ["bash", top / "jobs" / command[0], *command[1:], "-o", "a.h5"],
                capture_output=True, text=True, check=True,
                env={**os.environ, "GEMBENCH_SITE": site.name, "DRY_RUN": "1"})
        return done.stdout.split()

    def test_a_rank_with_a_gpu_asks_for_cpus(self):
        for settings, expected in (("gpus_per_node=8", "--cpus-per-task=4"), ("", None),
                                   ("gpus_per_node=8\ncpus_per_rank=16", "--cpus-per-task=16")):
            words = [word for word in self.dry_run(settings, "submit.sh", "run.sbatch")
                     if word.startswith("--cpus-per-task")]
            self.assertEqual(words, [expected] if expected else [])

    def test_mpirun_binds_no_rank_with_a_gpu_to_a_core(self):
        for settings, expected in (("gpus_per_node=8", ["none"]), ("", []),
                                   ("gpus_per_node=8\nlauncher_options=(--bind-to numa)", ["numa"])):
            words = self.dry_run("launcher=mpirun\n" + settings, "run.sbatch")
            self.assertEqual(words[0], "mpirun")
            bound = [after for word, after in zip(words, words[1:]) if word == "--bind-to"]
            self.assertEqual(bound, expected, settings)


class Failures(CudaTest):
    def test_no_gpu(self):
        text = self.fails(3, 2, *RUN, env=simulated(GPUS=0),
                          says=["driver for CUDA", "toolkit", "0 GPUs", "--device cpu"])
        self.assertEqual(text.count("gembench: "), 1, text)

    def test_no_plugin(self):
        shutil.copy(PROGRAM, self.folder / "gembench")
        done = self.call(self.folder / "gembench", *RUN)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("libgembench_cuda.so", done.stderr)
        (self.folder / "libgembench_cuda.so").write_text("not a library")
        done = self.call(self.folder / "gembench", *RUN)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("-DGEMBENCH_CUDA=ON", done.stderr)

    def test_a_plugin_of_another_commit(self):
        shutil.copy(PROGRAM, self.folder / "gembench")
        shutil.copy(pathlib.Path(PROGRAM).parent / "other/libgembench_cuda.so", self.folder)
        done = self.call(self.folder / "gembench", *RUN)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("libgembench_cuda.so was built from commit 0123abc and this program from ",
                      done.stderr)
        self.assertEqual(done.stderr.count("gembench: "), 1, done.stderr)
        # Some other library, or a plugin from before it said its commit.
        shutil.copy(pathlib.Path(NVML) / "libnvidia-ml.so", self.folder / "libgembench_cuda.so")
        done = self.call(self.folder / "gembench", *RUN)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("gembench_cuda_commit", done.stderr)

    @unittest.skipUnless(REAL, "the plugin of nvcc was not built")
    def test_the_real_plugin_says_what_it_finds(self):
        if pathlib.Path("/dev/nvidiactl").exists():
            self.skipTest("there is a GPU")
        done = self.call(REAL, *RUN)
        self.assertEqual(done.returncode, 3, done.stderr)
        for part in ("driver for CUDA none", "toolkit", "0 GPUs"):
            self.assertIn(part, done.stderr)

    def test_out_of_memory_before_and_while_it_is_taken(self):
        self.fails(3, 2, *RUN, env=simulated(MEMORY=34_000_000),
                   says=["GPU", "--tokens", "--scale"])
        self.fails(3, 2, *RUN, env=simulated(FAULT="cudaMalloc:20:2:1"),
                   says=["GPU 1 of rank 1", "MiB of device memory", "--tokens"])

    def test_an_error_on_one_rank_ends_all(self):
        self.fails(1, 4, *RUN, *ONE_WAY, "--timeout", "60", env=simulated(FAULT="cudaLaunchKernelExC:1200:700:2"),
                   says=["GPU 2 of rank 2", "failed (layer "])
        self.fails(1, 4, *RUN, "--timeout", "60", "--overwrite",
                   env=simulated(FAULT="ncclGroupEnd:30:3:1"),
                   says=["GPU 1 of rank 1", "ncclGroupEnd failed (layer "])
        # While rank 1 records a step, rank 0 waits to launch it.
        self.fails(1, 2, *RUN, *ONE_WAY, "--launch", "graph", "--timeout", "60", "--overwrite",
                   env=simulated(FAULT="cudaGraphInstantiate:70:2:1"),
                   says=["GPU 1 of rank 1", "cudaGraphInstantiate failed (layer "])

    def test_a_kernel_that_faults_is_noticed_at_the_next_wait(self):
        self.fails(1, 2, *RUN, *ONE_WAY, "--timeout", "60", env=simulated(FAULT="execution:2200:700:1"),
                   says=["GPU 1 of rank 1", " failed (layer ", "illegal memory access"])

    def test_what_does_not_fit_the_device_is_refused(self):
        self.fails(2, 1, *RUN, "--clock", "cpu-time", says=["--clock cpu-time"])
        self.fails(2, 1, *[w for w in RUN if w not in ("--device", "cuda")], "--lock-clocks", "9",
                   says=["--device cuda"])


if __name__ == "__main__":
    main()
