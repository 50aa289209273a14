"""A user's mistakes: one sentence, once, and the right exit code, on one rank and on four."""

import pathlib

import h5py

from support import SMALL, CliTest, main


def small_but(words):
    """SMALL with these options instead of its own of the same name: none may be given twice."""
    kept, given = [], set(words)
    options = iter(SMALL[:-1])  # pairs; the last is the bare -q
    for name, value in zip(options, options):
        kept += [] if name in given else [name, value]
    return [*kept, "-q", *words]


CPU = pathlib.Path("/proc/cpuinfo").read_text()


class Mistakes(CliTest):
    def refused(self, code, said, *words, ranks):
        done = self.gembench(*words, ranks=ranks, timeout=60)
        what = f"{words} on {ranks} ranks:\n{done.stdout}{done.stderr}"
        self.assertEqual(done.returncode, code, what)
        # mpirun adds lines of its own; ours begin with the program's name.
        ours = [line for line in done.stderr.splitlines() if line.startswith("gembench: ")]
        self.assertEqual(len(ours), 1, what)
        self.assertIn(said, ours[0], what)

    def test_each_on_one_and_four_ranks(self):
        (self.folder / "text.h5").write_text("this is not HDF5\n")
        (self.folder / "empty.h5").write_bytes(b"")
        with h5py.File(self.folder / "foreign.h5", "w") as f:
            f["x"] = [1, 2, 3]
        (self.folder / "there.h5").write_text("kept")
        self.good("trace", "make", "--model", "mixtral-8x7b", "--layers", "2", "--tokens", "64",
                  "--steps", "32", "-o", "mixtral.h5")
        table = [
            (2, "no strategy 'best'", ["--placements", "best"]),
            (2, "unknown model", ["--model", "gpt-5"]),
            (2, "bogus", ["--bogus"]),
            (2, "warm", ["--warm", "3"]),
            (2, "--topk", ["--topk", "33"]),
            (2, "--slowdown", ["--slowdown", "nan"]),
            (2, "--slowdown", ["--slowdown", "1,1,1"]),
            (2, "text.h5", ["--trace", "text.h5"]),
            (2, "empty.h5", ["--trace", "empty.h5"]),
            (2, "foreign.h5", ["--trace", "foreign.h5"]),
            (2, "absent.h5", ["--trace", "absent.h5"]),
            (2, "mixtral.h5", ["--trace", "mixtral.h5"]),
            (2, "text.h5", ["--profile", "text.h5"]),
            (3, "AVX-512 BF16", ["--dtype", "bf16"]),
            (3, "GiB", ["--scale", "1", "--layers", "24", "--hidden", "100000"]),
        ]
        for ranks in (1, 4):
            for code, said, words in table:
                if said == "AVX-512 BF16" and "avx512_bf16" in CPU:
                    continue
                with self.subTest(words=words, ranks=ranks):
                    self.refused(code, said, "run", *small_but(words), "-o", "a.h5",
                                 "--overwrite", ranks=ranks)
            self.refused(4, "there.h5", "run", *SMALL, "-o", "there.h5", ranks=ranks)
            self.refused(4, "nowhere", "run", *SMALL, "-o", "nowhere/a.h5", ranks=ranks)
        self.assertEqual((self.folder / "there.h5").read_text(), "kept")
        # A run that never measured leaves nothing behind that would be in the next one's way.
        for _ in range(2):
            self.refused(2, "32 experts", "run", *SMALL, "-o", "a.h5", ranks=3)

    def test_compare_refuses_what_is_no_result(self):
        (self.folder / "text.h5").write_text("this is not HDF5\n")
        for path in ("text.h5", "absent.h5"):
            done = self.gembench("compare", path)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r"^gembench: .*\n$")

    def test_help_is_printed_once_under_mpirun(self):
        out = self.good("--help", ranks=4)
        self.assertEqual(out.count("Usage: gembench COMMAND"), 1)


if __name__ == "__main__":
    main()
