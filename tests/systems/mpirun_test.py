"""jobs/mpirun_words.sh and jobs/local.sh give every mpirun words that it knows."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
AS_ROOT = ["--allow-run-as-root"] if os.geteuid() == 0 else []
OPEN_MPI = ["--oversubscribe", "--bind-to", "none", *AS_ROOT]
# What `mpirun --version` begins with, and the words.
MPIRUNS = {
    "mpirun (Open MPI) 4.1.4": OPEN_MPI,
    "mpirun (Open MPI) 5.0.7": OPEN_MPI,
    "prterun (PRRTE) 3.0.8": OPEN_MPI,
    "HYDRA build details:\n    Version: 4.2.1": ["--bind-to", "none"],
    "Another launcher 1.0": [],
}


class Mpirun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gembench-mpirun-")
        self.addCleanup(folder.cleanup)
        self.mpirun = pathlib.Path(folder.name) / "mpirun"
        self.environment = {**os.environ, "PATH": f"{folder.name}:{os.environ['PATH']}"}

    def call(self, *words, **more):
        return subprocess.run(words, capture_output=True, text=True, timeout=600, check=True,
                              env={**self.environment, **more}).stdout.split()

    def test_words_of_every_mpirun(self):
        for version, words in MPIRUNS.items():
            self.mpirun.write_text(f"#!/bin/sh\necho '{version}'\n")
            self.mpirun.chmod(0o755)
            with self.subTest(version=version):
                script = str(TOP / "jobs/mpirun_words.sh")
                self.assertEqual(self.call(script), words)
                self.assertEqual(self.call(script, str(self.mpirun)), words)
                shown = self.call(str(TOP / "jobs/local.sh"), "-n", "3", "run", "-q", DRY_RUN="1",
                                  GEMBENCH="/x/gembench")
                self.assertEqual(shown, ["mpirun", *words, "-n", "3", "/x/gembench", "run", "-q"])

    def test_mpich_adds_nothing_to_our_sentence(self):
        abort = ("Abort(2) on node 0 (rank 0 in comm 0): application called "
                 "MPI_Abort(MPI_COMM_WORLD, 2) - process 0")
        for said in (["gembench: a sentence"], []):
            lines = "\n".join([*said, abort])
            self.mpirun.write_text(f"#!/bin/sh\n[ $1 = --version ] && exec echo HYDRA\n"
                                   f"cat >&2 <<'END'\n{lines}\nEND\nexit 2\n")
            self.mpirun.chmod(0o755)
            done = subprocess.run([TOP / "jobs/local.sh", "-n", "2", "run"], capture_output=True,
                                  text=True, timeout=600,
                                  env={**self.environment, "GEMBENCH": "/bin/true"})
            self.assertEqual((done.returncode, done.stderr.splitlines()), (2, said or [abort]))

    def test_the_one_that_is_here_takes_them(self):
        words = self.call(str(TOP / "jobs/mpirun_words.sh"))
        many = str(4 * (os.cpu_count() or 1))
        self.assertEqual(self.call("mpirun", *words, "-n", many, "echo", "here"), ["here"] * int(many))


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
