"""What to do next: sentences with commands that can be pasted, with this run's file names."""

import os
import shlex
from dataclasses import dataclass
from typing import List

import xarray as xr

from .figure_names import slug
from .summary import Summary
from .verdict import FASTER, OPEN, UNFINISHED, UNTRUSTED, Verdict


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


def next_steps(run: xr.Dataset, rows: List[Summary], found: Verdict) -> List[NextStep]:
    """In the order in which they should be done."""
    results = str(run.attrs["file"])
    stem = os.path.splitext(results.removesuffix(".partial"))[0]
    again = str(run.attrs.get("command_line", ""))
    if found.outcome == UNFINISHED:
        return [NextStep("Finish the run; what was measured is kept. Start it as before, with "
                         "--resume and without --overwrite:",
                         [again.replace(" --overwrite", "") + " --resume"] if again else [])]
    if found.outcome == UNTRUSTED:
        return [NextStep("Do not use these times. See the warnings, then run again without what they "
                         "name.", [])]
    steps = []
    if found.outcome == FASTER and found.best is not None:
        steps.append(NextStep(
            f"Export {found.best} for an engine (gembench list names the formats). Placements fit the "
            "loads and the ranks' speeds that they were planned on: plan again on your own loads "
            "before you deploy." + _scaled(run), _export(results, found.best)))
        steps.append(NextStep("Repeat the run with other seeds, and pool at least 3 launches:",
                              [shlex.join(["gembench", "compare", results, f"{stem}-seed2.h5",
                                           f"{stem}-seed3.h5"])]))
    elif found.outcome == OPEN and len(rows) > 1 and run.sizes["rank"] > 1:
        steps.append(NextStep("Measure until the intervals are narrower: give the run another "
                              "--output, a smaller --precision and a longer --max-seconds, and no "
                              "--steps.", []))
    elif len(rows) == 1:
        steps.append(NextStep("Compare with other placements: add --placements "
                              f"{rows[0].placement},eplb,gem to the command.", []))
    elif run.sizes["rank"] == 1:
        steps.append(NextStep("Use at least 2 ranks.", []))
    else:
        steps.append(NextStep(f"Keep {rows[0].placement}, or try gem+, which searches harder: add it to "
                              "--placements.", []))
    return steps
