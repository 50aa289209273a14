"""The report as Markdown: what an issue or a merge request needs."""

from typing import List

from . import runs, tables
from .next_steps import next_steps
from .overall import overall
from .sweep import Run, in_order
from .tables import Table
from .verdict import verdict


def table(content: Table) -> str:
    """A GitHub table."""
    lines = ["| " + " | ".join(content.columns) + " |",
             "|" + "---|" * len(content.columns)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
              for row in content.rows]
    return f"### {content.title}\n\n" + "\n".join(lines) + f"\n\n{content.note}\n"


def _one(one: Run) -> str:
    found = verdict(one.run, one.reduced, one.rows)
    parts = [f"**{found.sentence}** {found.lead}", f"Outcome: {found.outcome}", f"Slowest rank: {found.slow}",
             f"Waited for: {found.waited}", f"Holds for: {found.conditions}"]
    parts += [f"> {warning}" for warning in found.warnings]
    for step in next_steps(one.run, one.rows, found):
        parts.append(f"Next: {step.why}")
        if step.commands:
            parts.append("```\n" + "\n".join(step.commands) + "\n```")
    parts += [table(content) for content in (
        tables.comparison(one.rows), tables.intervals(one.rows),
        tables.ranks(one.run, one.reduced, one.rows), tables.rates(one.rows),
        tables.changes(one.rows), tables.environment(one.run))
        if content.rows]
    return "\n\n".join(part.strip() for part in parts if part.strip())


def report(loaded: List[Run]) -> str:
    """All runs; several are headed by one table."""
    text = f"# {runs.title(loaded)}\n\n"
    if len(loaded) > 1:
        loaded = in_order(loaded)
        found = overall(loaded)
        text += f"**{found.sentence}**\n\nOutcome: {found.outcome}\n\n"
        text += "".join(f"> {caveat}\n\n" for caveat in found.caveats)
        text += table(runs.overview(loaded)) + "\n"
    for one in loaded:
        if len(loaded) > 1:
            text += f"## {one.run.attrs['file']}\n\n"
        text += _one(one) + "\n\n"
    return text.rstrip() + "\n"
