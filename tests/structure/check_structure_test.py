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

    def test_a_clean_tree_passes(self):
        self.assertEqual(self.found("harness/a.cpp", '#include "moe_layer/mpi/comm.hpp"\n'), "")

    def test_an_arrow_against_the_direction(self):
        self.assertIn("placement may not include results/x.hpp",
                      self.found("placement/base/a.hpp", '#include "results/x.hpp"\n'))

    def test_an_arrow_up_or_a_circle_among_subfolders(self):
        self.assertEqual(self.found("placement/loads/a.cpp", '#include "placement/base/b.hpp"\n'), "")
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
        self.assertEqual(self.found("harness/cli/printing.cpp", 'std::fflush(stdout);  // fmt::print\n'),
                         "")

    def test_a_source_that_does_not_begin_with_its_header(self):
        (self.top / "harness/a.hpp").write_text("")
        self.assertEqual(self.found("harness/a.cpp", '#include "harness/a.hpp"\n'), "")
        self.assertIn("must include a.hpp", self.found("harness/a.cpp", '#include <map>\n'))

    def test_a_stranger_at_the_top(self):
        self.assertIn("utils", self.found("utils", "x"))

    def test_a_folder_without_a_readme(self):
        (self.top / "jobs/README.md").unlink()
        self.assertIn("has no README.md", self.found())

    def test_a_long_file(self):
        self.assertIn("401 lines", self.found("harness/a.cpp", "\n" * 401))

    def test_a_broken_script(self):
        self.assertIn("bash cannot parse", self.found("jobs/a.sh", "if then\n"))


if __name__ == "__main__":
    unittest.main()
