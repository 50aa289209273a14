"""The page's figures as files: every panel is a self-contained SVG, light and dark."""

import os
import re
import textwrap
import xml.etree.ElementTree as xml
from typing import Collection, Dict, Iterator, List, Tuple

import numpy as np

from . import figures, style, svg
from .figure_names import slug
from .draw_sweep import scaling
from .sections import Section, sections, source
from .sweep import Run, in_order

WIDE = 800.0  # of a figure that takes the page's whole width; a README or a slide is narrower
MARGIN, LINE = 12.0, 17.0
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _unique(name: str, taken: Collection[str]) -> str:
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}-{count}"
    return found


def _parsed(drawing: str) -> xml.Element:
    return xml.fromstring(NOT_XML.sub("\ufffd", drawing))


def _lines(lines: List[str], y: float, kind: str) -> xml.Element:
    """A group of lines, the first at `y`."""
    return _parsed("<g>" + "".join(svg.text(0, y + LINE * k, one, style=kind)
                                   for k, one in enumerate(lines)) + "</g>")


def alone(drawing: str, heading: str, caption: str, said: str) -> str:
    """A panel's drawing as a separate document, with the heading above, the source of its numbers
    below, and the caption as description. Tooltips become titles, which browsers show."""
    panel = _parsed(drawing)
    width, height = (float(size) for size in panel.attrib["viewBox"].split()[2:])
    over = textwrap.wrap(heading, int(width / 8.5))  # units a character, for wide fonts
    under = textwrap.wrap(said, int(width / 7))
    above = LINE * len(over) + 4
    left, top = -MARGIN, -MARGIN - above
    wide, tall = width + 2 * MARGIN, above + height + LINE * len(under) + 2 * MARGIN
    for one in list(panel):
        if "data-map" in one.attrib:  # values for the page's script, under nothing to be seen
            panel.remove(one)
        tip = one.attrib.pop("data-tip", None)
        if tip is not None:
            xml.SubElement(one, "title").text = tip
    shapes = [_parsed(svg.rect(left, top, wide, tall, "paper")),
              *_lines(over, LINE - 4 - above, "name"), *panel,
              *_lines(under, height + LINE, "tick")]
    classes = {name for one in shapes for name in one.get("class", "").split()}
    whole = xml.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "width": svg.number(wide),
        "height": svg.number(tall), "role": "img", "aria-label": panel.attrib["aria-label"],
        "viewBox": " ".join(svg.number(size) for size in (left, top, wide, tall))})
    for name, words in (("title", heading), ("desc", caption), ("style", style.of_figure(classes))):
        xml.SubElement(whole, name).text = NOT_XML.sub("\ufffd", words)
    whole.extend(shapes)
    return xml.tostring(whole, encoding="unicode") + "\n"


def _restricted(one: Run, placements: Collection[str]) -> Run:
    """Only these placements, and the reference."""
    keep = [index for index, label in enumerate(figures.labels(one.reduced))
            if index == 0 or label in placements]
    run = one.run.isel(placement=keep)
    if "segments_to_placement" in run:  # which name placements by their old places
        new = np.full(one.run.sizes["placement"], -1)
        new[keep] = np.arange(len(keep))
        old = run["segments_to_placement"]
        run = run.assign(segments_to_placement=(old.dims, new[old.values.astype(int)], old.attrs))
    return Run(run, one.reduced.isel(placement=keep),
               [one.rows[index] for index in keep])


def _parts(loaded: List[Run]) -> Iterator[Tuple[str, str, List[Section]]]:
    """Prefix of file names, source of the numbers, sections: first of all runs, then of each
    run."""
    if len(loaded) > 1:
        yield "", " ".join(sorted({source(one.run) for one in loaded})), scaling(in_order(loaded))
    taken: List[str] = []
    for one in loaded:
        prefix, said = "", source(one.run)
        if len(loaded) > 1:
            name = os.path.basename(one.run.attrs["file"])
            stem = slug(os.path.splitext(name.removesuffix(".partial"))[0]) or "run"
            taken.append(_unique(stem, taken))
            prefix, said = taken[-1] + "-", f"{name}: {said}"
        yield prefix, said, sections(one.run, one.reduced, one.rows, None, WIDE)


def drawn(loaded: List[Run], placements: Collection[str] = ()) -> Dict[str, str]:
    """File name -> SVG for every panel: SECTION-PANEL.svg, with the results file's name in front if
    there are several runs. `placements`: only these and the reference."""
    if placements:
        loaded = [_restricted(one, placements) for one in loaded]
    files: Dict[str, str] = {}
    for prefix, said, shown in _parts(loaded):
        for section in shown:
            for panel, drawing in section.panels:
                called = slug(re.sub(r" \(\d+\)$", "", panel))  # without the number of a step
                name = "-".join(part for part in (prefix + section.key, called) if part)
                heading = f"{section.title}: {panel}" if panel else section.title
                files[_unique(name, files)] = alone(drawing, heading, f"{section.message} {section.caption}", said)
    return {f"{name}.svg": text for name, text in files.items()}
