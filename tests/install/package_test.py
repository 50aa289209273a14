"""The Debian packages that cpack makes: what is in them, and what they depend on."""

import shutil

from installed import BUILD, InstalledTest
from support import main


class Package(InstalledTest):
    def setUp(self):
        super().setUp()
        for tool in ("dpkg-deb", "dpkg-shlibdeps", "file"):
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed")
        self.good_bare("cpack", "--config", BUILD / "CPackConfig.cmake", "-G", "DEB", "-B", self.folder / "made")
        self.packages = {path.name.split("_")[0]: path for path in (self.folder / "made").glob("*.deb")}

    def field(self, package, name):
        return self.good_bare("dpkg-deb", "--field", self.packages[package], name).rstrip("\n")

    def files(self, package):
        listed = self.good_bare("dpkg-deb", "--contents", self.packages[package])
        return {line.split()[5].removeprefix("."): line.split()[0] for line in listed.splitlines()}

    def test_the_packages(self):
        self.assertLessEqual({"gembench", "libgembench-planner1", "libgembench-dev"}, self.packages.keys())
        depends = self.field("gembench", "Depends")
        for library in ("libc6", "libstdc\\+\\+6", "libhdf5-[0-9]", "libdnnl", "libhwloc15", "openmpi-bin|mpich"):
            self.assertRegex(depends, rf"(^|, )({library})")
        self.assertEqual(self.field("gembench", "Section"), "science")
        self.assertEqual(self.field("libgembench-dev", "Section"), "libdevel")
        self.assertRegex(self.field("libgembench-dev", "Depends"), r"libgembench-planner1 \(= .*libfmt-dev")
        for package in ("gembench", "libgembench-planner1", "libgembench-dev"):
            self.assertRegex(self.field(package, "Maintainer"), r"^.+ <\S+@\S+>$")
            self.assertGreater(len(self.field(package, "Description").splitlines()), 1)
            self.assertIn(f"/usr/share/doc/{package}/copyright", self.files(package))

        files = self.files("gembench")
        for name in ("bin/gembench", "bin/gembench-report", "share/gembench/jobs/local.sh"):
            self.assertEqual(files[f"/usr/{name}"], "-rwxr-xr-x")
        for name in ("share/man/man1/gembench.1", "share/gembench/analysis/gembench_analysis/main.py",
                     "share/bash-completion/completions/gembench", "share/doc/gembench/CHANGELOG.md"):
            self.assertEqual(files[f"/usr/{name}"], "-rw-r--r--")
        self.assertFalse([name for name in files if "/include/" in name or "__pycache__" in name])
        self.assertIn("/usr/include/gembench/placement/strategies/strategy.hpp", self.files("libgembench-dev"))

        self.good_bare("dpkg-deb", "--extract", self.packages["gembench"], self.folder / "root")
        self.it_runs(self.folder / "root/usr")


if __name__ == "__main__":
    main()
