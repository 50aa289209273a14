"""A user's mistakes: one sentence, once, and the right exit code, on one rank and on four; nothing is
lost and nothing is left in the way."""

import os
import pathlib
import shutil
import subprocess

import h5py

from support import PROGRAM, SMALL, TOP, CliTest, main, small_but

CPU = pathlib.Path("/proc/cpuinfo").read_text()


class MistakesTest(CliTest):
    def refused(self, code, said, *words, ranks):
        self.one_sentence(self.gembench(*words, ranks=ranks, timeout=60), code, said)


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
            (2, "mixtral.h5", ["--trace", "mixtral.h5"]),
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
            self.refused(2, "take at most 2 ranks, or add --replicas 1", "run",
                         *small_but(["--experts", "2", "--topk", "2"]), "-o", "a.h5", ranks=3)

    def test_ranks_that_were_started_differently(self):
        run = [PROGRAM, "run", *SMALL, "-o", "a.h5"]
        launch = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "1", *run]
        launch += ["--seed", "7", ":", "-n", "1", *run]
        if os.geteuid() == 0:
            launch.insert(1, "--allow-run-as-root")
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
