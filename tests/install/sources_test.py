"""Sources without git, read-only, in a folder of another: they configure, nothing is written into
them, and the program knows its commit."""

import pathlib
import shutil
import subprocess
import tarfile

from support import HANGS, TOP, CliTest, main

BUILD_HANGS = 3000  # s


class Sources(CliTest):
    def setUp(self):
        super().setUp()
        if not shutil.which("git") or self.git("-C", TOP, "rev-parse", "HEAD", fails=True).returncode:
            self.skipTest("there is no git, or this is no clone")

    def git(self, *words, fails=False):
        done = subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *map(str, words)],
                              cwd=self.folder, capture_output=True, text=True, timeout=HANGS)
        if not fails:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def unpacked(self):
        """What `git archive`, and so the target dist, makes of the last commit."""
        self.git("-C", TOP, "archive", "--prefix=gembench/", "-o", self.folder / "a.tar.gz", "HEAD")
        with tarfile.open(self.folder / "a.tar.gz") as archive:
            archive.extractall(self.folder)
        return self.folder / "gembench"

    def commit_of(self, sources, *more):
        header = self.folder / "git_commit.hpp"
        header.unlink(missing_ok=True)
        done = self.call("cmake", f"-DSOURCE_DIR={sources}", f"-DHEADER={header}", *more, "-P",
                         pathlib.Path(sources) / "harness/git_commit.cmake")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return header.read_text().split('"')[1]

    def test_the_commit(self):
        head = self.git("-C", TOP, "rev-parse", "--short", "HEAD").stdout.strip()
        sources = self.unpacked()
        self.assertEqual(self.commit_of(sources), head)
        self.assertEqual(self.commit_of(sources, "-DGEMBENCH_GIT=v9-stated"), "v9-stated")
        # Unpacked into another repository, it is not that one's.
        self.git("init", "-q", ".")
        self.git("commit", "-q", "--allow-empty", "-m", "another")
        self.assertEqual(self.commit_of(sources), head)
        # A clone asks git, whatever stands in the file.
        shutil.rmtree(self.folder / ".git")
        self.git("-C", sources, "init", "-q")
        (sources / "harness/git_commit.txt").write_text("$Format:%h$\n")
        self.git("-C", sources, "add", "CMakeLists.txt", "harness")
        self.git("-C", sources, "commit", "-q", "-m", "ours")
        ours = self.git("-C", sources, "rev-parse", "--short", "HEAD").stdout.strip()
        self.assertEqual(self.commit_of(sources), ours)
        (sources / "CMakeLists.txt").write_text("changed")
        self.assertEqual(self.commit_of(sources), f"{ours}-dirty")
        # Neither git nor an archive.
        shutil.rmtree(sources / ".git")
        self.assertEqual(self.commit_of(sources), "unknown")

    def test_they_build_without_git_and_are_left_as_they_were(self):
        sources = self.unpacked()
        self.addCleanup(self.call, "chmod", "-R", "u+w", sources)
        self.call("chmod", "-R", "a-w", sources)
        before = {path: path.lstat().st_mtime_ns for path in sources.rglob("*")}
        # By make, and without optimising, since it is not run for long.
        done = self.call("cmake", "-S", sources, "-B", self.folder / "out", "-G", "Unix Makefiles",
                         "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O0", "-DGEMBENCH_CUDA=OFF",
                         "-DGEMBENCH_TESTS=OFF", "-DGEMBENCH_UNITY=ON")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = subprocess.run(["cmake", "--build", self.folder / "out", "--parallel", "2"],
                              capture_output=True, text=True, timeout=BUILD_HANGS)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        head = self.git("-C", TOP, "rev-parse", "--short", "HEAD").stdout.strip()
        done = self.call(self.folder / "out/gembench", "--version")
        self.assertIn(f"(git {head})", done.stdout)
        self.assertEqual({path: path.lstat().st_mtime_ns for path in sources.rglob("*")}, before)


if __name__ == "__main__":
    main()
