"""A user's mistakes: one sentence, once, and the right exit code, on one rank and on four; nothing is
lost and nothing is left in the way."""

import os
import pathlib
import shutil
import subprocess

import h5py

from support import PROGRAM, SMALL, TOP, CliTest, main, mpirun, small_but

CPU = pathlib.Path("/proc/cpuinfo").read_text()


class MistakesTest(CliTest):
    def refused(self, code, said, *words, ranks):
        self.one_sentence(self.gembench(*words, ranks=ranks), code, said)


class Mistakes(MistakesTest):
    def make_inputs(self):
        folder = self.folder
        (folder / "text.h5").write_text("this is not HDF5\n")
        (folder / "empty.h5").write_bytes(b"")
        (folder / "folder.h5").mkdir()
        (folder / "bad.ini").write_text("steps = 4\nwarm = 3\n")
        with h5py.File(folder / "foreign.h5", "w") as f:
            f["x"] = [1, 2, 3]
        self.good("trace", "make", "--model", "gpt-oss-20b", "--layers", "2", "--tokens", "64",
                  "--steps", "40", "-o", "good.h5")
        whole = (folder / "good.h5").read_bytes()
        (folder / "truncated.h5").write_bytes(whole[:len(whole) // 2])
        # Dimensions that no machine holds, with next to nothing stored.
        with h5py.File(folder / "good.h5") as good, h5py.File(folder / "huge.h5", "w") as f:
            for name, value in good.attrs.items():
                f.attrs[name] = value
            sizes = {"step": 1 << 30, "layer": 2, "expert": 32}
            for name, size in sizes.items():
                f.create_dataset(name, (size,), "i4", chunks=(min(size, 1024),)).make_scale(name)
            tokens = f.create_dataset("tokens", tuple(sizes.values()), "i4", chunks=(64, 2, 32))
            for i, name in enumerate(sizes):
                tokens.dims[i].attach_scale(f[name])
        self.good("trace", "make", "--model", "mixtral-8x7b", "--layers", "2", "--tokens", "64",
                  "--steps", "32", "-o", "mixtral.h5")
        self.good("profile", *SMALL[:8], "--profile-seconds", "0", "-o", "two.h5", ranks=2)

    def test_each_on_one_and_four_ranks(self):
        self.make_inputs()
        table = [
            (2, "no strategy 'best'", ["--placements", "best"]),
            (2, "unknown model", ["--model", "gpt-5"]),
            (2, "bogus", ["--bogus"]),
            (2, "warm", ["--warm", "3"]),
            (2, "--steps", ["--steps"]),
            (2, "--topk", ["--topk", "33"]),
            (2, "--slowdown", ["--slowdown", "nan"]),
            (2, "--slowdown", ["--slowdown", "-1"]),
            (2, "--slowdown", ["--slowdown", "1,1,1"]),
            (2, "--tokens-per-rank", ["--tokens-per-rank", "1,1,1"]),
            (2, "text.h5", ["--trace", "text.h5"]),
            (2, "empty.h5", ["--trace", "empty.h5"]),
            (2, "folder.h5", ["--trace", "folder.h5"]),
            (2, "foreign.h5", ["--trace", "foreign.h5"]),
            (2, "truncated.h5", ["--trace", "truncated.h5"]),
            (2, "huge.h5", ["--trace", "huge.h5"]),
            (2, "absent.h5", ["--trace", "absent.h5"]),
            (2, "--experts is 32 and mixtral.h5 has 8", ["--trace", "mixtral.h5", "--experts", "32"]),
            (2, "--topk is 4 and mixtral.h5 has 2", ["--trace", "mixtral.h5", "--topk", "4"]),
            (2, "--layers is 3 and mixtral.h5 has 2", ["--trace", "mixtral.h5", "--layers", "3"]),
            (2, "too few", ["--trace", "good.h5", "--plan-steps", "39"]),
            (2, "text.h5", ["--profile", "text.h5"]),
            (2, "two.h5 holds 2 ranks", ["--profile", "two.h5"]),
            (2, "bad.ini", ["--config", "bad.ini"]),
            (3, "AVX-512 BF16", ["--dtype", "bf16"]),
            (3, "GiB", ["--scale", "1", "--layers", "24", "--hidden", "100000"]),
        ]
        for ranks in (None, 4):  # without mpirun, and with it
            for code, said, words in table:
                if said == "AVX-512 BF16" and "avx512_bf16" in CPU:
                    continue
                given = small_but(words)
                if "--trace" in words:  # a trace has its own tokens
                    at = given.index("--tokens")
                    del given[at:at + 2]
                with self.subTest(words=words, ranks=ranks):
                    self.refused(code, said, "run", *given, "-o", "a.h5", "--overwrite",
                                 ranks=ranks)
        self.assertFalse(list(self.folder.glob("a.h5*")), "a refused run leaves no file")

    def test_more_ranks_than_experts(self):
        # A run that never measured leaves nothing behind that would be in the next one's way.
        for _ in range(2):
            self.refused(2, "use at most 2 ranks, or add --replicas 1", "run",
                         *small_but(["--experts", "2", "--topk", "2"]), "-o", "a.h5", ranks=3)

    def test_ranks_that_were_started_differently(self):
        # Open MPI 5.0.7's mpirun crashes over any two programs.
        if self.call(*mpirun(1), "true", ":", "-n", "1", "true").returncode < 0:
            self.skipTest("this mpirun crashes when it is to start two programs")
        run = [PROGRAM, "run", *SMALL, "-o", "a.h5"]
        launch = [*mpirun(1), *run, "--seed", "7", ":", "-n", "1", *run]
        self.one_sentence(self.call(*launch), 2, "rank 1 was started with other options")
        # A mistake that one rank alone can see.
        self.one_sentence(self.call(*launch, "--bogus"), 2, "bogus")

    def test_compare_refuses_what_is_no_result(self):
        (self.folder / "text.h5").write_text("this is not HDF5\n")
        for path in ("text.h5", "absent.h5"):
            self.refused(2, path, "compare", path, ranks=None)

    def test_a_file_that_only_others_may_read(self):
        if os.geteuid() == 0:
            self.skipTest("root reads everything")
        self.good("trace", "make", "--layers", "2", "--steps", "40", "-o", "t.h5")
        (self.folder / "t.h5").chmod(0)
        self.refused(2, "t.h5", "run", *SMALL, "--trace", "t.h5", "-o", "a.h5", ranks=4)


class BeforeAnythingIsMeasured(MistakesTest):
    """What files and numbers tell is looked at first: nothing may have been measured by then."""

    def early(self, code, said, *words, ranks=2):
        with self.subTest(words=words):
            done = self.gembench(*words, ranks=ranks)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertNotIn("measuring", done.stderr)
            self.assertIn(said, done.stderr.splitlines()[-1])
            self.no_epilogue(done)

    def test_placements(self):
        self.good("trace", "make", "--model", "mixtral-8x7b", "--layers", "2", "--tokens", "64",
                  "--steps", "32", "-o", "m.h5")
        self.good("plan", "--trace", "m.h5", "--ranks", "2", "-o", "mixtral.json")
        (self.folder / "bad.json").write_text("{}")
        (self.folder / "links").write_text("0 1 2")
        run = ["run", *[word for word in SMALL if word != "-q"], "-o", "a.h5", "--placements"]
        self.early(2, "32 on ", *run, "linear,exact")
        self.early(2, "no.json", *run, "linear,file:no.json")
        self.early(2, "bad.json", *run, "relabel:file:bad.json")
        self.early(2, "mixtral.json", *run, "linear,adapt:file:mixtral.json")
        self.early(2, "replicas", *run, "linear,eplb", "--spare-slots", "1", "--replicas", "50")
        self.early(2, "links", *run, "gem+", "--node-costs", "links", "--ranks-per-node", "1")
        self.assertFalse(list(self.folder.glob("a.h5*")), "a refused run leaves no file")

    def test_what_profile_needs(self):
        profile = ["profile", *SMALL[:8], "--profile-seconds", "0"]
        self.early(4, "nowhere/p.h5", *profile, "-o", "nowhere/p.h5")
        self.early(4, "folder", *profile, "-o", ".", "--overwrite")
        self.good(*profile, "-o", "one.h5", ranks=1)
        self.good("trace", "make", *SMALL[:8], "--steps", "8", "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", "--ranks", "4", "-o", "four.json")
        judged = [*profile, "--compare", "one.h5", "--trace"]
        for said, words in (("no.h5", ["no.h5", "--placement", "four.json"]),
                            ("no.json", ["t.h5", "--placement", "no.json"]),
                            ("on 4 ranks", ["t.h5", "--placement", "four.json"])):
            self.early(2, said, *judged, *words, ranks=1)

    def test_a_profile_of_another_shape(self):
        self.good("profile", *SMALL[:8], "--profile-seconds", "0", "-o", "p.h5", ranks=2)
        run = ["run", "-q", "-o", "a.h5", "--profile", "p.h5", "--layers", "2", "--tokens", "128",
               "--steps", "6", "--plan-steps", "8", "--placements", "linear", "--scale"]
        other = "f32" if "avx512_bf16" in CPU else "bf16"
        for said, words in (("measured for gpt-oss-20b/16", ["16", "--model", "olmoe-1b-7b"]),
                            ("measured for gpt-oss-20b/16", ["8"]),
                            ("hidden=64", ["16", "--hidden", "64"]),
                            ("16 experts a rank and this run has 32", ["16", "--experts", "64"]),
                            (f"gpt-oss-20b/16 {other}", ["16", "--dtype", other])):
            if words[-1] == "bf16":
                continue  # this CPU cannot
            with self.subTest(words=words):
                self.refused(2, said, *run, *words, ranks=2)
        self.assertFalse(list(self.folder.glob("a.h5*")))
        # Loads far beyond those profiled are named, and run.
        self.good("trace", "make", *SMALL[:6], "--tokens", "4096", "--steps", "16", "-o", "big.h5")
        words = [word for word in run if word not in ("--tokens", "128")]
        out = self.good(*words, "16", "--trace", "big.h5", ranks=2)
        self.assertRegex(out, r"# NOTE: in 6 of 6 steps a rank gets more .*\(up to 8192\) than the 512 that "
                              "p.h5 was measured up to")


class Launched(MistakesTest):
    def test_what_needs_no_mpi_is_done_once(self):
        out = self.good("trace", "make", *SMALL[:8], "--steps", "32", "-o", "t.h5", ranks=3)
        self.assertEqual(out.count("source synthetic"), 1)
        out = self.good("plan", "--trace", "t.h5", "--ranks", "2", "-o", "p.json", ranks=3)
        self.assertEqual(out.count("# result: p.json"), 1)
        for words in (["score", "--trace", "t.h5", "--ranks", "2", "p.json", "--format", "csv"],
                      ["trace", "info", "t.h5"], ["list"], ["plan", "--help"],
                      ["convert", "p.json", "--to", "sglang", "-o", "s.json", "--overwrite"]):
            self.assertEqual(self.good(*words, ranks=3), self.good(*words), words)
        for code, words in ((2, ["score", "--trace", "no.h5", "--ranks", "2"]),
                            (2, ["list", "--bogus"]), (2, ["walk"]),
                            (2, ["compare", "no.h5"]),
                            (4, ["plan", "--trace", "t.h5", "--ranks", "2", "-o", "p.json"])):
            alone = self.gembench(*words)
            self.one_sentence(alone, code, "")
            together = self.gembench(*words, ranks=3)
            self.one_sentence(together, code, "")
            self.assertEqual(together.stderr, alone.stderr)

    def test_an_error_of_one_rank_alone_has_no_epilogue_either(self):
        mpi = self.folder / "limited"
        mpi.write_text(f'#!/bin/bash\n((${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}})) && cd /nowhere 2>/dev/null\n'
                       f'exec {PROGRAM} "$@"\n')
        mpi.chmod(0o700)
        done = self.call("env", f"GEMBENCH={mpi}", TOP / "jobs/local.sh", "-n", 2, "run", *SMALL,
                         "--model", "none", "-o", "a.h5")
        self.one_sentence(done, 2, "")
        # What is not ours to say stays, whatever this mpirun says: nothing of gembench's was printed.
        done = self.call("env", "GEMBENCH=/bin/false", TOP / "jobs/local.sh", "-n", 2, "run")
        alone = self.call(*mpirun(2), "/bin/false")
        self.assertNotEqual(alone.returncode, 0)
        self.assertEqual(done.returncode, alone.returncode)
        # It says more or less from time to time, but not nothing.
        self.assertEqual(bool(done.stderr.strip()), bool(alone.stderr.strip()), done.stderr + alone.stderr)

    def test_one_rank_without_a_launcher_is_told_what_to_type(self):
        words = [word for word in SMALL if word != "-q"]
        said = "jobs/local.sh -n 4 run"
        done = self.gembench("run", *words, "-o", "a.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count(said), 1)
        done = self.gembench("run", *words, "-o", "a.h5", "--overwrite", ranks=1)
        self.assertEqual((done.returncode, done.stderr.count(said)), (0, 0), "one rank was asked for")
        for out in (done.stdout, self.good("compare", "a.h5")):
            self.assertIn("# no verdict: 1 rank holds every expert under each placement", out)
            self.assertNotIn(" vs ", out)
        done = self.gembench("run", *words, "--dry-run")
        self.assertEqual((done.returncode, done.stderr.count(said)), (0, 0))


class Outputs(MistakesTest):
    def test_what_exists_is_never_overwritten(self):
        (self.folder / "there.h5").write_text("kept")
        (self.folder / "half.h5.partial").write_text("kept")
        for ranks in (1, 4):
            self.refused(4, "there.h5", "run", *SMALL, "-o", "there.h5", ranks=ranks)
            self.refused(4, "half.h5.partial", "run", *SMALL, "-o", "half.h5", ranks=ranks)
            self.refused(4, "nowhere", "run", *SMALL, "-o", "nowhere/a.h5", ranks=ranks)
            self.refused(2, "half.h5.partial", "run", *SMALL, "-o", "half.h5", "--resume",
                         ranks=ranks)
        self.assertEqual((self.folder / "there.h5").read_text(), "kept")
        self.assertEqual((self.folder / "half.h5.partial").read_text(), "kept")

    def test_a_folder_that_cannot_be_written(self):
        if os.geteuid() == 0:
            # Root writes everywhere but where the kernel says no.
            folder = "/proc/sys"
        else:
            folder = self.folder / "shut"
            folder.mkdir(mode=0o500)
        for ranks in (1, 4):
            self.refused(4, f"{folder}/a.h5", "run", *SMALL, "-o", f"{folder}/a.h5", ranks=ranks)

    def test_a_disk_that_is_too_small_is_noticed_before_anything_is_measured(self):
        mount = "mkdir -p full && mount -t tmpfs -o size=300k none full"
        if not shutil.which("unshare") or subprocess.run(
                ["unshare", "-m", "bash", "-c", mount], cwd=self.folder,
                capture_output=True).returncode:
            self.skipTest("this user may not mount a small disk")
        script = f'{mount} && {{ "$@"; code=$?; ls full > left; exit $code; }}'
        words = small_but(["--steps", "2000", "--placements", "linear"])
        for ranks in (1, 4):
            with self.subTest(ranks=ranks):
                done = self.call("unshare", "-m", "bash", "-c", script, "bash",
                                 TOP / "jobs/local.sh", "-n", ranks, "run", *words,
                                 "-o", "full/a.h5")
                self.one_sentence(done, 4, "full/a.h5")
                self.assertEqual((self.folder / "left").read_text(), "", "nothing is left behind")

    def test_too_little_memory_is_said_whenever_it_shows(self):
        # Less address space than the model needs, on a machine that has enough.
        limited = self.folder / "limited"
        limited.write_text(f'#!/bin/bash\nulimit -v 900000\nexec {PROGRAM} "$@"\n')
        limited.chmod(0o700)
        words = small_but(["--scale", "1", "--tokens", "4096", "--layers", "1"])
        for ranks in (1, 4):
            done = self.call("env", f"GEMBENCH={limited}", TOP / "jobs/local.sh", "-n", ranks,
                             "run", *words, "-o", "a.h5", "--overwrite")
            self.one_sentence(done, 3, "memory")


class Help(CliTest):
    def test_help_is_printed_once_under_mpirun(self):
        out = self.good("--help", ranks=4)
        self.assertEqual(out.count("Usage: gembench COMMAND"), 1)
        self.assertEqual(self.good("run", "--print-config", ranks=4).count("model ="), 1)

    def test_nothing_but_text_where_there_is_no_terminal(self):
        words = [word for word in SMALL if word != "-q"]
        done = self.gembench("run", *words, "-o", "a.h5", ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("gembench: [", done.stderr, "progress goes to standard error")
        self.assertNotIn("gembench: [", done.stdout)
        self.assertNotRegex(done.stdout + done.stderr, "[\r\x1b]")


if __name__ == "__main__":
    main()
