#!/usr/bin/env python3
"""Line coverage of the CUDA device: builds the simulation's tests with gcov in BUILD_FOLDER, runs
moe_layer.cuda on 1, 2 and 4 ranks and the program's test, prints a table. Exit 1 when a source has
less than 95 %. coverage.py [BUILD_FOLDER (build/coverage)] [--lines: those that never ran]"""

import collections
import json
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[3]
SOURCES = [TOP / "moe_layer" / "cuda", TOP / "moe_layer" / "cuda_plugin.cpp"]
LEAST = 95  # percent
TARGETS = ["moe_layer.cuda", "gembench_simulated", "gembench_other_plugin", "gembench_fake_nvml"]
TESTS = r"^moe_layer\.cuda\.(np1|np2|np4|program)$"


def run(*words):
    subprocess.run([str(word) for word in words], check=True)


def build_and_test(build):
    run("cmake", "-S", TOP, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_CXX_FLAGS=--coverage -fprofile-update=atomic", "-DGEMBENCH_CUDA=OFF")
    run("cmake", "--build", build, "--parallel", "--target", *TARGETS)
    for old in build.rglob("*.gcda"):
        old.unlink()
    run("ctest", "--test-dir", build, "-R", TESTS, "--output-on-failure")


def counts(build):
    """[source][line] how often it ran, over all objects it is part of."""
    times = collections.defaultdict(lambda: collections.defaultdict(int))
    for notes in build.rglob("*.gcno"):
        if "moe_layer" not in notes.parts:
            continue
        told = subprocess.run(["gcov", "--json-format", "--stdout", notes], cwd=build, check=True,
                              capture_output=True, text=True).stdout
        for text in filter(None, told.splitlines()):
            for file in json.loads(text)["files"]:
                path = pathlib.Path(os.path.normpath(build / file["file"]))
                if any(path == source or source in path.parents for source in SOURCES):
                    for line in file["lines"]:
                        times[path][line["line_number"]] += line["count"]
    return times


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    build = pathlib.Path(words[0] if words else TOP / "build" / "coverage").resolve()
    build_and_test(build)
    bad = 0
    print(f"{'source':<28} {'lines':>6} {'run':>6} {'%':>6}")
    for path, lines in sorted(counts(build).items()):
        ran = sum(1 for times in lines.values() if times)
        share = 100 * ran / len(lines)
        bad += share < LEAST
        print(f"{path.relative_to(TOP / 'moe_layer')!s:<28} {len(lines):>6} {ran:>6} {share:>6.1f}")
        if "--lines" in sys.argv and ran < len(lines):
            print("   never:", *sorted(line for line, times in lines.items() if not times))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
