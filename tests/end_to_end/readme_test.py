"""Every command that README and guide show, to the letter. The two that install and build are tested
elsewhere: quickstart_test.py, which also runs the quick start's comparison, and the test run that this
belongs to."""

import pathlib
import re
import sys

import numpy

from support import PROGRAM, TOP, CliTest, main


class Readme(CliTest):
    def test_its_commands_run_as_they_stand(self):
        text = "".join((TOP / name).read_text() for name in ("README.md", "harness/GUIDE.md"))
        blocks = re.findall(r"(?s)```\n(.*?)```", text)
        commands = [line for block in blocks for line in block.splitlines()
                    if re.match(r"(jobs/local.sh|jobs/report.sh|build/release/gembench|python3) ", line)]
        # Programs that it shows begin with their name; python3 is one that has h5py.
        for name, program in re.findall(r"(?s)```python\n# (\S+\.py)\b(.*?)```", text):
            (self.folder / name).write_text(f"# {name}{program}")
            self.assertLessEqual(len(program.strip().splitlines()), 15, "a short program")
        (self.folder / "bin").mkdir()
        (self.folder / "bin/python3").symlink_to(sys.executable)
        self.assertGreaterEqual(len(commands), 7, "the README shows fewer commands than it did")

        # The folder looks like the project's, and holds the two files a user would bring.
        for name in ("jobs", "analysis"):
            (self.folder / name).symlink_to(TOP / name)
        (self.folder / "build/release").mkdir(parents=True)
        (self.folder / "build/release/gembench").symlink_to(pathlib.Path(PROGRAM))
        random = numpy.random.default_rng(1)
        ids = random.permuted(numpy.tile(numpy.arange(32, dtype=numpy.uint8), (2048, 24, 1)), axis=2)
        ids[:, :, :4].tofile(self.folder / "topk.u8")
        (self.folder / "requests.csv").write_text("decode_tokens\n" + "32\n" * 64)

        for command in commands:
            with self.subTest(command=command):
                if "--output quickstart.h5" in command:
                    script = (TOP / "jobs/quickstart.sh").read_text()
                    for word in command.split()[1:-1]:
                        self.assertIn(word, script, "as the script runs it")
                    continue
                done = self.call("bash", "-c", f'PATH="$PWD/bin:$PATH"; {command}')
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    main()
