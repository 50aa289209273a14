"""This build, installed into the test's folder and moved from there: nothing of it may name the prefix."""

import os
import pathlib
import subprocess

from support import HANGS, SMALL, CliTest

BUILD = pathlib.Path(os.environ["GEMBENCH_BUILD"])
EXAMPLE = pathlib.Path(__file__).parent / "example"


class InstalledTest(CliTest):
    def install(self, *more):
        """Returns the prefix."""
        done = self.call("cmake", "--install", BUILD, "--prefix", self.folder / "first", *more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return (self.folder / "first").rename(self.folder / "moved")

    def bare(self, *words, **environment):
        """As someone who has no clone: in the test's folder, without variables of ours."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GEMBENCH")}
        return subprocess.run([str(word) for word in words], cwd=self.folder, timeout=HANGS,
                              capture_output=True, text=True, env={**kept, **environment})

    def good_bare(self, *words, **environment):
        done = self.bare(*words, **environment)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def it_runs(self, prefix):
        """The program, a measured run by the installed script, and its report."""
        self.assertRegex(self.good_bare(prefix / "bin/gembench", "--version"), r"^gembench \d+\.\d+\.\d+ \(git ")
        self.good_bare(prefix / "share/gembench/jobs/local.sh", "-n", 2, "run", *SMALL, "--placements",
                       "linear,gem", "-o", "a.h5")
        self.assertIn("linear", self.good_bare(prefix / "bin/gembench", "compare", "a.h5"))
        done = self.bare(prefix / "bin/gembench-report", "a.h5")
        if done.returncode == 3 and "h5py" in done.stderr:
            return
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("gem", (self.folder / "a.html").read_text())
