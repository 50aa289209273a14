"""The report as one self-contained HTML file."""

from html import escape
from itertools import groupby
from typing import List

import xarray as xr

from . import style, tables
from .sections import Section, sections
from .summary import Summary
from .tables import Table
from .verdict import Verdict, verdict


def table(content: Table) -> str:
    """A table that scrolls by itself where it is too wide."""
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in content.columns)
    body = "".join("<tr>" + f"<th scope=row>{escape(row[0])}</th>" + "".join(
        f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>" for row in content.rows)
    kind = "words" if content.words else "numbers"
    box = "scroll tall" if len(content.rows) > 40 else "scroll"
    return (f"<section class=table><h3>{escape(content.title)}</h3><div class='{box}' tabindex=0>"
            f"<table class={kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            f"<p class=note>{escape(content.note)}</p></section>")


def card(section: Section) -> str:
    """A figure with its caption; several panels get buttons (or, when many, a list)."""
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
    return (f"<figure class='{kind}' data-figure={section.key}><h3>{escape(section.title)}</h3>"
            f"{choice}{panels}<figcaption>{escape(section.caption)}</figcaption></figure>")


def cards(shown: List[Section]) -> str:
    """Two columns of cards; a wide card spans both."""
    text = ""
    for wide, group in groupby(shown, key=lambda one: one.wide):
        drawn = "".join(card(one) for one in group)
        text += drawn if wide else f"<div class=cards>{drawn}</div>"
    return text


def answer(found: Verdict) -> str:
    """The verdict's box."""
    warned = "".join(f"<p class=warning>{escape(one)}</p>" for one in found.warnings)
    parts = [("lead", "Next best", found.lead), ("slow", "Slowest rank", found.slow),
             ("waited", "Waited for", found.waited), ("conditions", "Holds for", found.conditions)]
    return (f"<section class=answer><p class=verdict>{escape(found.sentence)}</p>" + "".join(
        f"<p class={kind}><b>{name}.</b> {escape(words)}</p>" for kind, name, words in parts
        if words) + warned + "</section>")


def run_part(run: xr.Dataset, reduced: xr.Dataset, rows: List[Summary]) -> str:
    """Everything about one run."""
    found = verdict(run, reduced, rows)
    drawn = cards(sections(run, reduced, rows, found.best))
    changed, known = tables.changes(rows), tables.intervals(rows)
    return (answer(found) + table(tables.comparison(rows))
            + (table(changed) if changed.rows else "") + drawn
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
            "recomputed from them.</footer><div id=tip hidden></div>"
            f"<script>{style.asset('report.js')}</script></body></html>\n")
