"""The check of the READMEs must find what it looks for."""

import pathlib
import tempfile
import unittest

import check_readmes

TABLE = "# a/\n\n| file | holds |\n|---|---|\n"


class FindsFaults(unittest.TestCase):
    def found(self, readme, folder="a"):
        with tempfile.TemporaryDirectory() as made:
            top = pathlib.Path(made).resolve()
            (top / folder).mkdir()
            for name in ("one.cpp", "one.hpp", "two_command.cpp"):
                (top / folder / name).write_text("")
            (top / folder / "README.md").write_text(readme)
            return list(check_readmes.faults(top))

    def test_a_table_that_names_all_passes(self):
        self.assertEqual(self.found(TABLE + "| `one` | 1 |\n| `*_command` | 2 |\n"), [])

    def test_a_file_that_no_row_names(self):
        self.assertEqual(self.found(TABLE + "| `one`, `two` | both |\n`two_command` is not in the table\n"),
                         ["a/README.md: its table lacks two_command.cpp"])

    def test_no_table_and_tests_are_free(self):
        self.assertEqual(self.found("# a/\n"), [])
        self.assertEqual(self.found(TABLE, "tests"), [])

    def test_a_link_that_leads_nowhere(self):
        self.assertEqual(self.found("[x](one.cpp#L1) [y](https://e.org/z) [z](#here) [w](../b/c.md)\n"),
                         ["a/README.md:1: the link ../b/c.md leads nowhere"])


if __name__ == "__main__":
    unittest.main()
