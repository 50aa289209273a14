"""What the tests of analysis/ share: the package's folder, made files, a folder a test."""

import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(os.environ.get("GEMBENCH_TOP", pathlib.Path(__file__).parents[2]))
sys.path[:0] = [str(TOP / "analysis"), str(TOP / "tests/end_to_end")]

try:
    import h5py  # noqa: F401
    import xarray  # noqa: F401
    import h5netcdf  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing} (jobs/install.sh --tests installs it)")
    sys.exit(77)

from made_results import Made  # noqa: E402, F401
from support import HANGS, CliTest, main  # noqa: E402, F401


def loaded(path):
    """A run as the report sees it."""
    from gembench_analysis import load, reduce, summarise
    from gembench_analysis.sweep import Run
    run = load(path)
    return Run(run, reduce(run), summarise(run))


class ReportTest(CliTest):
    def report(self, *words):
        """gembench-report as it runs without being installed."""
        return subprocess.run(
            [sys.executable, "-m", "gembench_analysis", *map(str, words)], cwd=self.folder,
            capture_output=True, text=True, timeout=HANGS,
            env={**os.environ, "PYTHONPATH": str(TOP / "analysis")})

    def written(self, *words):
        """Runs, expects success, returns standard output."""
        done = self.report(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def page(self, *files):
        """The report of these files as HTML."""
        self.written(*files, "-o", "page.html")
        return (self.folder / "page.html").read_text()

    def refused(self, done, code, said):
        """One sentence of ours and this exit code."""
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("gembench-report: "), lines[0])
        self.assertIn(said, lines[0])

    def made(self, name=None, written=None, **shape):
        """A made file in the test's folder; `written` goes to Made.write."""
        name = name or f"made{len(list(self.folder.iterdir()))}.h5"
        return Made(**shape).write(self.folder / name, **(written or {}))
