"""How the end-to-end tests start gembench."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(os.environ.get("GEMBENCH_TOP", pathlib.Path(__file__).parents[2]))
PROGRAM = os.environ.get("GEMBENCH", str(TOP / "build/release/gembench"))
# Small layers, quickly profiled: what these tests look at is not how fast they are.
SMALL = ["--model", "gpt-oss-20b", "--scale", "16", "--layers", "2", "--tokens", "128",
         "--steps", "8", "--block", "4", "--profile-seconds", "0", "--plan-steps", "32", "-q"]


def small_but(words):
    """SMALL with these options instead of its own of the same name: none may be given twice."""
    kept, given = [], set(words)
    options = iter(SMALL[:-1])  # pairs; the last is the bare -q
    for name, value in zip(options, options):
        kept += [] if name in given else [name, value]
    return [*kept, "-q", *words]


def data_folder():
    """Recordings that are not part of the project, or None."""
    folder = pathlib.Path(os.environ.get("GEMBENCH_DATA", TOP.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def mpirun(ranks):
    """The first words of a command on `ranks` ranks, as jobs/local.sh starts it."""
    words = subprocess.check_output([TOP / "jobs/mpirun_words.sh"], text=True).split()
    return ["mpirun", *words, "-n", str(ranks)]


def keys_of(value):
    """Keys of the objects in it; those of `facts` and the like are the run's own names."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys_of(part) for key, part in value.items()
                              if key not in ("facts", "config")
                              and not (key == "ranks" and isinstance(part, dict))))


def metrics_in(text):
    """A file for Prometheus, read strictly: {name: {labels: value}}, labels as sorted pairs."""
    label = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
    sample = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({label}(?:,{label})*)\}})? ([^ ]+)")
    found, name = {}, None
    assert text.endswith("\n"), "the last line ends too"
    lines = iter(text[:-1].split("\n"))
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in found, f"{name} comes once, with all its samples"
            assert next(lines) == f"# TYPE {name} gauge", line
            found[name] = {}
            continue
        parsed = sample.fullmatch(line)
        assert parsed and parsed[1] == name, line
        labels = re.findall(label, parsed[2] or "")
        assert len({key for key, _ in labels}) == len(labels), line
        key = tuple(sorted(labels))
        assert key not in found[name], f"{line} comes twice"
        found[name][key] = float(parsed[parsed.lastindex])
    assert all(found.values()), "each metric has a sample"
    return found


# Seconds after which something hangs. No test judges how fast anything is: machines are shared.
HANGS = 600


class CliTest(unittest.TestCase):
    """Every test gets an empty folder of its own, and runs there."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gembench-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def call(self, *words):
        return subprocess.run([str(word) for word in words], cwd=self.folder, timeout=HANGS,
                              capture_output=True, text=True,
                              env={**os.environ, "GEMBENCH": PROGRAM})

    def gembench(self, *words, ranks=None):
        """Alone, or on `ranks` ranks as jobs/local.sh starts them."""
        if ranks is None:
            return self.call(PROGRAM, *words)
        return self.call(TOP / "jobs/local.sh", "-n", ranks, *words)

    def good(self, *words, ranks=None):
        """Runs, expects success, returns standard output."""
        done = self.gembench(*words, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def no_epilogue(self, done):
        """jobs/local.sh keeps what mpirun adds to our sentence to itself."""
        if "local.sh" in str(done.args):
            self.assertNotRegex(done.stderr, "-{60}|(?i:mpirun|prterun|mpi_abort|primary job)")

    def one_sentence(self, done, code, said):
        """The run ended with this code, and one line of ours says this."""
        what = f"{done.args}:\n{done.stdout}{done.stderr}"
        self.assertEqual(done.returncode, code, what)
        self.no_epilogue(done)
        # MPI may warn of something; ours begin with the program's name.
        ours = [line for line in done.stderr.splitlines() if line.startswith("gembench: ")]
        self.assertEqual(len(ours), 1, what)
        self.assertIn(said, ours[0], what)


def main():
    """Runs the tests; 77 tells CTest that all were skipped."""
    result = unittest.main(exit=False, verbosity=2).result
    if result.testsRun and len(result.skipped) == result.testsRun:
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)
