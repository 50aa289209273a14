"""The README's first command, and the commands it says to type next."""

import subprocess

from support import HANGS, TOP, CliTest, main


class Quickstart(CliTest):
    def test_it_runs_and_its_advice_works(self):
        # Shorter than to the letter, for CI: everything else is as a newcomer has it.
        done = self.call(TOP / "jobs/quickstart.sh", self.folder / "quickstart.h5", "--max-seconds", 20)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.splitlines()[-2], "# check: PASS")
        page = (self.folder / "quickstart.html").read_text()
        self.assertIn(str(self.folder / "quickstart.html"), done.stderr)
        self.assertRegex(page, "faster than linear|Too short for a verdict")
        self.assertIn("Slowest rank.", page)
        advice = [line.removeprefix("quickstart:   ") for line in done.stderr.splitlines()
                  if line.startswith("quickstart:   ")]
        self.assertEqual(len(advice), 4)
        for command in advice:
            ran = subprocess.run(command, shell=True, cwd=TOP, capture_output=True, text=True,
                                 timeout=HANGS)
            self.assertEqual(ran.returncode, 0, command + ran.stderr)


if __name__ == "__main__":
    main()
