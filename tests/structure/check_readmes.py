#!/usr/bin/env python3
"""READMEs say what is there: every relative link leads to a file, and a folder's README that has a table
of files names each source file in it (tests/ apart, whose files mirror what they test). Prints what is wrong;
exit 1."""

import fnmatch
import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
TABLE = re.compile(r"^\| (?:file|script)s? \|", re.M)
QUOTED = re.compile(r"`([^`]+)`")
SOURCES = {".cpp", ".hpp", ".cu", ".py", ".sh"}


def tracked(top):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=top, check=False,
                            capture_output=True, text=True)
    if listed.returncode == 0:
        return [top / name for name in listed.stdout.splitlines() if (top / name).is_file()]
    return [path for path in top.rglob("*") if path.is_file() and "build" not in path.parts]


def broken_links(readme, top):
    for number, line in enumerate(readme.read_text().splitlines(), 1):
        for target in LINK.findall(line):
            if not (readme.parent / target).exists():
                yield f"{readme.relative_to(top)}:{number}: the link {target} leads nowhere"


def unnamed_files(readme, files, top):
    text = readme.read_text()
    if not TABLE.search(text) or readme.relative_to(top).parts[0] == "tests":
        return
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    words = [word for quoted in QUOTED.findall(rows) for word in re.split(r"[ ,]+", quoted)]
    for file in files:
        if file.parent != readme.parent or file.suffix not in SOURCES or file.name == "__init__.py":
            continue
        if not any(fnmatch.fnmatch(file.name, word) or fnmatch.fnmatch(file.stem, word)
                   for word in words):
            yield f"{readme.relative_to(top)}: its table lacks {file.name}"


def faults(top):
    files = tracked(top)
    for readme in (file for file in files if file.suffix == ".md"):
        yield from broken_links(readme, top)
        if readme.name == "README.md":
            yield from unnamed_files(readme, files, top)


def main():
    found = sorted(faults(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "links lead to files, and tables name all files")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
