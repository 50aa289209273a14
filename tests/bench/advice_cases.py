#!/usr/bin/python3
"""`gembench advise` on 20 made recordings whose right answer is known, and the bar.

Skewed loads over hundreds of steps: a change pays. Even loads, or one rank: nothing pays. A few steps,
or a few small ones: the recording does not tell. Predicted, nothing ran. Exit 1 when fewer than LEAST
answers are right.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from planner_files import PROGRAM, gembench

LEAST = 19
SMALL, LARGE = "gpt-oss-20b", "qwen3-30b-a3b"
YES, NO, UNKNOWN = "recommended", "not recommended", "insufficient evidence"

# (right answer, model, tokens, steps, ranks, loads, more of advise)
CASES = [
    *((YES, SMALL, 1024, 256, 4, ["serving", "--seed", seed], []) for seed in (1, 2)),
    *((YES, LARGE, 2048, 256, 8, ["bursty", "--seed", seed], []) for seed in (1, 2)),
    (YES, LARGE, 2048, 256, 8, ["power-law", "--alpha", "0.8"], []),
    (YES, SMALL, 2048, 256, 4, ["power-law", "--alpha", "1.2"], []),
    (YES, SMALL, 4096, 256, 4, ["power-law", "--alpha", "0.6"], ["--slowdown", "1,1,1.2,1"]),
    (YES, SMALL, 2048, 256, 4, ["w1-hot-experts"], []),
    *((NO, SMALL, 4096, 512, 4, ["power-law", "--alpha", "0", "--seed", seed], []) for seed in (1, 2, 3)),
    (NO, SMALL, 2048, 256, 4, ["even"], []),
    (NO, SMALL, 4096, 512, 4, ["w0-balanced"], []),
    (NO, LARGE, 8192, 512, 8, ["power-law", "--alpha", "0"], []),
    (NO, SMALL, 4096, 512, 1, ["serving"], []),
    (UNKNOWN, SMALL, 1024, 1, 4, ["serving"], []),
    (UNKNOWN, SMALL, 1024, 8, 4, ["bursty"], []),
    (UNKNOWN, SMALL, 64, 14, 4, ["bursty"], []),
    (UNKNOWN, SMALL, 16, 24, 4, ["power-law", "--alpha", "0.3"], []),
    (UNKNOWN, LARGE, 32, 16, 8, ["serving"], []),
]


def advised(folder, case):
    _, model, tokens, steps, ranks, preset, more = case
    trace = folder / "t.h5"
    gembench("trace", "make", "--model", model, "--layers", 2, "--tokens", tokens, "--steps", steps,
             "--preset", *preset, "-q", "--overwrite", "-o", trace)
    done = subprocess.run([PROGRAM, "advise", "--trace", trace, "--ranks", str(ranks), "--format", "json",
                           *more], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def main():
    right = 0
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            found = advised(pathlib.Path(folder), case)
            right += found["verdict"] == case[0]
            print("ok   " if found["verdict"] == case[0] else "WRONG", case[0].ljust(21),
                  *map(str, case[1:5]), *map(str, case[5]), "|", found["sentence"])
    print(f"{right} of {len(CASES)} answers are right, the bar is {LEAST}")
    sys.exit(right < LEAST)


if __name__ == "__main__":
    main()
