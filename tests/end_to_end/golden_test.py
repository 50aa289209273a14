"""What users see, with numbers masked, against golden/*.txt. Regenerate them after a change you
mean: golden_test.py --generate, then read the diff."""

import pathlib
import re
import sys

from support import SMALL, CliTest, main, small_but

GOLDEN = pathlib.Path(__file__).parent / "golden"
GENERATE = "--generate" in sys.argv


def masked(text):
    """Numbers become N, and what depends on machine and day becomes a name."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "DATE", text)
    text = re.sub(r"\(git [^)]*\)", "(git COMMIT)", text)
    text = re.sub(r"\bf32 \(this CPU has no AVX-512 BF16\)|\b(f32|bf16)\b", "DTYPE", text)
    text = re.sub(r"(?m)^(# +\d+  )\S+ +\S+ +", r"\1HOST CPUS ", text)
    text = re.sub(r"Open MPI v?[\d.]+", "Open MPI VERSION", text)
    text = re.sub(r"oneDNN [\d.]+", "oneDNN VERSION", text)
    text = re.sub(r"'(sum|per-expert)'", "'MODEL'", text)  # whichever predicts better here
    # There or not, as the machine pleases.
    text = re.sub(r"(?m)^# (drift|WARNING|profile): .*\n", "", text)
    text = re.sub(r"(?m)^# (.* is faster than .*|no difference was found .*)$", "# VERDICT", text)
    text = re.sub(r"(?m)^(  (?:linear|gem) .*) [-*]$", r"\1 FASTEST", text)  # as the verdict is
    text = re.sub(r"\(as asked; ranks share \w+\)", "(as asked)", text)
    text = re.sub(r"(?m)^# machine: .*", "# machine: HOW QUIET", text)
    text = re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "N", text)
    return re.sub(r" +", " ", text)


class Golden(CliTest):
    def matches(self, name, text):
        path = GOLDEN / f"{name}.txt"
        if GENERATE:
            path.write_text(text)
        self.assertTrue(path.exists(), f"{path} is missing: run golden_test.py --generate")
        self.maxDiff = None
        self.assertEqual(text, path.read_text())

    def test_help(self):
        for command in ("run", "profile", "probe", "trace", "plan", "score", "advise", "sensitivity",
                        "convert", "compare", "info"):
            text = self.good(command, "--help")
            self.assertLessEqual(max(map(len, text.splitlines())), 100)
            self.matches(f"help_{command}", text)
        self.matches("help", self.good("--help"))
        self.matches("list", self.good("list"))

    def test_the_table(self):
        out = self.good("run", *small_but(["--block", "1"]), "--placements", "linear,gem", "--clock",
                        "cpu-time", "--variability", "high", "-o", "a.h5", ranks=2)
        self.matches("table", masked(out))

    def test_the_dry_run(self):
        out = self.good("run", *SMALL, "--placements", "linear,gem", "--clock", "cpu-time",
                        "--variability", "high", "--dry-run", ranks=2)
        self.matches("dry_run", masked(out))

    def test_the_configuration(self):
        self.matches("config", self.good("run", *SMALL, "--print-config"))

    def test_the_score(self):
        self.good("trace", "make", "--model", "mixtral-8x7b", "--layers", "2", "--tokens", "64",
                  "--steps", "32", "-o", "t.h5")
        out = self.good("score", "--trace", "t.h5", "--ranks", "4", "--strategies", "linear,gem",
                        "--plan-steps", "16")
        self.matches("score", masked(out))
        out = self.good("score", "--trace", "t.h5", "--ranks", "4", "--strategies", "linear,gem",
                        "--plan-steps", "16", "--replan-every", "4", "--expert-bytes", "1e6",
                        "--draws", "8")
        self.matches("score_policy", masked(out))


if __name__ == "__main__":
    if GENERATE:
        sys.argv.remove("--generate")
    main()
