#!/usr/bin/python3
"""What the main job says, time and again: the quickstart's command on this machine, quiet and with busy
loops beside it.

Whoever runs it, wherever, must be told the same: `gem` is below `linear`, with an interval off zero that is
narrow, in a time that one waits for. Seeds differ from run to run, so weights, loads and order do too, and
the true difference a little.
"""

import argparse
import tempfile
import time

import support

WIDEST = 0.03  # half width of an interval
LONGEST = 180  # s of one run, from start to end


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside the runs")
    parser.add_argument("--max-seconds", default="150", help="as the program's option")
    options = parser.parse_args()
    ranks, words = support.quickstart()

    off_zero, widest, longest = 0, 0.0, 0.0
    with tempfile.TemporaryDirectory(prefix="gembench-verdicts-") as folder, \
            support.busy_loops(options.busy):
        for seed in range(1, options.runs + 1):
            begin = time.monotonic()
            result = support.run(ranks, folder, *words, "--seed", seed, "--max-seconds",
                                 options.max_seconds, "-o", f"{seed}.h5")
            seconds = time.monotonic() - begin
            if seed == 1:
                print(f"{support.conditions(result)}\n# {support.cpu()}; {options.busy} busy loops beside\n"
                      "# seed   gem vs linear %              eplb %    gem+ %  steps      s  model off by %  ended")
            eplb, gem, best = (row["difference"] for row in result["placements"][1:])
            by_model = "predicted_by_experts" if result["cost_model"] == "per-expert" else "predicted"
            errors = [abs(row[by_model] / row["measured"] - 1) for row in result["placements"]]
            off_zero += gem["high"] is not None and gem["high"] < 0
            widest = max([widest] + [(d["high"] - d["low"]) / 2 if d["low"] is not None else 1
                                     for d in (eplb, gem, best)])
            longest = max(longest, seconds)
            ends = [f"{100 * gem[end]:+6.2f}" if gem[end] is not None else "     -"
                    for end in ("low", "high")]
            print(f"  {seed:4}  {100 * gem['typical']:+6.2f} ({ends[0]} .. {ends[1]})  "
                  f"{100 * eplb['typical']:+8.2f}  {100 * best['typical']:+8.2f}  "
                  f"{result['placements'][0]['steps']:5}  {seconds:5.0f}  {100 * max(errors):14.1f}  "
                  f"{result['stopped']}", flush=True)

    bar = -(-9 * options.runs // 10)
    support.verdict([
        (off_zero >= bar, f"gem is below linear with its interval off zero in {off_zero} of "
                          f"{options.runs} runs, at least {bar} must"),
        (widest <= WIDEST, f"the widest interval is +-{100 * widest:.1f} points, at most "
                           f"{100 * WIDEST:g}"),
        (longest <= LONGEST, f"the longest run took {longest:.0f} s, at most {LONGEST}"),
    ])


if __name__ == "__main__":
    main()
