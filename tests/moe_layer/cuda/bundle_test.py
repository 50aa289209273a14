"""The bundle of jobs/gpu_check.sh on a machine that has nothing, and the parts of gpu_check that need no
GPU: limits of time, the search for libraries."""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "end_to_end"))
from support import HANGS, PROGRAM, CliTest, main  # noqa: E402

TOP = pathlib.Path(os.environ["GEMBENCH_TOP"])
PARTS = TOP / "jobs/gpu_check"
# What a bundle takes for granted, beside bash.
TOOLS = ("awk cat cp cut date dirname env grep head id ls mkdir mktemp mv realpath rm sed sha256sum sleep "
         "sort stat tail tee timeout tr uname wc").split()
# Mounts what every machine has, makes the bundle unwritable, and goes in, with no variable of ours.
ENTER = """set -e
for name in proc dev sys; do mkdir -p $0/$name; mount --rbind /$name $0/$name; done
mount --bind $0/gembench-gpu-check $0/gembench-gpu-check
mount -o remount,ro,bind $0/gembench-gpu-check
exec chroot $0 env -i PATH=/bin GEMBENCH_SIMULATED_GPUS=1 "$@"
"""
# One GPU at 1500 MHz.
NVIDIA_SMI = """#!/bin/bash
case "$*" in
  --list-gpus) echo 'GPU 0: simulated' ;;
  *-lms*) while :; do echo '10:00, 0, 1500, 300.5, 45, 99'; sleep 0.1; done ;;
  *) echo '0, simulated' ;;
esac
"""
# Finds nothing; the first of the tools does start the program, which then is alone, without mpirun.
SANITIZER = """#!/bin/bash
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


class Bundle(CliTest):
    def test_runs_where_there_is_nothing(self):
        if shutil.which("unshare") is None or os.geteuid() != 0 or subprocess.run(
                ["unshare", "-m", "chroot", "/", "true"], capture_output=True, check=False).returncode:
            self.skipTest("only root may enter a bare machine")
        made = self.call(TOP / "jobs/gpu_check.sh", "--bundle", "b.tar")
        self.assertEqual(made.returncode, 0, made.stderr)
        root = self.folder / "root"
        bare_root(root)
        subprocess.run(["tar", "-xf", "b.tar", "-C", root], cwd=self.folder, check=True)
        bundle = root / "gembench-gpu-check"
        shares = root / "libnccl.so.2"  # as far as its text says
        shares.write_text("MULTI_RANK_GPU_ENABLE")

        def run(*words):
            return self.call("unshare", "-m", "bash", "-c", ENTER, root, "GEMBENCH_NCCL=/libnccl.so.2",
                             "GEMBENCH_SIMULATED_NCCL=23000", "bash",
                             "-c", "cd /work && exec /gembench-gpu-check/run -t -o out \"$@\"", "run", *words)

        done = run()
        page = (root / "work/out/page.txt").read_text() if (root / "work/out").exists() else ""
        self.assertEqual(done.returncode, 0, page + done.stdout + done.stderr)
        self.assertEqual(page, done.stdout)
        for part in ("with the bundle's own glibc\n", "NO GPU: ", "verdict: PASS", "  two launches",
                     "check_8_f32                  PASS", ", time-shared: 8 ranks on one GPU\n",
                     "check_nccl_2                 PASS", "memcheck                     PASS",
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


class Limits(CliTest):
    """runner.sh"""

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
