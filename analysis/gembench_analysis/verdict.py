"""The result in a sentence: which placement is faster, by how much, how sure, for what. Differences
are in step time, in every text, table and figure: negative = faster."""

from dataclasses import dataclass
from typing import List, Optional

import numpy as np
import xarray as xr

from . import gpus, quiet
from .figures import rank_speeds
from .summary import LEAST_BLOCKS, Difference, Summary, drift


UNEVEN_DRIFT = 0.05  # between ranks; beyond it the report warns
# What a verdict can be, the one that overrides the others first.
UNTRUSTED, UNFINISHED = "not trustworthy", "unfinished"
FASTER, SLOWER, OPEN = "faster", "slower", "not conclusive"


@dataclass(frozen=True)
class Verdict:
    """`outcome` is one of the words above, `sentence` is the answer, `lead` says whether the best can be distinguished from the next,
    `slow` which rank is slow, `waited` which rank the others wait for and why, `conditions` what
    the numbers hold for, `warnings` what makes them doubtful."""

    outcome: str
    sentence: str
    lead: str
    slow: str
    waited: str
    conditions: str
    warnings: List[str]
    best: Optional[str]


def percent(fraction: float, digits: int = 1) -> str:
    """0.123 -> '12.3 %'."""
    return f"{100 * fraction:.{digits}f} %"


def change(fraction: float, digits: int = 1) -> str:
    """-0.123 -> '-12.3 %': a difference in step time; negative = faster."""
    return f"{100 * fraction:+.{digits}f} %"


def interval(found: Difference) -> str:
    """The interval of a difference, in words."""
    if found.low is None or found.high is None:
        return (f"no interval: {found.blocks} block{'' if found.blocks == 1 else 's'} of steps, "
                f"and it takes {LEAST_BLOCKS}")
    return (f"95 % interval {100 * found.low:+.1f} to {change(found.high)}, "
            f"{found.blocks} blocks of steps; by the means {change(found.mean)}")


def more_blocks(run: xr.Dataset) -> str:
    """How to get an interval for the run."""
    if "segments_steps" in run:
        longest = int(run["segments_steps"].values.max())
        planned = run.sizes["segment"] // run.sizes["placement"]
    else:
        block = run["block"].values[run["block"].values >= 0].astype(int)
        longest = int(np.bincount(block).max() // run.sizes["placement"]) if block.size else 1
        planned = run.sizes["step"] // max(1, longest)
    if planned >= LEAST_BLOCKS:
        return "continue the run with --resume" if run.attrs["unfinished"] else \
            "give it a longer --max-seconds"
    steps = run.sizes["step"]
    return f"measure with --steps {LEAST_BLOCKS * longest}" + (
        f" or --block {steps // LEAST_BLOCKS}" if steps >= LEAST_BLOCKS else "")


def _sentence(rows: List[Summary], ranks: int) -> "tuple[str, str, Optional[str]]":
    reference = rows[0].placement
    others = [row for row in rows[1:] if row.difference is not None
              and np.isfinite(row.difference.typical)]
    if not others:
        return OPEN, f"Only {reference} was measured: there is nothing to compare it with.", None
    if ranks == 1:
        return OPEN, ("There is nothing to compare: one rank holds every expert under each placement, so "
                "their times differ by noise alone."), None
    # One that is certainly faster before one that only may be, and that before those that are slower.
    faster = [row for row in others if row.difference and row.difference.sure and row.difference.typical < 0]
    unsure = [row for row in others if row.difference and not row.difference.sure]
    best = min(faster or unsure or others, key=lambda row: row.difference.typical if row.difference else 0.0)
    found = best.difference
    assert found is not None
    if found.low is None:
        return OPEN, (f"Too short for a verdict: {best.placement} against {reference}: step time "
                      f"{change(found.typical)} ({interval(found)})."), None
    if faster:
        return FASTER, (f"{best.placement} is faster than {reference}: step time "
                        f"{change(found.typical)} ({interval(found)})."), best.placement
    if unsure:
        return OPEN, (f"No placement is certainly faster than {reference}: the best of those that may be, "
                      f"{best.placement}, has step time {change(found.typical)}, and the interval "
                      f"includes zero ({interval(found)})."), None
    return SLOWER, (f"Every other placement is slower than {reference}: the next, "
                    f"{best.placement}, has step time {change(found.typical)} "
                    f"({interval(found)})."), reference


def _lead(rows: List[Summary], best: Optional[str]) -> str:
    others = [row for row in rows[1:] if row.placement != best and row.difference]
    if best is None or best == rows[0].placement or not others:
        return ""
    second = min(others, key=lambda row: row.difference.typical if row.difference else 0.0).placement
    found = next(row for row in rows if row.placement == best).against[second]
    if found.sure:
        return (f"Against the runner-up {second}: step time {change(found.typical)} "
                f"({interval(found)}).")
    return (f"Its lead over the runner-up {second} (step time {change(found.typical)}) is within the noise "
            f"({interval(found)}).")


def _slow(run: xr.Dataset, reduced: xr.Dataset) -> str:
    speeds = rank_speeds(run, reduced)
    if speeds is None:
        return "Unknown: the run had no profile."
    if speeds.relative.size == 1:
        return "There is one rank only."
    if speeds.relative.max() < 1.005:
        return "None: in the profile, the ranks differ by less than 0.5 % at the mean load."
    slowest, fastest = int(speeds.relative.argmax()), int(speeds.relative.argmin())
    slowdown = run["slowdown"].values
    emulated = ""
    if (slowdown != 1).any():
        emulated = (f"; emulated slowdowns {float(slowdown[slowest]):g} and "
                    f"{float(slowdown[fastest]):g}")
    return (f"Rank {slowest}: at the mean load its experts take "
            f"{percent(speeds.relative[slowest] - 1)} longer than those of rank {fastest}, the "
            f"fastest (by the profile{emulated}).")


def _waited(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary],
            best: Optional[str]) -> str:
    said = []
    for row in [rows[0]] + [row for row in rows[1:] if row.placement == best]:
        if row.straggler is None:
            return "Unknown: only whole steps were timed."
        by = reduced["causes"].sel(placement=row.placement).isel(rank=row.straggler)
        cause = str(by["cause"].values[int(by.values.argmax())])
        why = {"load": "above all because of its load", "speed": "above all because it is slow",
               "communication": "above all in communication",
               "rest": "above all for reasons that the profile does not explain"
                       if "profile_latency" in run else "and there is no profile to explain why"}[cause]
        said.append(f"Under {row.placement} rank {row.straggler} arrives last in "
                    f"{percent(row.last_share[row.straggler], 0)} of layers, {why}; ranks wait "
                    f"{percent(row.wait_share)} of the time.")
    return " ".join(said)


def _conditions(run: xr.Dataset) -> str:
    facts, slowdown = run.attrs, run["slowdown"].values
    clock = {"wall": "wall clock",
             "cpu-time": "clock: thread CPU time, so no number includes communication or real "
                         "waiting",
             "gpu-stamps": "clock: stamps of the GPUs' timers in steps that are one CUDA graph, "
                           "without barriers; dispatch holds the wait for the slowest sender"}
    errors = [run[name].values for name in ("topology_clock_error_before", "topology_clock_error_after")
              if name in run]
    worst = np.nanmax(np.concatenate([*errors, [0.0]]))
    if worst > 0:
        clock["gpu-stamps"] += (f"; they are aligned within {1e6 * worst:.1f} us of rank 0's host, "
                                "and a wait shorter than twice that may be none")
    spread = ("rank speeds EMULATED, each rank's compute stretched "
              f"{slowdown.min():g} to {slowdown.max():g} times") if (slowdown != 1).any() \
        else "real rank speeds, nothing emulated"
    ranks = "1 rank" if run.sizes["rank"] == 1 else f"{run.sizes['rank']} ranks"
    if facts.get("drift"):
        spread += f"; DRIFT INJECTED during the run: {facts['drift']}"
    stated = facts["config"].get("non-moe-time") or 0
    return (f"Measured on {ranks}, {facts.get('nodes', 'nodes unknown')}, "
            f"{facts.get('device', 'device unknown')}; "
            f"{clock.get(str(facts['clock']), facts['clock'])} "
            f"({facts.get('clock_reason', 'no reason given')}); {spread}. "
            f"{facts.get('model', 'Model unknown')}; {facts.get('routing', 'routing unknown')}; "
            f"{facts.get('plan', '')}. "
            + (f"Measuring ended: {facts['stopped']}. " if facts.get("stopped") else "")
            + quiet.sentence(run) + (
                f"{stated:g} s per layer are added for everything but the MoE layers (stated, not "
                "measured)."
                if stated else "MoE layers only: attention and the rest are not in the step time."))


def verdict(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary]) -> Verdict:
    """The head of the report. `rows` is summarise(run)."""
    outcome, sentence, best = _sentence(rows, run.sizes["rank"])
    warnings = []
    if run.attrs["unfinished"]:
        outcome = UNFINISHED
        done = ", ".join(f"{row.placement} {row.steps}" for row in rows)
        warnings.append(f"UNFINISHED RUN: measured so far, of {run.sizes['step']} steps: {done}. "
                        "Continue it with --resume.")
    check = run.attrs.get("/check", {})
    if not run.attrs["unfinished"] and check.get("mode") != "none" and check.get("passed") == 0:
        outcome = UNTRUSTED
        warnings.append("THE OUTPUT CHECK FAILED, so these times are of wrong results: "
                        f"{check.get('message', '')}")
    if run.attrs["config"].get("in-sample"):
        outcome = UNTRUSTED
        warnings.append("Planned on the very steps that were measured (--in-sample): gains are "
                        "larger than a deployment would see.")
    if "IN-SAMPLE" in str(run.attrs.get("placement_files", "")):
        outcome = UNTRUSTED
        warnings.append(f"{run.attrs['placement_files']}: gains are larger than a deployment would "
                        "see.")
    after = drift(run)
    if after is not None and max(after) - min(after) > UNEVEN_DRIFT:
        warnings.append("The machine changed unevenly: after the run the ranks' experts took "
                        f"{100 * min(after):+.0f} to {100 * max(after):+.0f} % against the profile "
                        "that was planned with. Placements that know speeds suffer from that; "
                        "differences between placements stay paired.")
    if run.attrs.get("ranks_share") == "cores":
        warnings.append("Ranks share physical cores: hardware threads of one core slow each other "
                        "down. Start as many ranks as there are cores, or bind each to one.")
    warnings += quiet.warnings(run)
    warnings += gpus.findings(run)
    blocks = [row.difference.blocks for row in rows[1:] if row.difference]
    if blocks and min(blocks) < LEAST_BLOCKS and run.sizes["rank"] > 1:
        warnings.append(f"{min(blocks)} block{'' if min(blocks) == 1 else 's'} of steps: too few "
                        "for an interval, so no placement is called faster than another; "
                        f"{more_blocks(run)}.")
    return Verdict(outcome, sentence, _lead(rows, best), _slow(run, reduced),
                   _waited(run, reduced, rows, best), _conditions(run), warnings, best)
