#!/usr/bin/env python3
"""Lines of gpu_check.sh's page from what the CUDA benches print (JSON lines on standard input): the
median of each side and of their ratio. No number where the device was simulated. Exit 1 without any
line. gpu_check.py BENCH"""

import json
import statistics
import sys

REFERENCES = {"exchange": "NCCL alone", "experts": "cuBLAS alone", "tax": "no clock",
              "start barrier": "without", "stages": "whole steps"}
UNITS = {"byte": ("GB/s", 1e9), "FLOP": ("TFLOP/s", 1e12)}


def line(record):
    """`ours` and `reference` are seconds by pair."""
    head = f"  {record['bench']:<13} {record['shape']:<42} {record['ranks']:>3} ranks  "
    if "simulated" in record["device"]:
        return head + "ran on the simulation: no GPU, so no times"
    ours, reference = record["ours"], record["reference"]
    text = head + (f"ours {statistics.median(ours) * 1e6:9.1f} us, {REFERENCES[record['bench']]} "
                   f"{statistics.median(reference) * 1e6:9.1f} us, ")
    if record["unit"] not in UNITS:
        added = statistics.median(100 * (a / b - 1) for a, b in zip(ours, reference))
        return text + f"{added:+.2f} %"
    name, scale = UNITS[record["unit"]]
    ratio = statistics.median(b / a for a, b in zip(ours, reference))
    return text + (f"ratio {ratio:.3f}, {record['work'] / statistics.median(ours) / scale:.1f} "
                   f"{name}")


def main():
    wanted = sys.argv[1]
    found = [json.loads(text) for text in sys.stdin if text.startswith("{")]
    lines = [line(record) for record in found if record["bench"] == wanted]
    print("\n".join(lines) or f"  no comparison '{wanted}' was made")
    sys.exit(0 if lines else 1)


if __name__ == "__main__":
    main()
