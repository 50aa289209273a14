#!/usr/bin/env python3
"""API documentation of placement/: Doxygen must build it without a warning, and every type must say
what it is. Members need not: `layers` of a trace says that itself. Prints what is wrong; exit 1, 77
where there is no doxygen."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

DOXYFILE = pathlib.Path(__file__).with_name("Doxyfile")


def warnings(top, *settings):
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["doxygen", "-"], cwd=top, capture_output=True, text=True, check=False,
                              input="\n".join([DOXYFILE.read_text(), *settings]),
                              env={**os.environ, "OUTPUT_DIRECTORY": folder})
    said = made.stderr.splitlines()
    return said or ([f"doxygen ends with {made.returncode}"] if made.returncode else [])


def undocumented_types(top):
    said = warnings(top, "EXTRACT_ALL = NO", "WARN_IF_UNDOCUMENTED = YES", "WARN_AS_ERROR = NO",
                    "GENERATE_HTML = NO", "GENERATE_XML = YES")
    return [line for line in said if "warning: Compound " in line]


def main():
    if not shutil.which("doxygen"):
        print("check_docs.py: there is no doxygen here: install it to run this check")
        sys.exit(77)
    top = pathlib.Path(sys.argv[1]).resolve()
    found = warnings(top) + undocumented_types(top)
    print("\n".join(found) or "the documentation builds without a warning")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
