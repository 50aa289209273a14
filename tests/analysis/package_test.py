#!/usr/bin/python3
"""The package installs, its command runs, its types hold."""

import shutil
import subprocess
import sys

from analysis_support import HANGS, TOP, ReportTest, main


class Package(ReportTest):
    def test_it_installs_and_its_command_runs(self):
        shutil.copytree(TOP / "analysis", self.folder / "analysis", ignore=shutil.ignore_patterns(
            "__pycache__", "build", "*.egg-info"))
        made = self.call(sys.executable, "-m", "venv", "--system-site-packages", "env")
        if made.returncode:
            self.skipTest("python3-venv is not installed")
        done = self.call("env/bin/pip", "install", "--no-index", "--no-build-isolation",
                         "--no-deps", "./analysis")
        if "setuptools" in done.stderr and done.returncode:
            self.skipTest("setuptools is not installed")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.made("run.h5")
        done = self.call("env/bin/gembench-report", "run.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater((self.folder / "run.html").stat().st_size, 50_000)

    def test_types_hold(self):
        if shutil.which("mypy") is None:
            self.skipTest("mypy is not installed")
        done = subprocess.run(["mypy", "--cache-dir", self.folder / "cache", "-p",
                               "gembench_analysis"], cwd=TOP / "analysis", capture_output=True,
                              text=True, timeout=HANGS)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    main()
