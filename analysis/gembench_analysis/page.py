"""The report as one self-contained HTML file."""

from html import escape
from itertools import groupby
from typing import List

import xarray as xr

from . import style, tables
from .next_steps import NextStep, next_steps
from .sections import Section, sections
from .summary import Summary
from .tables import Table
from .verdict import FASTER, SLOWER, UNFINISHED, UNTRUSTED, Verdict, verdict


def grid(content: Table) -> str:
    """A table that scrolls by itself where it is too wide, with a button that copies it."""
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in content.columns)
    body = "".join("<tr>" + f"<th scope=row>{escape(row[0])}</th>" + "".join(
        f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>" for row in content.rows)
    kind = "words" if content.words else "numbers"
    box = "scroll tall" if len(content.rows) > 40 else "scroll"
    note = f"<p class=note>{escape(content.note)}</p>" if content.note else ""
    return (f"<button type=button class=csv aria-label='{escape(f'copy as CSV: {content.title}')}'>"
            f"copy as CSV</button><div class='{box}' tabindex=0 role=region "
            f"aria-label='{escape(content.title)}'><table class={kind}><thead><tr>{head}</tr>"
            f"</thead><tbody>{body}</tbody></table></div>{note}")


def table(content: Table, level: int = 3) -> str:
    """A table under a heading of its own."""
    return (f"<section class=table><h{level}>{escape(content.title)}</h{level}>{grid(content)}"
            "</section>")


def card(section: Section) -> str:
    """A figure with its message, its caption and the table behind it; several panels get buttons
    (or, when many, a list)."""
    choice = ""
    if len(section.panels) > 8:
        choice = "<select class=choice aria-label='what to show'>" + "".join(
            f"<option>{escape(name)}</option>" for name, _ in section.panels) + "</select>"
    elif len(section.panels) > 1:
        choice = "<div class=choice>" + "".join(
            f"<button type=button>{escape(name)}</button>" for name, _ in section.panels) + "</div>"
    panels = "".join(f"<div class=panel data-name='{escape(name)}'>"
                     + (f"<p class=panel-name>{escape(name)}</p>" if name else "")
                     + f"{drawing}</div>" for name, drawing in section.panels)
    kind = "card wide" if section.wide else "card"
    behind = "" if section.behind is None or not section.behind.rows else (
        f"<details class=behind><summary>Numbers</summary>{grid(section.behind)}</details>")
    return (f"<figure class='{kind}' aria-label='{escape(section.message)}' "
            f"data-figure={section.key}><h3>{escape(section.title)}</h3>"
            f"<p class=message>{escape(section.message)}</p>{choice}{panels}"
            f"<figcaption>{escape(section.caption)}</figcaption>{behind}</figure>")


def cards(shown: List[Section]) -> str:
    """Two columns of cards; a wide card spans both."""
    text = ""
    for wide, group in groupby(shown, key=lambda one: one.wide):
        drawn = "".join(card(one) for one in group)
        text += drawn if wide else f"<div class=cards>{drawn}</div>"
    return text


def kind_of(outcome: str) -> str:
    """Class of the answer's box: green only for faster, grey for not conclusive, else amber."""
    return {FASTER: "faster", SLOWER: "slower", UNFINISHED: "unfinished",
            UNTRUSTED: "untrusted"}.get(outcome, "open")


def answer(found: Verdict, level: int) -> str:
    """The verdict's box."""
    warned = "".join(f"<p class=warning>{escape(one)}</p>" for one in found.warnings)
    parts = [("lead", "Next best", found.lead), ("slow", "Slowest rank", found.slow),
             ("waited", "Waited for", found.waited), ("conditions", "Holds for", found.conditions)]
    return (f"<section class='answer {kind_of(found.outcome)}'><h{level}>Result</h{level}>"
            f"<p class=outcome>{escape(found.outcome)}</p>"
            f"<p class=verdict>{escape(found.sentence)}</p>" + "".join(
                f"<p class={kind}><b>{name}.</b> {escape(words)}</p>"
                for kind, name, words in parts if words) + warned + "</section>")


def what_next(steps: List[NextStep], level: int) -> str:
    """Sentences with the commands to paste."""
    said = "".join(f"<p>{escape(one.why)}</p>" + (
        f"<pre tabindex=0>{escape(chr(10).join(one.commands))}</pre>" if one.commands else "")
        for one in steps)
    return f"<section class=next><h{level}>What to do next</h{level}>{said}</section>"


def run_part(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary],
             nested: bool = False) -> str:
    """Everything about one run. `nested`: below a heading h2 of several runs, so all are h3."""
    level = 3 if nested else 2
    found = verdict(run, reduced, rows)
    drawn = cards(sections(run, reduced, rows, found.best))
    changed, known = tables.changes(rows), tables.intervals(rows)

    def group(words: str) -> str:
        return "" if nested else f"<h2>{words}</h2>"

    return (answer(found, level) + what_next(next_steps(run, rows, found), level)
            + table(tables.comparison(rows), level) + group("Figures") + drawn
            + group("More numbers") + (table(changed) if changed.rows else "")
            + (table(known) if known.rows else "")
            + table(tables.ranks(run, reduced, rows)) + table(tables.rates(rows))
            + table(tables.environment(run)))


def page(title: str, content: str) -> str:
    """The whole file around its content."""
    return ("<!DOCTYPE html><html lang=en><head><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width, initial-scale=1'>"
            f"<title>{escape(title)}</title><link rel=icon href='data:,'>"
            f"{style.of_page()}</head><body>"
            f"<header><h1>{escape(title)}</h1>"
            "<button type=button id=theme aria-label='light or dark'>light / dark</button></header>"
            f"<main>{content}</main>"
            "<footer>Written by gembench-report from the files named above; every number can be "
            "recomputed from them.</footer><div id=tip role=status hidden></div>"
            f"<script>{style.asset('report.js')}</script></body></html>\n")
