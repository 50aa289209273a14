"""The bundle of jobs/gpu_check.sh on a machine that has nothing, and the parts of gpu_check that need no
GPU: limits of time, the search for libraries and GPUs."""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "end_to_end"))
from support import HANGS, PROGRAM, CliTest, main  # noqa: E402

TOP = pathlib.Path(os.environ["GEMBENCH_TOP"])
PARTS = TOP / "jobs/gpu_check"
# What a bundle takes for granted, beside bash.
TOOLS = ("awk cat cp cut date dirname env grep head id ls mkdir mktemp mv realpath rm sed sha256sum sleep "
         "sort stat tail tee timeout tr uname wc").split()
# A step of each kind: the others are tried in a clone by program_test.py.
SOME_STEPS = "@(bench_ceilings|bench_repeat*|check_1_bf16|check_8_f32|check_nccl_2|one_token_bf16|memcheck|racecheck|profile|soak)"
# Without network but for the loopback interface, where ip can start that.
ALONE = ["unshare", "-m", *(["-n"] if shutil.which("ip") else [])]
# Mounts what every machine has, makes the bundle unwritable, and goes in, with no variable of ours.
ENTER = """set -e
if command -v ip >/dev/null; then ip link set lo up; fi
for name in proc dev sys; do mkdir -p $0/$name; mount --rbind /$name $0/$name; done
mount --bind $0/gembench-gpu-check $0/gembench-gpu-check
mount -o remount,ro,bind $0/gembench-gpu-check
exec chroot $0 env -i PATH=/bin GEMBENCH_SIMULATED_GPUS=1 "$@"
"""
# One GPU at 1500 MHz. Where the driver's libraries lie, only LD_LIBRARY_PATH says.
NVIDIA_SMI = """#!/bin/bash
if [[ :$LD_LIBRARY_PATH: != *:/driver:* ]]; then echo 'no libnvidia-ml.so'; exit 12; fi
case "$*" in
  --list-gpus) printf '%s\\n' 'GPU 0: simulated' '  MIG 1g.18gb Device 0:' '  MIG 1g.18gb Device 1:' ;;
  *-lms*) while :; do echo '10:00, 0, 1500, 300.5, 45, 99'; sleep 0.1; done ;;
  *) echo '0, simulated' ;;
esac
"""
# Finds nothing; the first of the tools does start the program, which then is alone, without mpirun.
SANITIZER = """#!/bin/bash
if [[ $2 == racecheck ]]; then echo '========= Error: Device not supported. See the manual'; exit 1; fi
if [[ $2 != memcheck ]]; then exit; fi
while [[ $1 != */gembench ]]; do shift; done
exec "$@"
"""


def bare_root(root):
    """A machine with bash, coreutils, grep, sed and awk, and of glibc only what these use."""
    for folder in ("bin", "usr", "tmp", "work"):
        (root / folder).mkdir(parents=True)
    (root / "usr/bin").symlink_to("../bin")
    for tool in ("bash", *TOOLS):
        path = shutil.which(tool)
        shutil.copy(path, root / "bin" / tool)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for word in listed.split():
            library = root / word.lstrip("/")
            if word.startswith("/") and not library.exists():
                library.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, library)
    for name, script in (("nvidia-smi", NVIDIA_SMI), ("compute-sanitizer", SANITIZER)):
        (root / "bin" / name).write_text(script)
        (root / "bin" / name).chmod(0o755)


def needs(bundle, library):
    """The bundle with a device that asks for this library."""
    (bundle / "needs.txt").write_text(library + "\n")
    digest = hashlib.sha256((bundle / "needs.txt").read_bytes()).hexdigest()
    sums = (bundle / "sums.txt").read_text()
    (bundle / "sums.txt").write_text(re.sub(r"\w+(?=  \./needs\.txt\n)", digest, sums))


class Bundle(CliTest):
    def test_runs_where_there_is_nothing(self):
        if shutil.which("unshare") is None or os.geteuid() != 0 or subprocess.run(
                [*ALONE, "chroot", "/", "true"], capture_output=True, check=False).returncode:
            self.skipTest("only root may enter a bare machine")
        made = self.call(TOP / "jobs/gpu_check.sh", "--bundle", "b.tar")
        self.assertEqual(made.returncode, 0, made.stderr)
        root = self.folder / "root"
        bare_root(root)
        subprocess.run(["tar", "-xf", "b.tar", "-C", root], cwd=self.folder, check=True)
        bundle = root / "gembench-gpu-check"
        # An NCCL that lets ranks share a GPU, as far as its text says, lies where pip puts it.
        nccl = root / "opt/env/lib/python3.12/site-packages/nvidia/nccl/lib/libnccl.so.99"
        nccl.parent.mkdir(parents=True)
        nccl.write_text("MULTI_RANK_GPU_ENABLE")
        needs(bundle, nccl.name)

        def run(*words):
            return self.call(*ALONE, "bash", "-c", ENTER, root, "GEMBENCH_SIMULATED_NCCL=23000",
                             "LD_LIBRARY_PATH=/driver", "bash", "-c",
                             "cd /work && exec /gembench-gpu-check/run -t -o out \"$@\"", "run", *words)

        done = run("--only", SOME_STEPS)
        page = (root / "work/out/page.txt").read_text() if (root / "work/out").exists() else ""
        self.assertEqual(done.returncode, 0, page + done.stdout + done.stderr)
        self.assertEqual(page, done.stdout)
        for part in (f"found /{nccl.relative_to(root)}\n", "with the bundle's own glibc\n", "NO GPU: ",
                     "verdict: PASS", "  two launches: the same bits\n",
                     "check_8_f32                  PASS", ", time-shared: 8 ranks on one GPU\n",
                     "check_nccl_2                 PASS", "memcheck                     PASS",
                     "racecheck                    left out: Device not supported",
                     "median us of the expert phase",
                     "under load: clock 1500 MHz in the mean, 1500 at least; power 300 W"):
            self.assertIn(part, page)
        files = {file.name for file in (root / "work/out").iterdir()}
        self.assertLessEqual(len(files), 8, files)
        self.assertNotIn("FAIL", page)
        # Where the machine has all of a glibc that is new enough, that is used.
        for library in (bundle / "libc").iterdir():
            for folder in root.glob("lib/*-linux-gnu"):
                if not (folder / library.name).exists():
                    shutil.copy(library, folder)
        done = run("--only", "check_2_f32")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("check_2_f32                  PASS", done.stdout)
        self.assertNotIn("own glibc", done.stdout)
        # A part that got lost is missed at once.
        next(bundle.glob("lib/libfmt*")).unlink()
        done = run()
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertIn("is not complete: unpack it again", done.stderr)

    def test_a_name_says_how_it_is_packed(self):
        done = self.call(TOP / "jobs/gpu_check.sh", "--bundle", "b.zip")
        self.assertEqual(done.returncode, 2)
        self.assertIn("b.zip: the name ends in .tar.xz", done.stderr)


class Search(CliTest):
    """find_cuda.sh"""

    def find(self, *names, **variables):
        script = f'source {PARTS}/find_cuda.sh; find_cuda "$@" || exit 3; echo "$cuda_path"; echo "$cuda_found"'
        return subprocess.run(["bash", "-euc", script, "bash", *names], capture_output=True, text=True,
                              timeout=HANGS, check=False, env={"PATH": os.environ["PATH"], **variables})

    def test_in_the_named_folders_and_in_pythons_packages(self):
        wheel = self.folder / "site/nvidia/nccl/lib"
        named = self.folder / "named"
        python = self.folder / "bin/python3"
        for folder in (wheel, named, python.parent):
            folder.mkdir(parents=True)
        (wheel / "libnccl.so.99").touch()
        (named / "libcublas.so.99").touch()
        python.write_text(f"#!/bin/sh\necho {self.folder}/site\n")
        python.chmod(0o755)
        done = self.find("libcublas.so.99", "libnccl.so.99", LD_LIBRARY_PATH=str(named),
                         PATH=f"{python.parent}:{os.environ['PATH']}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[0], f"{named}:{wheel}")
        self.assertIn(f"found {wheel}/libnccl.so.99\n", done.stdout)

    def test_what_is_missing_is_named_with_a_remedy(self):
        for name, wheel in (("libnccl.so.99", "nvidia-nccl-cu13"), ("libcublas.so.99", "nvidia-cublas"),
                            ("libcublas.so.12.99", "nvidia-cublas-cu12")):
            done = self.find(name)
            self.assertEqual(done.returncode, 3)
            self.assertIn(f"{name} is not on this machine: install it (pip install {wheel}), or", done.stderr)


class Made(CliTest):
    """bundle.sh"""

    def test_it_says_with_what(self):
        (self.folder / "cutlass").mkdir()
        (self.folder / "cutlass/version.h").write_text(
            "#define CUTLASS_MAJOR 4\n#define CUTLASS_MINOR 2\n#define CUTLASS_PATCH 0\n")
        compiler = self.folder / "nvcc"
        compiler.write_text("#!/bin/bash\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
        compiler.chmod(0o755)
        cache = f"CMAKE_CUDA_COMPILER:FILEPATH={compiler}\nGEMBENCH_CUTLASS_FOLDER:PATH={self.folder}\n"
        needed = ", driver 580 or later; needs libcublas.so.13 libnccl.so.2; CUTLASS: "
        for cached, plugin, said in (
                (cache, "_ZN7cutlass13device_kernel", f"device cuda: CUDA 13.0{needed}4.2.0\n"),
                (cache, "", f"device cuda: CUDA 13.0{needed}no\n"),
                ("", "_ZN7cutlass13device_kernel", f"device cuda: CUDA 13{needed}yes\n")):
            (self.folder / "CMakeCache.txt").write_text(cached)
            (self.folder / "libgembench_cuda.so").write_text(plugin)
            (self.folder / "needs.txt").write_text("libcublas.so.13\nlibnccl.so.2\n")
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", f"source {PARTS}/bundle.sh; made_with . needs.txt"],
                                  capture_output=True, text=True, timeout=HANGS, check=False, cwd=self.folder)
            self.assertEqual((done.stdout, done.stderr), (said, ""))


class Gpus(CliTest):
    """gpus.sh"""

    def count(self, nvidia_smi, **variables):
        program = self.folder / "nvidia-smi"
        program.write_text("#!/bin/bash\n" + nvidia_smi)
        program.chmod(0o755)
        return subprocess.run(["bash", "-euc", f'source {PARTS}/gpus.sh; find_gpus || exit 3; echo "$gpus"'],
                              capture_output=True, text=True, timeout=HANGS, check=False,
                              env={"PATH": f"{self.folder}:{os.environ['PATH']}", **variables})

    def test_what_cannot_be_counted_is_said(self):
        done = self.count("echo 'Driver/library version mismatch'; echo more; exit 18")
        self.assertEqual(done.returncode, 3)
        self.assertIn('says "Driver/library version mismatch": mend that, or say -n GPUS', done.stderr)
        done = self.count("echo 'No devices were found'")
        self.assertEqual(done.returncode, 3)
        self.assertIn("lists no GPU: say -n GPUS", done.stderr)


    def test_of_mig_slices_and_visible_devices(self):
        listed = "".join(f"echo 'GPU {i}: some (UUID: GPU-{i})'; echo '  MIG 3g.71gb Device 0: (UUID: MIG-{i})'\n"
                         for i in range(4))
        for visible, gpus in ((None, 4), ("1", 1), ("2,3", 2), ("0,9,1", 1), ("GPU-0,GPU-3", 2), ("MIG-0,MIG-1", 1),
                              ("0,1,2,3,0", 4), ("08", 0), ("", 0), ("-1", 0)):
            done = self.count(listed, **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}))
            if gpus:
                self.assertEqual(done.stdout, f"{gpus}\n", (visible, done.stderr))
            else:
                self.assertEqual(done.returncode, 3, visible)
                self.assertIn(f"CUDA_VISIBLE_DEVICES='{visible}' leaves no GPU: ", done.stderr)


class Limits(CliTest):
    """runner.sh, and what ends gpu_check.sh"""

    def page(self, *steps):
        script = (f'top={TOP} work=. folder=. gpus=1 only="*" deadline=60\nset -uo pipefail\n'
                  f'source {PARTS}/runner.sh\nkill_after=1\ngroup some some\n' + "\n".join(steps))
        done = subprocess.run(["bash", "-c", script + '\necho "failed $failed"'], cwd=self.folder, timeout=HANGS,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_what_hangs_costs_its_own_time(self):
        page = self.page('step hangs 1 limited bash -c "echo gembench: so far; trap : TERM; while :; do sleep 1; done"',
                         "step next 5 echo fine", "step fails 5 false")
        self.assertRegex(page, r"hangs +FAIL \(not finished after 1 s\)  \d+ s\n    gembench: so far\n")
        self.assertRegex(page, r"next +PASS")
        self.assertRegex(page, r"fails +FAIL \(exit code 1\)")
        self.assertIn("failed 1", page)
        self.assertIn("fine", (self.folder / "some.txt").read_text())

    def test_a_late_benchmark_keeps_its_lines(self):
        record = '{"bench":"ceiling","shape":"copy","ranks":1,"device":"cuda: H200","value":4250,"unit":"GB/s"}'
        cut = record.replace("copy", "launch")[:-20]
        for last in ("sleep 60", "false"):
            (self.folder / "bench.sh").write_text(f"echo '{record}'\nprintf '%s' '{cut}'\n{last}\n")
            page = self.page("step bench_ceilings 1 limited bash bench.sh", "lines ceiling tax")
            self.assertRegex(page, r"bench_ceilings +FAIL ")
            self.assertRegex(page, r"\n  ceiling +copy +1 ranks  4250 GB/s\nfailed 1\n")
        self.assertIn("  no comparison 'tax' was made\nfailed 1\n",
                      self.page("step bench_layer 5 echo \"{}\"", "lines tax"))
        self.assertNotIn("no comparison", self.page("only=x", "step bench_layer 5 echo", "lines tax"))

    def test_what_is_impossible_here_is_left_out(self):
        page = self.page(*(f"impossible='error 999.*' step {name} 5 bash -c '{command}'" for name, command in (
            ("no_tool", "echo it failed: error 999 unknown; exit 9"), ("found", "echo hazard; exit 9"),
            ("passed", "echo error 999"))), "step later 5 bash -c 'echo error 999; exit 1'", "end_of_page || true")
        for line in (r"no_tool +left out: error 999 unknown\n", r"found +FAIL \(exit code 9\)", r"passed +PASS",
                     r"later +FAIL \(exit code 1\)", "verdict: FAIL, 1 of 4 steps left out"):
            self.assertRegex(page, line)

    def test_a_difference_where_there_is_none_is_warned_of(self):
        for low, high, warned in (("-3.41", "+0.02", False), ("+0.13", "+1.10", True), ("-9.00", "-0.20", True)):
            said = f"# linear#2 vs linear: step time +1 % (95 % CI {low} % .. {high} %, 24 blocks); by the means +1 %"
            page = self.page(f"source {PARTS}/steps.sh", f"step same 5 echo '{said}'", "no_difference",
                             "end_of_page || true")
            self.assertIn(said, page)
            self.assertEqual("  WARN: the interval leaves out 0" in page, warned)
            self.assertIn("verdict: PASS" + ", 1 warned" * warned + "\n", page)

    def test_what_is_ended_from_outside_says_so(self):
        program = self.folder / "gembench"
        program.write_text("#!/bin/bash\nsleep 60\n")
        program.chmod(0o755)
        page = self.folder / "out/page.txt"
        with subprocess.Popen([TOP / "jobs/gpu_check.sh", "-n", "1", "-t", "-o", "out"], cwd=self.folder,
                              env={**os.environ, "GEMBENCH": str(program)}, stdout=subprocess.DEVNULL,
                              start_new_session=True) as check:
            end = time.monotonic() + HANGS
            while "gembench on" not in (page.read_text() if page.exists() else "") and time.monotonic() < end:
                time.sleep(0.01)
            os.killpg(check.pid, signal.SIGKILL)
        self.assertRegex(page.read_text(), r"^NOT FINISHED: .*\ngembench on GPUs: ")
        self.assertEqual(list(page.parent.iterdir()), [page])

    def test_what_there_is_no_time_for_is_left_out(self):
        page = self.page("deadline=$((SECONDS + 5))", "step long 90 limited sleep 60", "step late 5 false")
        self.assertRegex(page, r"long +left out: no time for all of it\n")
        self.assertRegex(page, r"late +left out: no time\n")
        self.assertIn("failed 0", page)
        page = self.page("deadline=$((SECONDS + 5))", "step late 0 false; deadline=0; step later 5 true",
                         "end_of_page || true")
        self.assertIn("verdict: FAIL, 1 of 2 steps left out, see .", page)
        self.assertIn("verdict: none", self.page("minutes=1 only=x*", "step some 5 false", "end_of_page || true"))


if __name__ == "__main__":
    main()
