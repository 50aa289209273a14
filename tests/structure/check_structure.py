#!/usr/bin/env python3
"""Holds the tree against the rules of the repository's layout: which folder may include which, who may touch MPI,
HDF5 and the like, which files belong together, where tests lie, what lies at the top. Prints every
violation, and files that are long as warnings; exit 1 where there is a violation."""

import pathlib
import re
import shutil
import subprocess
import sys

# Folder -> folders whose headers it may include (its own always).
ARROWS = {
    "placement": set(),
    "results": {"placement"},
    "moe_layer": {"placement"},
    "harness": {"placement", "results", "moe_layer"},
}
# Folder -> its subfolders, lowest first ("" is the folder itself): each may include those before it.
FLOORS = {
    "placement": ["base", "loads", "speeds", "cost", "per_step", "search", "strategies", "c_api", "files",
                  "encodings", "exchange", "recordings", "python"],
    "results": ["hdf5", ""],
    "moe_layer": ["mpi", "model", "device", "cpu", "cuda/cutlass", "cuda", "dispatch", "", "profiler"],
    "harness": ["cli", "statistics", "run", "report", "commands", ""],
}
# Headers that declare what several sources of their folder define, each one row or kernel of a table:
# such a source needs no header of its own name.
TABLE_HEADERS = {
    "placement/recordings/formats.hpp",
    "placement/exchange/format_table.hpp",
    "placement/strategies/strategy.hpp",
    "harness/commands/commands.hpp",
    "moe_layer/cuda/kernels.hpp",
    "moe_layer/layers.hpp",  # classes with parts in files of their own
    "moe_layer/cuda/experts.hpp",
    "moe_layer/cuda/cutlass/grouped.hpp",
    "moe_layer/cuda/cutlass/tiles.hpp",
}
# Sources without a header.
ENTRIES = {
    "harness/main.cpp",            # the program
    "placement/c_api/exports.cpp",  # the C functions of planner.h
    "moe_layer/cuda/exports.cpp",  # what a plug-in is asked for, by name
    "placement/python/planner_module.cpp",  # Python's modules
    "placement/python/formats_module.cpp",
}
# HDF5's layer and the tables of the files' schemas say h5:: and schema:: wherever they are used. The
# name cutlass is CUTLASS's own.
NAMED_NAMESPACES = {"results": "schema", "results/hdf5": "h5", "moe_layer/cuda/cutlass": "inline cuda"}
# Libraries only one folder may know.
OWNERS = {
    r"mpi\.h|dnnl.*|hwloc\.h|omp\.h|cuda.*|cublas.*|nccl\.h|nvml\.h": "moe_layer",
    r"hdf5.*\.h|H5.*": "results",
    r"boost/program_options.*": "harness",
    r"archive.*\.h|zip\.h|zlib\.h|yaml\.h": "placement",
}
CUDA = r"cuda.*|cublas.*|nccl\.h|nvml\.h|nvtx3/.*|moe_layer/cuda/.*"
FOLDERS = {"harness", "moe_layer", "placement", "jobs", "results", "analysis", "tests"}
TOP = FOLDERS | {"CHANGELOG.md", "CITATION.cff", "CMakeLists.txt", "CMakePresets.json", "CONTRIBUTING.md",
                 "LICENSE", "README.md"}
BUILT = {"build"}  # ignored by git
LONG = 400  # lines: worth a look whether two ideas live there
CODE = {".cpp", ".hpp", ".cu"}
# Standard output and error may be full or closed: harness/cli/printing knows what to do then.
PRINTS = re.compile(r"\bfmt::print\b|\bstd::(?:print|printf|fprintf|puts|fputs|putchar|perror)\b"
                    r"|\bstd::(?:cout|cerr|clog)\b|\bstd::fflush\b|\bstdout\b|\bstderr\b")
PRINTER = "harness/cli/printing.cpp"
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def files_of(top):
    """Files git would take (tracked or new), or all where there is no git."""
    listed = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [top / name for name in listed.stdout.splitlines() if (top / name).is_file()]
    return [path for path in top.rglob("*") if path.is_file()]


def check_includes(path, folder):
    for included in INCLUDE.findall(path.read_text(errors="replace")):
        target = included.split("/")[0]
        if target in ARROWS and target != folder and target not in ARROWS[folder]:
            yield f"{path}: {folder} may not include {included}"
        for pattern, owner in OWNERS.items():
            if folder != owner and re.fullmatch(pattern, included) and target not in ARROWS:
                yield f"{path}: only {owner} may include {included}"


def check_floors(path, relative):
    """No arrow up, so no circle, among the subfolders of a folder."""
    folder = relative.parts[0]
    floors = FLOORS[folder]
    mine = "/".join(relative.parts[1:-1])
    if mine not in floors:
        yield f"{path}: {folder} has the subfolders {', '.join(filter(None, floors))}"
        return
    for included in INCLUDE.findall(path.read_text(errors="replace")):
        target, *rest = included.split("/")
        theirs = "/".join(rest[:-1])
        if target == folder and theirs in floors and floors.index(theirs) > floors.index(mine):
            yield f"{path}: {folder}/{mine} may not include {included}, which lies above it"


def unit_of(path):
    """A header and the source of its name are one: harness/cli/options."""
    return str(path.with_suffix(""))


def circles(includes):
    """Sets of units that reach each other; `includes`: unit -> units it includes. Tarjan's."""
    number, lowest, stack, found = {}, {}, [], []

    def visit(unit):
        number[unit] = lowest[unit] = len(number)
        stack.append(unit)
        for other in sorted(includes[unit]):
            if other not in number:
                visit(other)
                lowest[unit] = min(lowest[unit], lowest[other])
            elif other in stack:
                lowest[unit] = min(lowest[unit], number[other])
        if lowest[unit] == number[unit]:
            at = stack.index(unit)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for unit in sorted(includes):
        if unit not in number:
            visit(unit)
    return found


def check_circles(top, sources):
    """Ideas that need each other are one idea, or are cut in the wrong place."""
    includes = {unit_of(path.relative_to(top)): set() for path in sources}
    for path in sources:
        unit = unit_of(path.relative_to(top))
        for included in INCLUDE.findall(path.read_text(errors="replace")):
            other = unit_of(pathlib.PurePosixPath(included))
            if other in includes and other != unit:
                includes[unit].add(other)
    for circle in circles(includes):
        yield f"{top}: these files include each other in a circle: {', '.join(circle)}"


def check_own_header(path, relative):
    """A source has a header of its name, or is a row of one of the tables."""
    if path.with_suffix(".hpp").is_file() or str(relative) in ENTRIES:
        return
    included = set(INCLUDE.findall(path.read_text(errors="replace")))
    tables = {table for table in TABLE_HEADERS if table.rpartition("/")[0] == str(relative.parent)}
    if not included & tables:
        yield (f"{path}: has no header {relative.stem}.hpp: give it one, or put it where its idea "
               f"lives")


def check_namespace(path, relative):
    """What a folder holds is in the inline namespace of its name."""
    folder = str(relative.parent)
    text = path.read_text(errors="replace")
    named = NAMED_NAMESPACES.get(folder)
    if str(relative) in ENTRIES or f"namespace gembench::inline {relative.parent.name} {{" in text \
            or (named and f"namespace gembench::{named} {{" in text):
        return
    if re.search(r"^(?:\w|\[\[)", INCLUDE.sub("", text), re.MULTILINE):
        yield f"{path}: opens no namespace gembench::inline {relative.parent.name}"


def check_tests(top, tests):
    """A test lies where what it tests does, and says by its name that it is one."""
    sources = {}
    for folder in ARROWS:
        for path in (top / folder).rglob("*"):
            if path.suffix in CODE:
                sources.setdefault((folder, path.stem), set()).add(str(path.parent.relative_to(top)))
    for path in tests:
        relative = path.relative_to(top / "tests")
        mirrored = str(relative.parent)
        if not re.search(r"^(?:TYPED_)?TEST(?:_[FP])?\(", path.read_text(errors="replace"), re.MULTILINE):
            continue
        if not path.stem.endswith("_test"):
            yield f"{path}: holds tests, so that its name must end in _test.cpp"
        homes = sources.get((relative.parts[0], path.stem.removesuffix("_test")))
        if homes and mirrored not in homes:
            yield f"{path}: tests {', '.join(sorted(homes))}: move it to tests/{min(homes)}"
        elif not (top / mirrored).is_dir() or mirrored in FLOORS and "" not in FLOORS[mirrored]:
            yield f"{path}: lies in no subfolder of {relative.parts[0]}: move it to that of what it tests"


def check_first_include(path, top):
    """A source includes the header of its name before anything else, so that this compiles alone."""
    header = path.with_suffix(".hpp")
    first = INCLUDE.search(path.read_text(errors="replace"))
    if header.is_file() and (not first or first[1] != str(header.relative_to(top))):
        yield f"{path}: must include {header.name} before anything else"


def check_cuda(path, relative):
    """CUDA stays in its folder, which is left out where there is no toolkit."""
    if relative.parts[:2] == ("moe_layer", "cuda"):
        return
    for included in INCLUDE.findall(path.read_text(errors="replace")):
        if re.fullmatch(CUDA, included):
            yield f"{path}: only moe_layer/cuda may include {included}"


def check_printing(path, relative):
    """One place prints."""
    if str(relative) == PRINTER:
        return
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if PRINTS.search(line.partition("//")[0]):
            yield f"{path}:{number}: only {PRINTER} prints: use harness/cli/printing.hpp"


def check_scripts(top, scripts):
    for script in scripts:
        if subprocess.run(["bash", "-n", script], check=False).returncode:
            yield f"{script}: bash cannot parse it"
    if scripts and shutil.which("shellcheck"):
        # -x: also what a script sources, named from the top.
        done = subprocess.run(["shellcheck", "-x", *scripts], cwd=top, capture_output=True,
                              text=True, check=False)
        if done.returncode:
            yield f"shellcheck:\n{done.stdout}"


def violations(top):
    for entry in sorted(top.iterdir()):
        if not entry.name.startswith(".") and entry.name not in TOP | BUILT \
                and entry.suffix not in {".h5", ".partial", ".lock", ".html"}:
            yield f"{entry}: the top level holds only {', '.join(sorted(TOP))}"
    rooms = {f"{folder}/{floor}".rstrip("/") for folder, floors in FLOORS.items() for floor in floors}
    for folder in sorted(FOLDERS | rooms):
        if (folder in FOLDERS or (top / folder).is_dir()) \
                and not (top / folder / "README.md").is_file():
            yield f"{top / folder}: has no README.md"
    scripts, sources, tests = [], [], []
    for path in files_of(top):
        relative = path.relative_to(top)
        if path.suffix in CODE and relative.parts[0] in ARROWS:
            sources.append(path)
            yield from check_includes(path, relative.parts[0])
            yield from check_floors(path, relative)
            yield from check_cuda(path, relative)
            yield from check_printing(path, relative)
            yield from check_namespace(path, relative)
            if path.suffix != ".hpp":
                yield from check_first_include(path, top)
                yield from check_own_header(path, relative)
        if path.suffix in CODE and relative.parts[0] == "tests" and relative.parts[1] in ARROWS:
            tests.append(path)
        if path.suffix in {".sh", ".sbatch"} or relative.parts[0] == ".ci":
            scripts.append(path)
    yield from check_circles(top, sources)
    yield from check_tests(top, tests)
    yield from check_scripts(top, scripts)


def warnings(top):
    for path in files_of(top):
        if path.suffix in CODE | {".py", ".sh"}:
            lines = len(path.read_text(errors="replace").splitlines())
            if lines > LONG:
                yield f"warning: {path}: {lines} lines, more than {LONG}: do two ideas live there?"


def main():
    top = pathlib.Path(sys.argv[1]).resolve()
    found = list(violations(top))
    print("\n".join([*warnings(top), *(found or ["the structure holds"])]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
