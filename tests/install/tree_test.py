"""What `cmake --install` makes, moved elsewhere: it runs, other programs plan with its library, and
nothing in it names where it was or was built."""

import shutil

from installed import BUILD, EXAMPLE, InstalledTest
from support import TOP, main


class Tree(InstalledTest):
    def test_it_runs_where_it_was_moved_to(self):
        prefix = self.install()
        self.it_runs(prefix)
        # By a link on the PATH too.
        (self.folder / "bin").mkdir()
        (self.folder / "bin/gembench-report").symlink_to(prefix / "bin/gembench-report")
        done = self.bare("bin/gembench-report", "--help")
        self.assertIn(done.returncode, (0, 3), done.stderr)
        self.assertNotIn("No such file", done.stderr)
        # What sbatch would be given finds its scripts in the prefix.
        submitted = self.good_bare(prefix / "share/gembench/jobs/submit.sh", "run.sbatch", "-o", "b.h5", DRY_RUN="1")
        self.assertIn(f"{prefix}/share/gembench/jobs/run.sbatch", submitted)
        started = self.good_bare("bash", prefix / "share/gembench/jobs/run.sbatch", "-o", "b.h5", DRY_RUN="1",
                                 GEMBENCH_TOP=str(prefix / "share/gembench"))
        self.assertIn(f" {prefix}/bin/gembench run ", started)

    def test_nothing_names_where_it_was(self):
        prefix = self.install()
        texts = 0
        for path in prefix.rglob("*"):
            if not path.is_file() or b"\0" in path.read_bytes()[:4096] or path.suffix == ".a":
                continue
            text = path.read_text()
            texts += 1
            for folder in (TOP, BUILD, self.folder / "first"):
                self.assertNotIn(str(folder), text, path)
        self.assertGreater(texts, 100)

    def test_pages_and_licence(self):
        prefix = self.install()
        share = prefix / "share"
        self.assertEqual((share / "man/man1/gembench.1").read_text(), self.good("man"))
        for shell, where in (("bash", "bash-completion/completions/gembench"),
                             ("zsh", "zsh/site-functions/_gembench"),
                             ("fish", "fish/vendor_completions.d/gembench.fish")):
            self.assertEqual((share / where).read_text(), self.good("completion", shell))
        for name in ("LICENSE", "CHANGELOG.md"):
            self.assertEqual((share / "doc/gembench" / name).read_text(), (TOP / name).read_text())
        if shutil.which("man"):
            self.assertIn("--placements", self.good_bare("man", "-l", share / "man/man1/gembench.1", MANPAGER="cat",
                                                         MANWIDTH="100", LC_ALL="C", MAN_KEEP_FORMATTING=""))

    def test_the_cuda_device_is_looked_for_beside_it(self):
        prefix = self.install("--component", "program")
        version = self.good_bare(prefix / "bin/gembench", "--version")
        self.assertRegex(version, r"(?m)^devices cpu$")
        plugin = prefix / "lib/gembench/libgembench_cuda.so"
        plugin.parent.mkdir(parents=True)
        plugin.write_text("not a library")
        self.assertRegex(self.good_bare(prefix / "bin/gembench", "--version"), r"(?m)^devices cpu.+cuda")
        done = self.bare(prefix / "bin/gembench", "run", "--device", "cuda", "--layers", "1", "--dry-run")
        self.assertEqual(done.returncode, 3)
        self.assertIn(str(plugin), done.stderr)

    def planned(self, program):
        linear, gem = self.good_bare(program).split("\n")[:2]
        self.assertTrue(linear.startswith("linear ") and gem.startswith("gem "))
        self.assertLess(float(gem.split()[1]), float(linear.split()[1]))

    def libraries(self):
        """The tree with the C library and what compiles with both libraries."""
        prefix = self.install("--component", "planner")
        self.good_bare("cmake", "--install", BUILD, "--prefix", prefix, "--component", "development")
        return prefix

    def test_another_program_finds_the_library_by_cmake(self):
        prefix = self.libraries()
        example = f"-DEXAMPLE_C={prefix}/share/doc/libgembench-dev/example.c"
        self.good_bare("cmake", "-S", EXAMPLE, "-B", "build", example, f"-DCMAKE_PREFIX_PATH={prefix}")
        self.good_bare("cmake", "--build", "build")
        self.planned("build/plan")
        self.assertIn("step time", self.good_bare("build/example"))
        done = self.bare("cmake", "-S", EXAMPLE, "-B", "old", f"-Dgembench_DIR={prefix}/lib/cmake/gembench", example,
                         "-DCMAKE_DISABLE_FIND_PACKAGE_LibArchive=ON")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("LibArchive", done.stderr)

    def test_another_program_finds_the_library_by_pkg_config(self):
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is not installed")
        prefix = self.libraries()
        flags = {name: self.good_bare("pkg-config", "--cflags", "--libs", name,
                                      PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")).split()
                 for name in ("gembench-placement", "gembench-planner")}
        self.good_bare("c++", "-std=c++20", EXAMPLE / "plan.cpp", "-o", "plan", *flags["gembench-placement"])
        self.planned("./plan")
        self.good_bare("cc", prefix / "share/doc/libgembench-dev/example.c", "-o", "example", *flags["gembench-planner"])
        self.assertIn("step time", self.good_bare("./example", LD_LIBRARY_PATH=str(prefix / "lib")))

    def test_the_c_library_shows_its_functions_alone_and_needs_no_library_of_ours(self):
        library = self.libraries() / "lib/libgembench_planner.so"
        shown = self.good_bare("nm", "-D", "--defined-only", library)
        self.assertEqual({line.split()[-1].split("@")[0] for line in shown.splitlines()},
                         {"gembench_planner_1", "gembench_planner_version", "gembench_plan", "gembench_judge",
                          "gembench_invert"})
        needs = self.good_bare("readelf", "-d", library)
        self.assertNotRegex(needs, r"NEEDED.*(fmt|hdf5|mpi|archive|zip|yaml)")

    def test_every_public_header_needs_only_what_is_installed(self):
        include = self.install("--component", "development") / "include/gembench"
        headers = sorted(path.relative_to(include) for path in include.rglob("*.hpp"))
        self.assertGreater(len(headers), 60)
        (self.folder / "all.cpp").write_text("".join(f"#include <{header}>\n" for header in headers))
        self.good_bare("c++", "-std=c++20", "-fsyntax-only", f"-I{include}", "all.cpp")
        # And nothing of the libraries behind it.
        used = self.good_bare("c++", "-std=c++20", "-M", f"-I{include}", "all.cpp")
        self.assertNotRegex(used, "fmt/|nlohmann/|zlib|archive")


if __name__ == "__main__":
    main()
