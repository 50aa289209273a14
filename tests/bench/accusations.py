#!/usr/bin/env python3
"""How often `gembench probe` accuses equal ranks, and how often it finds a slow one, on made readings,
by the program's own code (bench_slowness.cpp). Exit 1 if more than 1 % of runs accuse somebody, and
more than chance."""

import argparse
import json
import math
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
MOST = 0.01
# Noise that the assumptions exclude: shown, not judged. In 48 rounds each is a block of its own, and
# alike() sees only neighbours.
EXCLUDED = {("past", "heavy tails", None), ("others", "blocks of 8", 48)}


def percent(count, of):
    return f"{100 * count / of:7.2f}" if of else "      -"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=TOP / "build/release", type=pathlib.Path)
    parser.add_argument("--runs", default=10000, type=int, help="of every kind of noise and size")
    options = parser.parse_args()

    out = subprocess.run([options.build / "bench_slowness", str(options.runs)], check=True,
                         capture_output=True, text=True).stdout
    cells = [json.loads(line) for line in out.splitlines()]
    print(f"# {options.runs} runs a row, of 64 ranks a fifth of them, noise of a reading 2 %, --slower-than 5%; %: runs that "
          "accuse somebody if any\n# difference counts, and with the limit; slow ranks found at 5 %; mean "
          "resolution; found at the resolution; runs without one\n"
          f"# {'noise':<18}{'ranks':>6}{'rounds':>7}  strict  quiet  at 5 %  resolves  found    none")
    for cell in (cell for cell in cells if cell["of"] == "others"):
        runs, told = cell["runs"], cell["told"]
        print(f"  {cell['kind']:<18}{cell['ranks']:>6}{cell['rounds']:>7} {percent(cell['strict'], runs)}"
              f"{percent(cell['quiet'], runs)} {percent(cell['limit'], runs)}"
              f"   {100 * cell['resolution']:7.2f}{percent(cell['found'], told)} "
              f"{percent(runs - told, runs)}")
    print("#\n# against the past, any difference counts\n"
          f"# {'noise':<18}{'devices':>8}{'earlier':>8}  accused %")
    for cell in (cell for cell in cells if cell["of"] == "past"):
        print(f"  {cell['kind']:<18}{cell['ranks']:>8}{cell['earlier']:>8}    "
              f"{percent(cell['strict'], cell['runs'])}")
    wrong = [cell for cell in cells if (cell["of"], cell["kind"], cell.get("rounds")) not in EXCLUDED
             and cell["strict"] / cell["runs"] > MOST + 3 * math.sqrt(MOST * (1 - MOST) / cell["runs"])]
    print(f"#\n# {'ok  ' if not wrong else 'MISS'} {len(wrong)} of {len(cells)} rows accuse in more "
          f"than {100 * MOST:g} % and chance")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
