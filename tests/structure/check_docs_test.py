"""The check of the documentation must find what it looks for."""

import pathlib
import shutil
import sys
import tempfile
import unittest

import check_docs


class FindsFaults(unittest.TestCase):
    def found(self, text):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            (top / "placement/base").mkdir(parents=True)
            (top / "placement/README.md").write_text("# placement/\n")
            (top / "placement/base/a.hpp").write_text(text)
            return "\n".join(check_docs.warnings(top) + check_docs.undocumented_types(top))

    def test_documented_code_passes(self):
        self.assertEqual(self.found("/// One.\nstruct A {\n  int layers;\n};\n"), "")

    def test_a_parameter_that_is_not_there(self):
        self.assertIn("nowhere", self.found("/// Adds.\n/// @param nowhere what\nint add(int x);\n"))

    def test_a_command_that_is_none(self):
        self.assertIn("unknown command", self.found("/// One \\nonesuch.\nstruct A {};\n"))

    def test_a_type_without_a_word(self):
        self.assertIn("A is not documented", self.found("struct A {\n  int layers;\n};\n"))


if __name__ == "__main__":
    if not shutil.which("doxygen"):
        sys.exit(77)
    unittest.main()
