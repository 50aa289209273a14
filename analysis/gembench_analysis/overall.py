"""The result of several runs in one sentence, and their caveats, each once."""

import math
import os
import re
from dataclasses import dataclass
from typing import Dict, Iterable, List

from .sweep import Run
from .verdict import FASTER, OPEN, SLOWER, UNFINISHED, UNTRUSTED, Verdict, change, verdict


@dataclass(frozen=True)
class Overall:
    """`outcome` is one of verdict's words; `caveats` are sentences with the runs they hold for."""

    outcome: str
    sentence: str
    caveats: List[str]


NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?![\w])")


def _merged(sentences: List[str]) -> str:
    """Sentences that differ in numbers alone as one, with the range of each number."""
    columns: Iterable["tuple[str, ...]"] = zip(*(NUMBER.findall(one) for one in sentences))
    spans: List[str] = []
    for values in columns:
        low, high = min(values, key=float), max(values, key=float)
        spans.append(low if low == high else f"{low} to {high}")
    found = iter(spans)
    return NUMBER.sub(lambda _: next(found), sentences[0])


def _caveats(loaded: List[Run], found: List[Verdict]) -> List[str]:
    """Every warning once, with the runs that have it."""
    alike: Dict[str, List["tuple[str, str]"]] = {}
    for one, its in zip(loaded, found):
        for words in its.warnings:
            alike.setdefault(NUMBER.sub("#", words), []).append(
                (os.path.basename(one.run.attrs["file"]), words))
    return [("All runs" if len(group) == len(loaded) else ", ".join(file for file, _ in group))
            + ": " + _merged([words for _, words in group]) for group in alike.values()]


def _range(values: List[float]) -> str:
    low, high = change(min(values)), change(max(values))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _compares(one: Run) -> bool:
    return one.run.sizes["rank"] > 1 and any(
        row.difference is not None and math.isfinite(row.difference.typical) for row in one.rows[1:])


def overall(loaded: List[Run]) -> Overall:
    """The head of a report of several runs."""
    verdicts = [verdict(one.run, one.reduced, one.rows) for one in loaded]
    caveats = _caveats(loaded, verdicts)
    doubts = [doubt for doubt in (UNTRUSTED, UNFINISHED)
              if doubt in [its.outcome for its in verdicts]]
    compared = [one for one in loaded if _compares(one)]
    if not compared:
        return Overall(doubts[0] if doubts else OPEN, f"None of the {len(loaded)} runs compares "
                       "placements on several ranks: there is nothing to compare.", caveats)
    count = len(compared)
    runs = "the 1 run" if count == 1 else f"{count} runs"
    if count < len(loaded):
        runs += f" that compare{'s' if count == 1 else ''} placements"
    references = sorted({one.rows[0].placement for one in compared})
    reference = references[0] if len(references) == 1 else "the run's first placement"
    faster: Dict[str, List[float]] = {}
    slower: Dict[str, List[float]] = {}
    for one in compared:
        for row in one.rows[1:]:
            by = row.difference
            if by is not None and by.sure:
                (faster if by.typical < 0 else slower).setdefault(
                    row.placement, []).append(by.typical)
    if not faster:
        others = {row.placement for one in compared for row in one.rows[1:]}
        everywhere = bool(others) and all(
            row.placement in slower and row.difference is not None and row.difference.sure
            for one in compared for row in one.rows[1:])
        said = f"No placement is certainly faster than {reference} in any of {runs}"
        if slower:
            worst = max(slower, key=lambda name: len(slower[name]))
            said += f"; {worst} is slower in {len(slower[worst])}: step time {_range(slower[worst])}"
        return Overall(doubts[0] if doubts else SLOWER if everywhere else OPEN, said + ".", caveats)
    # The one that is faster most often; of those, the one with the lowest step time.
    best = min(faster, key=lambda name: (-len(faster[name]),
                                         sum(faster[name]) / len(faster[name])))
    times = len(faster[best])
    where = f"in {'all ' if count > 1 else ''}{runs}" if times == count else f"in {times} of {runs}"
    said = f"{best} is faster than {reference} {where}: step time {_range(faster[best])}"
    if best in slower:
        said += f"; slower in {len(slower[best])}: {_range(slower[best])}"
    elif times < count:
        said += "; no certain difference in the others"
    return Overall(doubts[0] if doubts else FASTER if times == count else OPEN, said + ".", caveats)
