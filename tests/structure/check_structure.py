#!/usr/bin/env python3
"""Holds the tree against the rules of the house: which folder may include which, who may touch MPI,
HDF5 and the like, what lies at the top, how long a file may be. Prints every violation; exit 1."""

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
    "placement": ["base", "encodings", "loads", "speeds", "cost", "search", "exchange", "recordings",
                  "strategies"],
    "results": ["hdf5", ""],
    "moe_layer": ["mpi", "model", "device", "cpu", "cuda", "dispatch", "", "profiler"],
    "harness": ["cli", "statistics", "run", "report", "commands", ""],
}
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
MAX_LINES = 400
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
    scripts = []
    for path in files_of(top):
        relative = path.relative_to(top)
        if path.suffix in {".cpp", ".hpp", ".cu", ".py", ".sh"}:
            lines = len(path.read_text(errors="replace").splitlines())
            if lines > MAX_LINES:
                yield f"{path}: {lines} lines, more than {MAX_LINES}: do two things live there?"
        if path.suffix in {".cpp", ".hpp", ".cu"} and relative.parts[0] in ARROWS:
            yield from check_includes(path, relative.parts[0])
            yield from check_floors(path, relative)
            yield from check_cuda(path, relative)
            yield from check_printing(path, relative)
            if path.suffix != ".hpp":
                yield from check_first_include(path, top)
        if path.suffix in {".sh", ".sbatch"} or relative.parts[0] == ".ci":
            scripts.append(path)
    yield from check_scripts(top, scripts)


def main():
    found = list(violations(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "the structure holds")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
