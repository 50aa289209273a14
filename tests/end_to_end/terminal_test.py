"""What a terminal shows: the verdict last, the fastest placement in bold, one line of progress in place;
and that a pipe or a file gets none of the codes."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import h5py

from support import HANGS, PROGRAM, TOP, CliTest, main, small_but

RUN = ["run", *[word for word in small_but(["--block", "1"]) if word != "-q"], "--clock", "cpu-time",
       "--placements", "linear,gem"]
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def rows_of(table):
    """The cells of the first table, by placement."""
    lines = table.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("# placement"))
    rows = [lines[first]]
    for line in lines[first + 1:]:
        if line.startswith("#"):
            break
        rows.append(line)
    return rows


class Terminal(CliTest):
    def on_terminal(self, *words, columns=80, env=None, out_too=True):
        """Runs on a pseudo-terminal; returns what it shows, and standard output where that is a pipe."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("NO_COLOR", "GEMBENCH_TERMINAL", "COLUMNS")}
        process = subprocess.Popen(
            [str(word) for word in words], cwd=self.folder, stdin=subprocess.DEVNULL, stderr=theirs,
            stdout=theirs if out_too else subprocess.PIPE,
            env={**clean, "GEMBENCH": PROGRAM, "TERM": "xterm", **(env or {})})
        self.addCleanup(process.kill)
        os.close(theirs)
        shown = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # how Linux says that nobody has it open any more
                break
            if not more:
                break
            shown += more
        os.close(ours)
        out = ""
        if not out_too:
            with process.stdout as pipe:
                out = pipe.read().decode()
        self.assertEqual(process.wait(HANGS), 0, shown.decode())
        return shown.decode().replace("\r\n", "\n"), out

    def measured(self, factor=None):
        """A finished file in which gem takes exactly `factor` of linear's time, or what it does."""
        self.good(*RUN, "-q", "-o", "a.h5", ranks=2)
        if factor:
            with h5py.File(self.folder / "a.h5", "r+") as file:
                file["step_time"][1] = file["step_time"][0] * factor
        return "a.h5"

    def test_the_verdict_is_the_last_line_and_the_fastest_is_marked(self):
        name = self.measured(0.5)
        table = self.good("compare", name)
        lines = table.splitlines()
        self.assertEqual(lines[-1], "# gem is faster than linear: step time -50.00 % "
                                    "(95 % CI -50.00 % .. -50.00 %)")
        self.assertEqual(lines[-2], "# check: PASS")
        self.assertTrue(lines[-3].startswith("# outputs correct: "), lines[-3])
        headings, linear, gem = rows_of(table)
        self.assertEqual(headings.split()[-1], "fastest")
        self.assertEqual((linear.split()[0], linear.split()[-1]), ("linear", "-"))
        self.assertEqual((gem.split()[0], gem.split()[-1]), ("gem", "*"))
        self.assertEqual(len(linear.split()), len(gem.split()))
        self.assertNotIn("\x1b", table)
        found = json.loads(self.good("compare", name, "--format", "json"))
        self.assertEqual((found["fastest"], "# " + found["verdict"]), ("gem", lines[-1]))

    def test_no_difference_says_what_would_decide(self):
        name = self.measured()
        with h5py.File(self.folder / name, "r+") as file:
            time = file["step_time"]
            time[1] = time[0]
            time[1, ::2] *= 1.5
            time[1, 1::2] /= 1.5
        table = self.good("compare", name)
        self.assertRegex(table.splitlines()[-1], r"^# no difference was found between gem and linear|"
                                                 r"^# no difference was found between linear and gem")
        self.assertRegex(table.splitlines()[-1], r": at this noise about [\d.e+]+ times as many steps "
                                                 r"would decide, with --steps \d+$")
        self.assertEqual({row.split()[-1] for row in rows_of(table)[1:]}, {"-"})
        self.assertNotIn("is not conclusive", table, "the verdict says it")
        self.assertIsNone(json.loads(self.good("compare", name, "--format", "json"))["fastest"])

    def test_of_three_the_next_and_the_first_are_named(self):
        words = [word if word != "linear,gem" else "linear,eplb,gem" for word in RUN]
        self.good(*words, "-q", "-o", "a.h5", ranks=2)

        def verdict(eplb, gem):
            """With step times that are these multiples of linear's, from step to step in turn."""
            with h5py.File(self.folder / "a.h5", "r+") as file:
                time = file["step_time"]
                for row, factors in ((1, eplb), (2, gem)):
                    for step in range(time.shape[1]):
                        time[row, step] = time[0, step] * factors[step % len(factors)]
            table = self.good("compare", "a.h5")
            self.assertEqual({len(row.split()) for row in rows_of(table)[1:]}, {16})
            return table.splitlines()[-1], [row.split()[-1] for row in rows_of(table)[1:]]

        line, marks = verdict([0.8], [0.5])
        self.assertEqual(line, "# gem is faster than every other placement: step time -37.50 % (95 % CI -37.50 % "
                               ".. -37.50 %) against eplb, which comes next, and -50.00 % (95 % CI -50.00 % .. "
                               "-50.00 %) against linear")
        self.assertEqual(marks, ["-", "-", "*"])
        line, marks = verdict([2], [3])
        self.assertRegex(line, r"^# linear is faster than every other placement: step time -50.00 % .* against "
                               r"eplb, which comes next$")
        self.assertEqual(marks, ["*", "-", "-"])
        line, marks = verdict([0.5], [0.45, 0.55])
        self.assertRegex(line, r"^# (gem|eplb) is faster than linear: step time .*; no difference was found "
                               r"between (gem and eplb|eplb and gem): at this noise .* would decide, with")
        self.assertEqual(marks, ["-", "-", "-"])

    def test_wrong_outputs_get_no_verdict(self):
        name = self.measured(0.5)
        with h5py.File(self.folder / name, "r+") as file:
            file["check"].attrs["passed"] = type(file["check"].attrs["passed"])(0)
        lines = self.good("compare", name).splitlines()
        self.assertTrue(lines[-3].startswith("# outputs WRONG: "), lines[-3])
        self.assertTrue(lines[-2].startswith("# check: FAIL"), lines[-2])
        self.assertTrue(lines[-1].startswith("# no verdict: outputs are wrong"), lines[-1])

    def test_gains_on_the_steps_that_were_planned_on_are_doubted(self):
        name = self.measured(0.5)
        with h5py.File(self.folder / name, "r+") as file:
            config = json.loads(file.attrs["config"])
            self.assertIs(config["in-sample"], False)
            file.attrs["config"] = json.dumps({**config, "in-sample": True})
        table = self.good("compare", name)
        self.assertRegex(table.splitlines()[-1], r"^# planned on the measured steps \(in-sample\), so gains are .*: "
                                                 r"gem is faster than linear: step time -50.00 %")
        self.assertEqual({row.split()[-1] for row in rows_of(table)[1:]}, {"-"})
        self.assertIsNone(json.loads(self.good("compare", name, "--format", "json"))["fastest"])

    def test_bold_print_is_for_terminals_alone(self):
        name = self.measured(0.5)
        shown, _ = self.on_terminal(PROGRAM, "compare", name)
        bold = [line for line in shown.splitlines() if BOLD in line]
        self.assertEqual([line[len(BOLD):].split()[0] for line in bold], ["gem", "gem", "#"])
        self.assertTrue(all(line.startswith(BOLD) and line.endswith(PLAIN) for line in bold))
        self.assertEqual(shown.replace(BOLD, "").replace(PLAIN, ""), self.good("compare", name))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b", self.on_terminal(PROGRAM, "compare", name, env=env)[0])
        _, out = self.on_terminal(PROGRAM, "compare", name, out_too=False)
        self.assertNotIn("\x1b", out)
        # mpirun gives its ranks a terminal, whatever its own output is.
        done = self.gembench(*RUN, "-o", name, "--resume", ranks=2)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        shown, _ = self.on_terminal(TOP / "jobs/local.sh", "-n", "2", *RUN, "-o", name, "--resume")
        self.assertIn(BOLD, shown)

    def frames(self, shown):
        """The bars that were drawn, in order."""
        return [frame for line in shown.split("\n") for frame in line.split("\r")
                if re.match(r"gembench: [\w ,+]+ \[[#-]+", frame)]

    def test_progress_is_one_line_in_place(self):
        words = [*RUN, "--profile-seconds", "1", "-o", "b.h5"]
        words.remove("0")  # of the --profile-seconds that SMALL has
        words.remove("--profile-seconds")
        for columns in (100, 40):
            shown, out = self.on_terminal(PROGRAM, *words, "--overwrite", columns=columns, out_too=False)
            bars = self.frames(shown)
            self.assertTrue(any(bar.startswith("gembench: profiling [") for bar in bars), shown)
            self.assertTrue(any(bar.startswith("gembench: measuring [") for bar in bars), shown)
            self.assertLess(max(map(len, bars)), columns)
            self.assertNotIn("\x1b", shown + out)
            # Every bar is taken away by what comes after it: no line of the screen keeps one.
            for line in shown.split("\n"):
                self.assertNotIn("[", line.rstrip("\r").split("\r")[-1], repr(line))
            self.assertNotIn("[ ", shown, "no lines beside the bar")
        shown, _ = self.on_terminal(PROGRAM, *words, "--overwrite", "-q", out_too=False)
        self.assertEqual(shown, "")
        shown, _ = self.on_terminal(PROGRAM, *words, "--overwrite", env={"TERM": "dumb"}, out_too=False)
        self.assertNotIn("\r", shown)
        self.assertEqual(self.frames(shown), [])

    def test_progress_in_a_pipe_is_lines(self):
        done = self.gembench(*RUN, "-o", "b.h5")
        self.assertNotIn("\r", done.stderr)
        self.assertRegex(done.stderr, r"(?m)^gembench: \[ *\d+/\d+\] \w+, block \d+, ")
        done = self.gembench(*RUN, "-o", "b.h5", "--overwrite", ranks=2)
        self.assertNotIn("\r", done.stderr)

    def test_planning_draws_its_progress(self):
        self.good("trace", "make", "--experts", "64", "--layers", "8", "--steps", "64", "-o", "t.h5")
        shown, _ = self.on_terminal(PROGRAM, "plan", "--trace", "t.h5", "--ranks", "8", "--strategy",
                                    "gem+", "-o", "p.json", out_too=False)
        self.assertTrue(any(bar.startswith("gembench: planning gem+") for bar in self.frames(shown)), shown)

    def test_local_sh_passes_progress_on(self):
        shown, out = self.on_terminal(TOP / "jobs/local.sh", "-n", "2", *RUN, "-o", "b.h5",
                                      columns=70, out_too=False)
        bars = self.frames(shown)
        self.assertTrue(any(bar.startswith("gembench: measuring [") for bar in bars), shown)
        self.assertLess(max(map(len, bars)), 70)
        self.assertNotIn("\x1b", out)

    def test_local_sh_cuts_progress_to_a_window_that_shrinks(self):
        # In the place of mpirun, what draws the same bar until it is told to stop.
        (self.folder / "mpirun").write_text(
            "#!/bin/bash\nif [[ $1 == --version ]]; then echo 'mpirun (Open MPI) 4.1.4'; exit; fi\n"
            "for i in {1..600}; do\n"
            "  printf '\\rgembench: measuring [####----]  50 %%, 12 s to go, linear\\n' >&2\n"
            "  if [[ -e stop ]]; then break; fi\n  sleep 0.05\ndone\n"
            "printf '\\r%60s\\r\\n' '' >&2\nprintf 'gembench: done\\n' >&2\n")
        (self.folder / "mpirun").chmod(0o755)
        child, ours = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.environ.update(PATH=f"{self.folder}:{os.environ['PATH']}", TERM="xterm", GEMBENCH=PROGRAM)
            os.environ.pop("COLUMNS", None)
            os.execvp("bash", ["bash", str(TOP / "jobs/local.sh"), "-n", "2", "run", "-o", "b.h5"])
        self.addCleanup(os.close, ours)
        shown = ""
        for columns, until in ((80, "to go, linear"), (30, "\rgembench: measuring [####----\r")):
            fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            while until not in shown:
                shown += os.read(ours, 65536).decode()
        (self.folder / "stop").touch()
        while not shown.endswith("gembench: done\r\n"):
            shown += os.read(ours, 65536).decode()
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertTrue(shown.endswith("\r" + 29 * " " + "\rgembench: done\r\n"), repr(shown[-200:]))


if __name__ == "__main__":
    main()
