"""Standard output and standard error that are full, closed or left: progress is lost in silence,
results are not; the files are whole; exit codes are those of the README."""

import h5py

from support import PROGRAM, SMALL, CliTest, main

RUN = ["run", *[word for word in SMALL if word != "-q"], "--placements", "linear"]


class Streams(CliTest):
    def setUp(self):
        super().setUp()
        self.good("trace", "make", "--layers", "2", "--steps", "40", "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", "--ranks", "4", "-o", "p.json")
        self.good(*RUN, "-o", "r.h5")
        self.commands = {  # name: (words, file that must be there)
            "help": (["--help"], None),
            "help of a command": (["run", "--help"], None),
            "version": (["--version"], None),
            "config": (["run", "--print-config"], None),
            "list": (["list"], None),
            "compare": (["compare", "r.h5"], None),
            "info": (["trace", "info", "t.h5"], None),
            "make": (["trace", "make", "--layers", "2", "--steps", "4", "-o", "m.h5"], "m.h5"),
            "score": (["score", "--trace", "t.h5", "--ranks", "4"], None),
            "plan": (["plan", "--trace", "t.h5", "--ranks", "4", "-o", "q.json"], "q.json"),
            "convert": (["convert", "p.json", "--to", "sglang", "-o", "s.json"], "s.json"),
            "profile": (["profile", *SMALL[:8], "--profile-seconds", "0", "-o", "p.h5"], "p.h5"),
            "dry run": (["run", *SMALL, "--dry-run"], None),
            "run": ([*RUN, "-o", "a.h5"], "a.h5"),
        }

    def redirected(self, words, how):
        """Runs with what a shell does to its streams."""
        return self.call("bash", "-c", f'"$@" {how}', "bash", PROGRAM, *words)

    def test_results_that_cannot_be_printed_are_an_output_error(self):
        for how, said in ((">/dev/full", "No space left on device"), (">&-", "it is closed"),
                          (">&- <&-", "it is closed")):
            for name, (words, made) in self.commands.items():
                with self.subTest(command=name, how=how):
                    done = self.redirected(words, how)
                    self.assertEqual(done.returncode, 4, done.stderr)
                    ours = [line for line in done.stderr.splitlines()
                            if "cannot write to standard output" in line]
                    self.assertEqual(len(ours), 1, done.stderr)
                    self.assertIn(said, ours[0])
                    if made:
                        self.assertGreater((self.folder / made).stat().st_size, 0)
                        (self.folder / made).unlink()

    def test_progress_that_cannot_be_told_is_lost_in_silence(self):
        for how in ("2>/dev/full", "2>&-"):
            for name, (words, made) in self.commands.items():
                with self.subTest(command=name, how=how):
                    done = self.redirected(words, how)
                    self.assertEqual(done.returncode, 0)
                    self.assertGreater(len(done.stdout), 0)
                    if made:
                        (self.folder / made).unlink()
            for code, words in ((2, ["compare", "absent.h5"]), (2, ["run", "--bogus"]),
                                (4, ["trace", "make", "-o", "t.h5"]), (4, [*RUN, "-o", "r.h5"])):
                with self.subTest(words=words, how=how):
                    self.assertEqual(self.redirected(words, how).returncode, code)

    def test_no_file_takes_the_place_of_a_closed_stream(self):
        self.assertEqual(self.redirected([*RUN, "-o", "a.h5"], "<&- >&- 2>&-").returncode, 4)
        self.assertEqual(self.good("compare", "a.h5").splitlines()[-2], "# check: PASS")
        with h5py.File(self.folder / "a.h5") as file:
            self.assertEqual(file.attrs["completed"], 1)

    def test_a_sweep_goes_on_when_its_first_table_cannot_be_printed(self):
        at = RUN.index("--tokens") + 1
        sweep = [*RUN[:at], "64,128", *RUN[at + 1:]]
        self.assertEqual(self.redirected([*sweep, "-o", "a.h5"], ">/dev/full").returncode, 4)
        for name in ("a-64.h5", "a-128.h5"):
            self.assertEqual(self.good("compare", name).splitlines()[-2], "# check: PASS")

    def test_a_reader_that_has_seen_enough_is_no_error(self):
        for words in (["list"], ["run", "--help"], ["compare", "r.h5"]):
            done = self.call("bash", "-c", '"$@" | head -1; exit "${PIPESTATUS[0]}"', "bash",
                             PROGRAM, *words)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertEqual(len(done.stdout.splitlines()), 1)
        # More than a pipe holds, so that the writer meets the closed end.
        files = ["r.h5"] * 200
        done = self.call("bash", "-c", '"$@" | head -1; exit "${PIPESTATUS[0]}"', "bash",
                         PROGRAM, "compare", *files)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_file_size_limit_is_said_by_every_command(self):
        for name in ("make", "plan", "convert"):  # MPI itself does not start under one
            words, made = self.commands[name]
            with self.subTest(command=name):
                done = self.call("bash", "-c", 'ulimit -f 0; "$@"', "bash", PROGRAM, *words)
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn("File too large", done.stderr)
                self.assertEqual(list(self.folder.glob(f"{made}*")), [])


if __name__ == "__main__":
    main()
