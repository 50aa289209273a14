"""What a configured build holds: the options that packagers and developers set differently."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
HANGS = 600  # seconds


def configured(folder, *words):
    """The program's compile commands, configured as a packager does: no preset, no tests."""
    generator = "Unix Makefiles" if shutil.which("make") else "Ninja"
    base = ["cmake", "-S", TOP, "-B", folder, "-DGEMBENCH_TESTS=OFF", "-DGEMBENCH_CUDA=OFF"]
    done = subprocess.run([*base, *words], capture_output=True, text=True, timeout=HANGS,
                          env={**os.environ, "CMAKE_GENERATOR": generator})
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    commands = json.loads((pathlib.Path(folder) / "compile_commands.json").read_text())
    return [one["command"].split() for one in commands]


class Options(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gembench-configured-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_warnings_are_errors_for_developers_alone(self):
        packager = configured(self.folder)
        self.assertTrue(all("-Wconversion" in command for command in packager))
        self.assertFalse([command for command in packager if "-Werror" in command])
        self.assertTrue(all("-Werror" in command
                            for command in configured(self.folder, "-DGEMBENCH_WERROR=ON")))

    def test_presets_are_the_developers(self):
        presets = json.loads((TOP / "CMakePresets.json").read_text())["configurePresets"]
        by_name = {preset["name"]: preset for preset in presets}
        base = by_name["base"]
        self.assertEqual(base["cacheVariables"]["GEMBENCH_WERROR"], "ON")
        for preset in presets:
            ancestor = preset
            while "inherits" in ancestor:
                ancestor = by_name[ancestor["inherits"]]
            self.assertIs(ancestor, base, preset["name"])
            if preset is not base:
                self.assertNotIn("GEMBENCH_WERROR", preset.get("cacheVariables", {}))


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
