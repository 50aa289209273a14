"""The structure check must find what it looks for: plants one violation of each kind."""

import pathlib
import tempfile
import unittest

import check_structure


class FindsViolations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        for name in ("harness", "moe_layer", "placement", "jobs", "results", "analysis", "tests"):
            (self.top / name).mkdir()
            (self.top / name / "README.md").write_text("here\n")
        for name in ("placement/base", "placement/loads", "harness/cli"):
            (self.top / name).mkdir()
            (self.top / name / "README.md").write_text("here\n")

    def found(self, path=None, text=""):
        if path:
            (self.top / path).write_text(text)
        return "\n".join(check_structure.violations(self.top))

    def write(self, path, text=""):
        (self.top / path).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path).write_text(text)

    def test_a_clean_tree_passes(self):
        self.write("harness/a.hpp", "#pragma once\n")
        self.assertEqual(self.found("harness/a.cpp", '#include "harness/a.hpp"\n'
                                                     '#include "moe_layer/mpi/comm.hpp"\n'), "")

    def test_files_in_a_circle(self):
        # Header and source of a name are one: the circle is there though no two headers are.
        self.write("placement/base/a.hpp", "")
        self.write("placement/base/b.hpp", '#include "placement/base/a.hpp"\n')
        self.write("placement/base/c.hpp", '#include "placement/base/b.hpp"\n')
        self.write("placement/base/d.hpp", '#include "placement/base/a.hpp"\n')
        self.assertEqual(self.found(), "")
        self.write("placement/base/a.cpp", '#include "placement/base/a.hpp"\n'
                                           '#include "placement/base/c.hpp"\n')
        self.assertTrue(self.found().endswith(
            "in a circle: placement/base/a, placement/base/b, placement/base/c"), self.found())

    def test_a_source_without_a_header_of_its_name(self):
        self.assertIn("a.cpp: has no header a.hpp", self.found("placement/base/a.cpp", ""))
        self.write("placement/base/a.hpp")
        self.assertEqual(self.found("placement/base/a.cpp", '#include "placement/base/a.hpp"\n'), "")

    def test_rows_of_a_table_need_no_header(self):
        row = '#include "placement/strategies/strategy.hpp"\n'
        self.write("placement/strategies/README.md", "here\n")
        self.assertEqual(self.found("placement/strategies/a.cpp", row), "")
        self.assertIn("a.cpp: has no header a.hpp", self.found("placement/base/a.cpp", row),
                      "the table is another folder's")

    def test_code_outside_its_folder_s_namespace(self):
        for text, there in (("namespace gembench::inline base {\n}\n", True),
                            ("namespace gembench {\nint x();\n}\n", False),
                            ("namespace gembench::inline loads {\nint x();\n}\n", False),
                            ("int x();\n", False), ("// nothing\n#include <map>\n", True)):
            said = self.found("placement/base/a.hpp", text)
            self.assertEqual("a.hpp: opens no namespace gembench::inline base" not in said, there, text)
        self.write("results/hdf5/README.md", "here\n")
        self.assertEqual(self.found("placement/base/a.hpp", "") + self.found(
            "results/hdf5/a.hpp", "namespace gembench::h5 {\n}\n"), "")
        self.assertIn("opens no namespace", self.found("harness/cli/a.hpp",
                                                       "namespace gembench::h5 {\n}\n"))

    def test_a_test_in_another_place_than_what_it_tests(self):
        self.write("placement/loads/trace.hpp", "")
        self.write("tests/placement/loads/trace_test.cpp", "TEST(Trace, x) {}\n")
        self.write("tests/placement/loads/more_test.cpp", "TEST(Trace, y) {}\n")
        self.write("tests/placement/loads/made.cpp", "// no test\n")
        self.assertEqual(self.found(), "")
        for path, why in (("tests/placement/base/trace_test.cpp", "move it to tests/placement/loads"),
                          ("tests/placement/odd_test.cpp", "lies in no subfolder of placement"),
                          ("tests/placement/odd/odd_test.cpp", "lies in no subfolder of placement"),
                          ("tests/placement/loads/trace_checks.cpp", "must end in _test.cpp")):
            self.write(path, "TEST_F(Trace, z) {}\n")
            self.assertIn(why, self.found())
            (self.top / path).unlink()

    def test_an_arrow_against_the_direction(self):
        self.assertIn("placement may not include results/x.hpp",
                      self.found("placement/base/a.hpp", '#include "results/x.hpp"\n'))

    def test_an_arrow_up_or_a_circle_among_subfolders(self):
        self.assertEqual(self.found("placement/loads/a.hpp", '#include "placement/base/b.hpp"\n'), "")
        self.assertIn("placement/base may not include placement/loads/a.hpp, which lies above it",
                      self.found("placement/base/b.hpp", '#include "placement/loads/a.hpp"\n'))

    def test_a_file_outside_every_subfolder(self):
        self.assertIn("placement has the subfolders base, ", self.found("placement/a.cpp", ""))

    def test_a_subfolder_without_a_readme(self):
        (self.top / "placement/base/README.md").unlink()
        self.assertIn("base: has no README.md", self.found())

    def test_mpi_outside_its_folder(self):
        self.assertIn("only moe_layer may include mpi.h",
                      self.found("harness/a.cpp", "#include <mpi.h>\n"))

    def test_cuda_outside_its_folder(self):
        self.assertIn("only moe_layer/cuda may include cuda_runtime.h",
                      self.found("moe_layer/a.cpp", "#include <cuda_runtime.h>\n"))

    def test_hdf5_outside_its_folder(self):
        self.assertIn("only results may include hdf5.h",
                      self.found("moe_layer/a.cpp", "  # include <hdf5.h>\n"))

    def test_printing_past_the_one_place_for_it(self):
        for line in ('fmt::print("x");', 'fmt::print(stderr, "x");', "std::fflush(stdout);",
                     'std::cerr << "x";', 'std::puts("x");'):
            self.assertIn("harness/a.cpp:1: only harness/cli/printing.cpp prints",
                          self.found("harness/a.cpp", line + "\n"))
        (self.top / "harness/a.cpp").unlink()
        self.assertEqual(self.found("harness/cli/printing.hpp", "") + self.found(
            "harness/cli/printing.cpp", '#include "harness/cli/printing.hpp"\n'
                                        "namespace gembench::inline cli {\n"
                                        "void f() { std::fflush(stdout); }  // fmt::print\n}\n"), "")

    def test_a_source_that_does_not_begin_with_its_header(self):
        (self.top / "harness/a.hpp").write_text("")
        self.assertEqual(self.found("harness/a.cpp", '#include "harness/a.hpp"\n'), "")
        self.assertIn("must include a.hpp", self.found("harness/a.cpp", '#include <map>\n'))

    def test_a_stranger_at_the_top(self):
        self.assertIn("utils", self.found("utils", "x"))

    def test_a_folder_without_a_readme(self):
        (self.top / "jobs/README.md").unlink()
        self.assertIn("has no README.md", self.found())

    def test_a_long_file_is_only_warned_of(self):
        self.assertEqual(self.found("harness/a.hpp", "\n" * 401), "")
        self.assertIn("401 lines", "".join(check_structure.warnings(self.top)))
        self.assertEqual(self.found("harness/a.hpp", "\n" * 400), "")
        self.assertEqual(list(check_structure.warnings(self.top)), [])

    def test_a_broken_script(self):
        self.assertIn("bash cannot parse", self.found("jobs/a.sh", "if then\n"))


if __name__ == "__main__":
    unittest.main()
