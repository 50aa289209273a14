"""The recipes in jobs/packaging/ ask for the libraries that CMake looks for, and set options that there
are. Spack itself is stood in for: its directives only write down what they are given."""

import contextlib
import re
import sys
import types

from support import TOP, CliTest, main

PACKAGING = TOP / "jobs/packaging"
# What CMake looks for -> Spack's package; None: part of the compiler, CMake or the C library.
SPACK = {"Boost": "boost", "HDF5": "hdf5", "hdf5": "hdf5", "hdf5_hl": "hdf5", "LibArchive": "libarchive", "MPI": "mpi",
         "OpenMP": None, "PkgConfig": "pkgconfig", "Threads": None, "ZLIB": "zlib-api", "CUDAToolkit": "cuda",
         "dnnl": "onednn", "fmt": "fmt", "hwloc": "hwloc", "libzip": "libzip", "nccl": "nccl",
         "nlohmann_json": "nlohmann-json", "yaml-0.1": "libyaml"}


def looked_for():
    """Names that CMake looks for in the folders that are installed."""
    found = set()
    listed = [TOP / "CMakeLists.txt"]
    for folder in ("placement", "results", "moe_layer", "harness"):
        listed += [*(TOP / folder).rglob("CMakeLists.txt"), *(TOP / folder).rglob("*.cmake")]
    for path in listed:
        if path.parent.name == "python":  # the wheel is built by pip
            continue
        text = re.sub(r"#.*", "", path.read_text())
        found |= set(re.findall(r"find_package\((\w+)", text))
        found |= set(re.findall(r"find_library\(\w+ (?:NAMES )?(\w+)", text))
        for modules in re.findall(r"pkg_check_modules\(\w+ ([^)]*)\)", text):
            words = [word for word in modules.split() if not word.isupper() and word != "IMPORTED_TARGET"]
            found |= {re.split("[<>=]", word)[0] for word in words}
    return found


def options():
    """Those of ours."""
    text = "".join(path.read_text() for path in [TOP / "CMakeLists.txt", *TOP.glob("jobs/packaging/*.cmake")])
    return set(re.findall(r"(?:option|set)\((GEMBENCH_\w+|CMAKE_INSTALL_RPATH_USE_LINK_PATH)\b", text))


class Spec:
    """One with, or without, +cuda."""

    def __init__(self, cuda):
        self.cuda = cuda
        self.variants = {"cuda_arch": types.SimpleNamespace(value=("80", "90"))}

    def __contains__(self, variant):
        return variant == "+cuda" and self.cuda


class Recipes(CliTest):
    def spack_package(self):
        """The class in package.py, and what it depends on."""
        asked = []
        base = type("Package", (), {
            "define": staticmethod(lambda name, value: f"-D{name}={value}"),
            "define_from_variant": lambda self, name, variant: f"-D{name}={self.spec.cuda}"})
        names = {name: lambda *words, **more: None
                 for name in ("license", "version", "variant", "conflicts", "generator")}
        names["depends_on"] = lambda spec, **more: asked.append(spec)
        names["when"] = lambda condition: contextlib.nullcontext()
        modules = {"spack": {}, "spack.package": {**names, "__all__": list(names)},
                   "spack_repo": {}, "spack_repo.builtin": {}, "spack_repo.builtin.build_systems": {},
                   "spack_repo.builtin.build_systems.cmake": {"CMakePackage": base},
                   "spack_repo.builtin.build_systems.cuda": {"CudaPackage": type("CudaPackage", (), {})}}
        for name, content in modules.items():
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__dict__.update(content)
            self.addCleanup(sys.modules.pop, name)
        recipe = PACKAGING / "spack_repo/gembench/packages/gembench/package.py"
        made = {}
        exec(compile(recipe.read_text(), recipe, "exec"), made)  # pylint: disable=exec-used
        return made["Gembench"], asked

    def test_spack_asks_for_what_cmake_looks_for(self):
        _, asked = self.spack_package()
        packages = {re.match(r"[a-z0-9-]+", spec)[0] for spec in asked} | {"cuda"}  # CudaPackage asks for it
        wanted = looked_for()
        self.assertLess({"MPI", "fmt", "libzip", "dnnl"}, wanted)
        for name in wanted:
            self.assertIn(name, SPACK, f"{name}: say here which package of Spack it is, and in package.py")
            self.assertIn(SPACK[name], packages | {None})

    def test_spack_sets_options_that_there_are(self):
        package, _ = self.spack_package()
        for cuda in (False, True):
            made = package()
            made.spec = Spec(cuda)
            words = made.cmake_args()
            self.assertIn(f"-DGEMBENCH_CUDA={cuda}", words)
            self.assertEqual(any("ARCHITECTURES" in word for word in words), cuda)
            ours = {word[2:].split("=")[0] for word in words} - {"CMAKE_CUDA_ARCHITECTURES"}
            self.assertLessEqual(ours, options())

    def test_images_set_options_that_there_are(self):
        built = []
        for name in ("Containerfile", "gembench.def"):
            text = (PACKAGING / name).read_text()
            line = re.search(r"cmake -S .*(?:\\\n.*)*", text)[0]
            built.append([word for word in line.replace("\\", " ").split() if word.startswith("-D")])
            named = {word[2:].split("=")[0] for word in built[-1]} - {"CMAKE_BUILD_TYPE"}
            self.assertLessEqual(named, options(), name)
            for script in re.findall(r"jobs/\w+\.sh", text):
                self.assertTrue((TOP / script).is_file(), script)
        self.assertEqual(*built)


if __name__ == "__main__":
    main()
