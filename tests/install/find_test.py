"""Which program and which Python the job scripts take, and what they say of a build folder that was
copied together with its sources."""

import shutil
import sys

from support import TOP, CliTest, main

FIND = 'set -euo pipefail; top=$1; source "$top/jobs/find.sh"; '
FAKE = """#!/bin/sh
{ echo "$0"; } >>"$(dirname "$0")/../asked"
exit %d
"""


class Find(CliTest):
    def setUp(self):
        super().setUp()
        shutil.copytree(TOP / "jobs", self.folder / "clone/jobs")
        (self.folder / "clone/CMakeLists.txt").touch()
        shutil.copytree(TOP / "jobs", self.folder / "prefix/share/gembench/jobs")

    def make(self, path, code=0):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FAKE % code)
        path.chmod(0o755)
        return str(path)

    def bash(self, does, top, **environment):
        """`does` in a script of the job scripts' folder; only what is named is in its environment."""
        named = {"PATH": "/usr/bin:/bin", **environment}
        return self.call("env", "-i", *[f"{name}={value}" for name, value in named.items()],
                         "bash", "-c", FIND + does, "some.sh", self.folder / top)

    def program(self, top, **environment):
        done = self.bash('find_gembench; echo "$program"', top, **environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.rstrip("\n")

    def test_the_program(self):
        tools = self.folder / "tools"
        tools.mkdir()
        for tool in ("bash", "realpath"):
            (tools / tool).symlink_to(shutil.which(tool))
        unbuilt = str(self.folder / "clone/build/release/gembench")  # what the scripts' message names
        self.assertEqual(self.program("clone", PATH=tools), unbuilt)
        on_path = self.make("elsewhere/gembench")
        path = {"PATH": f"{self.folder}/elsewhere:{tools}"}
        self.assertEqual(self.program("clone", **path), on_path)
        self.assertEqual(self.program("prefix/share/gembench", **path), on_path)
        installed = self.make("prefix/bin/gembench")
        self.assertEqual(self.program("prefix/share/gembench", **path), installed)
        self.assertEqual(self.program("clone", **path), on_path)
        built = self.make("clone/build/release/gembench")
        self.assertEqual(self.program("clone", **path), built)
        for top in ("clone", "prefix/share/gembench"):
            self.assertEqual(self.program(top, GEMBENCH="/some/gembench", **path), "/some/gembench")

    def python(self, **environment):
        done = self.bash('find_python; echo "$python"', "clone", **environment)
        return done.returncode, (done.stdout or done.stderr).rstrip("\n")

    def test_python(self):
        venv, conda, path = (self.make(f"{kind}/bin/python3") for kind in ("venv", "conda", "path"))
        all_of_them = {"VIRTUAL_ENV": self.folder / "venv", "CONDA_PREFIX": self.folder / "conda",
                       "PATH": f"{self.folder}/path/bin:/usr/bin:/bin"}
        self.assertEqual(self.python(**all_of_them), (0, venv))
        self.make("venv/bin/python3", 1)  # has no h5py
        self.assertEqual(self.python(**all_of_them), (0, conda))
        self.make("conda/bin/python3", 1)
        self.assertEqual(self.python(**all_of_them), (0, path))
        self.make("path/bin/python3", 1)
        if self.call("/usr/bin/python3", "-c", "import h5py, h5netcdf, xarray").returncode == 0:
            self.assertEqual(self.python(**all_of_them), (0, "/usr/bin/python3"))
        # What is asked for is taken, or nothing.
        own = self.make("own/bin/python3")
        self.assertEqual(self.python(GEMBENCH_PYTHON=own, **all_of_them), (0, own))
        self.make("own/bin/python3", 1)
        code, said = self.python(GEMBENCH_PYTHON=own, **all_of_them)
        self.assertEqual(code, 1)
        self.assertIn(f"some.sh: h5py, h5netcdf or xarray is missing from {own}: ", said)

    def test_the_report_says_which(self):
        done = self.call("env", f"GEMBENCH_PYTHON={sys.executable}", TOP / "jobs/report.sh", "--help")
        if done.returncode == 3:
            self.skipTest("h5py, h5netcdf or xarray is not installed")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"report.sh: Python is {sys.executable}\n", done.stderr)
        done = self.call("env", f"GEMBENCH_PYTHON={sys.executable}", TOP / "jobs/report.sh", "-q", "none.h5")
        self.assertNotIn("Python is", done.stderr)

    def test_a_build_folder_of_other_sources(self):
        (self.folder / "clone/tests").mkdir()
        shutil.copy(TOP / "tests/run.sh", self.folder / "clone/tests")
        build = self.folder / "clone/build/release"
        build.mkdir(parents=True)
        (build / "CMakeCache.txt").write_text("CMAKE_HOME_DIRECTORY:INTERNAL=/another/clone\n")
        for script in ("jobs/quickstart.sh", "tests/run.sh"):
            done = self.call(self.folder / "clone" / script)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertRegex(done.stderr, r"^\S+\.sh: \S*build/release was made for the sources in "
                                          r"/another/clone: delete it \(rm -r \S*build/release\) and "
                                          r"start again\n$")
        # Its own passes, by another name too.
        (self.folder / "link").symlink_to("clone")
        for name in ("clone", "link"):
            (build / "CMakeCache.txt").write_text(f"CMAKE_HOME_DIRECTORY:INTERNAL={self.folder}/{name}\n")
            done = self.bash('require_own_build "$top/build/release"; echo passed', "clone")
            self.assertEqual(done.stdout + done.stderr, "passed\n")

    def test_make_where_there_is_no_ninja(self):
        choose = 'choose_preset; echo "$preset"'
        tools = self.folder / "tools"
        tools.mkdir()
        for tool in ("bash", "grep", "env"):
            (tools / tool).symlink_to(shutil.which(tool))
        self.assertEqual(self.bash(choose, "clone", PATH=tools).stdout, "release-make\n")
        (tools / "ninja").symlink_to("/bin/true")
        self.assertEqual(self.bash(choose, "clone", PATH=tools).stdout, "release\n")
        cache = self.folder / "clone/build/release/CMakeCache.txt"
        cache.parent.mkdir(parents=True)
        cache.write_text("CMAKE_GENERATOR:INTERNAL=Unix Makefiles\n")
        self.assertEqual(self.bash(choose, "clone", PATH=tools).stdout, "release-make\n")
        # The preset writes where the scripts look.
        (self.folder / "clone/build").rename(self.folder / "gone")
        shutil.copy(TOP / "CMakePresets.json", self.folder / "clone")
        (self.folder / "clone/CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(nothing LANGUAGES NONE)\n")
        done = self.call("cmake", "--preset", "release-make", "-S", self.folder / "clone")
        if shutil.which("make"):
            self.assertIn("CMAKE_GENERATOR:INTERNAL=Unix Makefiles", cache.read_text(), done.stderr)


if __name__ == "__main__":
    main()
