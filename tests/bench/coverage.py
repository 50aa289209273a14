#!/usr/bin/env python3
"""How often the 95 % intervals of `gembench compare` hold the truth, on made data sets of known
truth, by the program's own code (bench_coverage.cpp). Exit 1 below 93 % anywhere."""

import argparse
import json
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
LEAST = 0.93
TITLES = {"pairs": "Differences, by number of pairs; precise: by as many as run --precision 2 takes, "
                   "and their mean",
          "launches": "Differences pooled over launches, by number of launches"}


def share_of(cell):
    """Of its intervals that hold the truth; None where none is printed."""
    return cell["held"] / cell["printed"] if cell["printed"] else None


def table(title, cells):
    """Prints one table, a row a kind of data."""
    counts = list(dict.fromkeys(cell["n"] for cell in cells))
    print(f"#\n# {title}\n# {'':<21}" + "".join(f"{n:>{9 if n == 'precise' else 6}}" for n in counts))
    for kind in dict.fromkeys(cell["kind"] for cell in cells):
        row = {cell["n"]: cell for cell in cells if cell["kind"] == kind}
        line = f"  {kind:<21}"
        for n, cell in row.items():
            share = share_of(cell)
            line += "     -" if share is None else f"{100 * share:{9 if n == 'precise' else 6}.1f}"
        print(line + (f" ({row['precise']['pairs']:.0f})" if "precise" in row else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=TOP / "build/release", type=pathlib.Path)
    parser.add_argument("--sets", default=2000, type=int, help="data sets of every kind and count")
    options = parser.parse_args()

    out = subprocess.run([options.build / "bench_coverage", str(options.sets)], check=True,
                         capture_output=True, text=True).stdout
    cells = [json.loads(line) for line in out.splitlines()]
    print(f"# % of {options.sets} intervals that hold the truth; - = no interval is printed, and "
          "where some are, % of those")
    for of in dict.fromkeys(cell["of"] for cell in cells):
        mine = [cell for cell in cells if cell["of"] == of]
        if all(cell["printed"] == 0 for cell in mine):
            sys.exit(f"coverage.py: no interval of {of} was printed at all")
        table(TITLES.get(of, f"{of[0].upper()}{of[1:]}, by number of steps"), mine)
    wrong = [cell for cell in cells if cell["printed"] and share_of(cell) < LEAST]
    print(f"#\n# {'ok  ' if not wrong else 'MISS'} {len(wrong)} of {len(cells)} cells below "
          f"{100 * LEAST:g} %" + "".join(f"; {cell['of']}, {cell['kind']}, {cell['n']}: "
                                         f"{cell['held']} of {cell['printed']}" for cell in wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
