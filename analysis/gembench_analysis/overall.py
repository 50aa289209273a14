"""The result of several runs in one sentence, and their caveats, each once."""

import os
from dataclasses import dataclass
from typing import Dict, List

from .sweep import Run
from .verdict import OPEN, UNFINISHED, UNTRUSTED, Verdict, change, verdict


@dataclass(frozen=True)
class Overall:
    """`outcome` is one of verdict's words; `caveats` are sentences with the runs they hold for."""

    outcome: str
    sentence: str
    caveats: List[str]


def _outcome(found: List[str]) -> str:
    for doubt in (UNTRUSTED, UNFINISHED):
        if doubt in found:
            return doubt
    return found[0] if len(set(found)) == 1 else OPEN


def _sentence(loaded: List[Run], found: List[Verdict]) -> str:
    """Which placement is faster in how many runs, and the range of its differences."""
    count = len(loaded)
    names = list(dict.fromkeys(row.placement for one in loaded for row in one.rows[1:]))
    faster: Dict[str, List[float]] = {}
    slower: Dict[str, List[float]] = {}
    for one in loaded:
        for row in one.rows[1:]:
            by = row.difference
            if by is not None and by.sure:
                (faster if by.typical < 0 else slower).setdefault(
                    row.placement, []).append(by.typical)
    references = sorted({one.rows[0].placement for one in loaded})
    reference = references[0] if len(references) == 1 else "the run's first placement"
    if not names:
        return f"{count} runs of {reference} alone: there is nothing to compare."
    runs = f"{count} runs"
    if not faster:
        said = f"No placement is certainly faster than {reference} in any of {runs}"
        if slower:
            worst = max(slower, key=lambda name: len(slower[name]))
            said += (f"; {worst} is slower in {len(slower[worst])}: step time "
                     f"{_range(slower[worst])}")
        return said + "."
    # The most often faster, then the one with the lowest step time.
    best = min(faster, key=lambda name: (-len(faster[name]),
                                         sum(faster[name]) / len(faster[name])))
    times = len(faster[best])
    said = (f"{best} is faster than {reference} in {'all ' if times == count else ''}"
            f"{runs if times == count else f'{times} of {runs}'}: step time {_range(faster[best])}")
    if best in slower:
        said += f"; slower in {len(slower[best])}: {_range(slower[best])}"
    doubtful = sum(one.outcome in (UNTRUSTED, UNFINISHED) for one in found)
    if doubtful:
        said += f". {doubtful} of the runs {'is' if doubtful == 1 else 'are'} unfinished or not trustworthy"
    return said + "."


def _range(values: List[float]) -> str:
    low, high = change(min(values)), change(max(values))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def overall(loaded: List[Run]) -> Overall:
    """The head of a report of several runs."""
    found = [verdict(one.run, one.reduced, one.rows) for one in loaded]
    by_words: Dict[str, List[str]] = {}
    for one, its in zip(loaded, found):
        for warning in its.warnings:
            by_words.setdefault(warning, []).append(os.path.basename(one.run.attrs["file"]))
    caveats = [f"{'All runs' if len(files) == len(loaded) else ', '.join(files)}: {words}"
               for words, files in by_words.items()]
    return Overall(_outcome([its.outcome for its in found]), _sentence(loaded, found), caveats)
