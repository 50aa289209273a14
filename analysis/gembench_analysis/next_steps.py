"""What to do next: sentences with commands that can be pasted, with this run's file names."""

import os
import shlex
from dataclasses import dataclass
from typing import List, Optional, Sequence

import xarray as xr

from .figure_names import slug
from .summary import Summary
from .verdict import OPEN, SLOWER, UNFINISHED, UNTRUSTED, Verdict


@dataclass(frozen=True)
class NextStep:
    """`why` is a sentence; `commands` are lines for a shell."""

    why: str
    commands: List[str]


def placement_file(results: str, placement: str) -> str:
    """Name of the placement.json that `gembench-report RESULTS --export PLACEMENT` writes."""
    return f"{os.path.splitext(results.removesuffix('.partial'))[0]}-{slug(placement)}.json"


def _export(results: str, placement: str) -> List[str]:
    plan = placement_file(results, placement)
    words = [["gembench-report", results, "--export", placement],
             ["gembench", "convert", plan, "--to", "sglang", "-o",
              f"{os.path.splitext(plan)[0]}-sglang.json"]]
    return [shlex.join(line) for line in words]


def _scaled(run: xr.Dataset) -> str:
    """A sentence if the run's model is not the engine's."""
    config = run.attrs["config"]
    if (config.get("scale") or 1) == 1 and not config.get("layers"):
        return ""
    return (" This run's model was scaled down or had some of the layers only: its placement shows "
            "the way, but an engine needs one of the whole model.")


def _again(run: xr.Dataset, without: Sequence[str], *more: str) -> List[str]:
    """The run's command without these options (each with its value, if it has one) and with more;
    none if the file does not know it, or only without names (--anonymous)."""
    if "environment_anonymous" in run:
        return []
    try:
        words = shlex.split(str(run.attrs.get("command_line", "")))
    except ValueError:
        return []
    if words[1:2] != ["run"]:
        return []
    kept: List[str] = []
    dropped: Optional[str] = None  # the value, as far as it goes, of an option that is left out
    for word in words:
        if word.startswith("-"):
            # --name=value and -nVALUE hold their value. Of the others, a word that follows is the value.
            name = word.split("=", 1)[0] if word.startswith("--") else word[:2]
            dropped = word.removeprefix(name) if name in without else None
        elif dropped is not None and dropped and not (
                dropped.endswith(",") or word.startswith(",") or word == "%"):
            dropped = None  # "a, b" and "50 %" are one value
        elif dropped is not None:
            dropped += word
        if dropped is None:
            kept.append(word)
    return [shlex.join(kept + list(more))]


OUTPUT = ("-o", "--output", "--overwrite", "--resume")
LAUNCH = "start it as before (jobs/local.sh, mpirun or srun, with as many ranks)"


def next_steps(run: xr.Dataset, rows: List[Summary], found: Verdict) -> List[NextStep]:
    """In the order in which they should be done."""
    results = str(run.attrs["file"])
    stem = os.path.splitext(results.removesuffix(".partial"))[0]
    if found.outcome == UNFINISHED:
        return [NextStep(f"Finish the run, which keeps what was measured: {LAUNCH}.",
                         _again(run, ("--overwrite", "--resume"), "--resume"))]
    if found.outcome == UNTRUSTED:
        return [NextStep("Do not use these times. Run again without what the warnings name.", [])]
    if run.sizes["rank"] == 1:
        return [NextStep("Use at least 2 ranks: on one rank all placements are the same.", [])]
    if len(rows) == 1:
        return [NextStep(f"Compare with other placements: {LAUNCH}.", _again(
            run, (*OUTPUT, "--placements"), "--placements", f"{rows[0].placement},eplb,gem",
            "--output", f"{stem}-compared.h5"))]
    if found.outcome == OPEN:
        return [NextStep(f"Measure until the intervals are narrower: {LAUNCH}.", _again(
            run, (*OUTPUT, "--steps", "--precision", "--max-seconds"), "--precision", "1",
            "--max-seconds", "600", "--output", f"{stem}-longer.h5"))]
    if found.outcome == SLOWER or found.best is None:
        return [NextStep(f"Keep {rows[0].placement}, or try gem+, which searches harder: {LAUNCH}.",
                         _again(run, (*OUTPUT, "--placements"), "--placements",
                                f"{rows[0].placement},gem+", "--output", f"{stem}-searched.h5"))]
    others = [f"{stem}-seed{seed}.h5" for seed in (2, 3)]
    repeat = [line for seed, name in zip(("2", "3"), others) for line in _again(
        run, (*OUTPUT, "--seed"), "--seed", seed, "--output", name)]
    return [NextStep(f"Export {found.best} for an engine (gembench list names the formats; jobs/report.sh "
                     "is gembench-report without installing it). A placement "
                     "fits the loads and the ranks' speeds that it was planned on: plan on your own "
                     "loads before you deploy." + _scaled(run), _export(results, found.best)),
            NextStep(f"Repeat it with other seeds and pool the launches: {LAUNCH}.",
                     repeat + [shlex.join(["gembench", "compare", results, *others])])]
