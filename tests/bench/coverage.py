#!/usr/bin/env python3
"""How often the 95 % intervals of `gembench compare` hold the truth, on made data sets of known
difference, by the program's own code (bench_coverage.cpp). Exit 1 below 93 % anywhere."""

import argparse
import json
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
LEAST = 0.93


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=TOP / "build/release", type=pathlib.Path)
    parser.add_argument("--sets", default=2000, type=int, help="data sets of every kind and count")
    options = parser.parse_args()

    out = subprocess.run([options.build / "bench_coverage", str(options.sets)], check=True,
                         capture_output=True, text=True).stdout
    cells = [json.loads(line) for line in out.splitlines()]
    counts = list(dict.fromkeys(cell["n"] for cell in cells))
    print(f"# % of {options.sets} intervals that hold the truth, by number of pairs; - = no interval is "
          "printed;\n# precise: by as many pairs as run --precision 2 takes, and their mean")
    print(f"# {'':<17}" + "".join(f"{n:>{9 if n == 'precise' else 7}}" for n in counts))
    wrong = 0
    for kind in dict.fromkeys(cell["kind"] for cell in cells):
        row = [cell for cell in cells if cell["kind"] == kind]
        shown = []
        for cell in row:
            share = cell["held"] / cell["printed"] if cell["printed"] else None
            wrong += share is not None and share < LEAST
            shown.append("      -" if share is None else f"{100 * share:7.1f}")
        print(f"  {kind:<17}" + "".join(shown) + (f" ({row[-1]['pairs']:.0f})" if row[-1]["n"] == "precise" else ""))
    print(f"# {'ok  ' if not wrong else 'MISS'} {wrong} of {len(cells)} cells below "
          f"{100 * LEAST:g} %")
    if all(cell["printed"] == 0 for cell in cells):
        sys.exit("coverage.py: no interval was printed at all")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
