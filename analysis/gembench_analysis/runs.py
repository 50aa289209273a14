"""Several runs side by side: clusters, seeds, models, sizes."""

import os
import re
from html import escape
from typing import List

from . import page
from .draw_sweep import scaling
from .overall import overall
from .sections import source
from .sweep import Run, in_order, spread_of, tokens_of
from .tables import Table, number, signed


def title(loaded: List[Run]) -> str:
    """The report's heading."""
    if len(loaded) > 1:
        return f"gembench: {len(loaded)} runs"
    model = str(loaded[0].run.attrs.get("model", "")).split(":")[0]
    return f"gembench: {model or os.path.basename(loaded[0].run.attrs['file'])}"


def overview(loaded: List[Run]) -> Table:
    """A row for every run and placement."""
    rows = []
    for one in loaded:
        facts = one.run.attrs
        names = list(one.run["environment_host"].values) if "environment_host" in one.run else []
        hosts = sorted({re.sub(r"\d+$", "", str(name)) for name in names})
        for row in one.rows:
            found = row.difference
            span = "-"
            if found is not None and found.low is not None and found.high is not None:
                span = f"{100 * found.low:+.2f} .. {100 * found.high:+.2f}"
            rows.append([
                os.path.basename(facts["file"]) + (" (unfinished)" if facts["unfinished"] else ""),
                row.placement, number(None if found is None else 1 / (1 + found.typical), 3),
                signed(found.typical) if found else "reference", span,
                number(row.step_mean, 0, 1e6), number(row.wait_share, 1, 100),
                str(facts.get("model", "")).split(":")[0], str(one.run.sizes["rank"]),
                number(tokens_of(one), 0), number(spread_of(one), 1, 100),
                str(facts.get("seed", "-")), str(facts["clock"]), ", ".join(hosts) or "-"])
    return Table("All runs", "Measured; step time in us, against the first placement of the run "
                 "(negative = faster); speed-up: its time / own time. Speed spread: emulated, slowest over "
                 "fastest rank - 1; 0 = as the ranks are. Intervals are within a run; gembench "
                 "compare pools launches of one configuration.",
                 ["file", "placement", "speed-up x", "vs first %", "95 % interval", "mean us", "waiting %",
                  "model", "ranks", "tokens", "speed spread %", "seed", "clock", "hosts"], rows)


def content(loaded: List[Run]) -> str:
    """The page's main part: one run in full, or the result and a table of all runs and each run
    folded."""
    if len(loaded) == 1:
        one = loaded[0]
        return page.run_part(one.run, one.reduced, one.rows)
    loaded = in_order(loaded)
    found = overall(loaded)
    held = " ".join(sorted({source(one.run) for one in loaded}))
    caveats = "".join(f"<li>{escape(one)}</li>" for one in found.caveats)
    drawn = page.cards(scaling(loaded))
    parts = "".join(
        f"<details class=run><summary><h2>{escape(str(one.run.attrs['file']))}</h2></summary>"
        f"{page.run_part(one.run, one.reduced, one.rows, nested=True)}</details>" for one in loaded)
    return (f"<section class='answer {page.kind_of(found.outcome)}'><h2>Result</h2>"
            f"<p class=outcome>{escape(found.outcome)}</p>"
            f"<p class=verdict>{escape(found.sentence)}</p>"
            + (f"<div class=warning><b>Caveats</b><ul>{caveats}</ul></div>" if caveats else "")
            + f"<p class=conditions><b>Holds for.</b> {escape(held)}</p></section>"
            + page.table(overview(loaded), 2)
            + (f"<h2>What was swept</h2>{drawn}" if drawn else "") + parts)
