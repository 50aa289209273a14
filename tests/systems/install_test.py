"""jobs/install.sh asks for the names that a system has, on systems that this one is not: their apt is
made up."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
SUDO = "[[ $1 == env ]] && shift; exec \"$@\""
QUERY = """[[ " $INSTALLED " == *" ${!#} "* ]] || exit 1
echo 'install ok installed'"""
POLICY = """candidate='(none)'
[[ " $UNKNOWN " == *" $2 "* ]] || candidate=1.2-3
printf '%s:\\n  Installed: (none)\\n  Candidate: %s\\n' "$2" "$candidate\""""
GET = """for word; do
  if [[ $word == install ]]; then found=1; elif [[ ${found:-} && $word != -* ]]; then echo "$word"; fi
done >>"$ASKED\""""


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gembench-install-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, script in {"dpkg-query": QUERY, "apt-cache": POLICY, "apt-get": GET,
                             "sudo": SUDO}.items():
            path = self.folder / name
            path.write_text(f"#!/bin/bash\n{script}\n")
            path.chmod(0o755)

    def install(self, *words, installed="", unknown=""):
        """Exit code, what apt-get is asked for, and what is said."""
        asked = self.folder / "asked"
        asked.write_text("")
        done = subprocess.run([TOP / "jobs/install.sh", *words], capture_output=True, text=True,
                              timeout=600,
                              env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}",
                                   "INSTALLED": installed, "UNKNOWN": unknown,
                                   "ASKED": str(asked)})
        return done.returncode, asked.read_text().split(), done.stderr

    def test_the_first_name_that_apt_knows(self):
        _, asked, _ = self.install("--tests")
        self.assertIn("libclang-rt-dev", asked)
        self.assertNotIn("libclang-rt-14-dev", asked)
        code, asked, said = self.install("--tests", unknown="libclang-rt-dev")
        self.assertEqual(code, 0, said)
        self.assertIn("libclang-rt-14-dev", asked)

    def test_any_installed_name_will_do(self):
        _, asked, _ = self.install("--tests", installed="libclang-rt-14-dev")
        self.assertFalse([name for name in asked if "libclang-rt" in name])

    def test_what_only_tests_want_may_be_absent(self):
        code, asked, said = self.install("--tests", unknown="chromium chromium-driver")
        self.assertEqual(code, 0, said)
        self.assertNotIn("chromium", asked)
        self.assertIn("g++", asked)
        self.assertIn("skipped: chromium chromium-driver", said)

    def test_what_the_build_needs_may_not(self):
        code, asked, said = self.install(unknown="libdnnl-dev")
        self.assertEqual(code, 3, said)
        self.assertEqual(asked, [])
        self.assertIn("'libdnnl-dev'", said)

    def test_an_mpich_that_is_there_stays_alone(self):
        _, asked, _ = self.install()
        self.assertTrue({"libopenmpi-dev", "openmpi-bin"} <= set(asked))
        _, asked, _ = self.install(installed="libmpich-dev")
        self.assertIn("mpich", asked)
        self.assertFalse([name for name in asked if "openmpi" in name])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
