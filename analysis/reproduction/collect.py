"""Reads what jobs/reproduce_gem.sh left in a folder; keeps it as CSV beside the text."""

import csv
import json
import pathlib
from dataclasses import asdict, dataclass, fields
from typing import Dict, List, Tuple

import numpy as np

from gembench_analysis import load, reduce, summarise

MODELS = ("mixtral-8x7b", "mixtral-8x22b", "llama-4-scout", "hunyuan-a13b", "qwen3-30b-a3b")
LONG = "gem"
ABLATIONS = {  # what a row of the ablation is called in the JSON of `gembench score`
    "gem: per-step loads, measured speed": "both, long window",
    "gem-16-steps.json": "both, window of 16 steps",
    "gem: mean loads, measured speed": "speed only (mean loads)",
    "gem: per-step loads, equal speed": "time only (equal speeds)",
    "gem: mean loads, equal speed": "neither (mean loads, equal speeds)",
}


@dataclass(frozen=True)
class Row:
    """One placement against linear: `gain` is the share of step time saved; `low` and `high` its
    95 % interval where it was measured. `what` is predicted, ablation or measured."""

    what: str
    model: str
    tokens: int
    variability: str
    seed: int
    placement: str
    gain: float
    low: float = float("nan")
    high: float = float("nan")
    note: str = ""


def _of_name(path: pathlib.Path) -> Tuple[str, List[str]]:
    """Model and the other parts of NAME-PART-PART...; model names hold '-' themselves."""
    for model in MODELS:
        if path.stem.startswith(model + "-"):
            return model, path.stem[len(model) + 1:].split("-")
    raise SystemExit(f"write.py: {path} is none of jobs/reproduce_gem.sh; empty the folder")


def predicted(folder: pathlib.Path) -> List[Row]:
    """Gains of every score against its linear."""
    rows = []
    for path in sorted((folder / "predicted").glob("*.json")):
        model, (tokens, kind, seed) = _of_name(path)
        placements = json.loads(path.read_text())["placements"]
        base = placements[0]["step_mean"]
        rows += [Row("predicted", model, int(tokens), kind, int(seed), one["placement"],
                     1 - one["step_mean"] / base) for one in placements[1:]]
    return rows


def ablations(folder: pathlib.Path) -> List[Row]:
    """Gains of gem's variants at 2048 tokens a step; `floor`: the memory-bound share of latency
    stays as it is on slow ranks."""
    rows = []
    for path in sorted((folder / "ablation").glob("*.json")):
        model, parts = _of_name(path)
        tokens, kind, seed = parts[:3]
        placements = {one["placement"]: one["step_mean"]
                      for one in json.loads(path.read_text())["placements"]}
        base = placements["linear"]
        if parts[3:] == ["floor"]:
            found = {"both, slowdown spares the memory-bound part": placements[LONG]}
        else:
            found = {said: placements[name] for name, said in ABLATIONS.items()}
        rows += [Row("ablation", model, int(tokens), kind, int(seed), name, 1 - time / base)
                 for name, time in found.items()]
    return rows


def measured(folder: pathlib.Path) -> List[Row]:
    """Differences with their intervals from every results.h5."""
    rows = []
    for path in sorted((folder / "measured").glob("*.h5")):
        model, (kind, seed) = _of_name(path)
        run = load(path)
        small = reduce(run)
        note = f"{run.attrs['model']}; {run.attrs['device']}; clock {run.attrs['clock']}"
        tokens = round(float(small["tokens_of_step"].mean()))
        for one in summarise(run)[1:]:
            found = one.difference
            if found is None or found.low is None or found.high is None:
                raise SystemExit(f"write.py: {path} has no interval; measure more steps")
            rows.append(Row("measured", model, tokens, kind, int(seed), one.placement,
                            -found.mean, -found.high, -found.low, note))
    return rows


def save(rows: List[Row], path: pathlib.Path) -> None:
    """As CSV, gains with 5 digits."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells: Dict[str, object] = asdict(row)
            for name in ("gain", "low", "high"):
                cells[name] = "" if np.isnan(getattr(row, name)) else f"{getattr(row, name):.5f}"
            writer.writerow(cells)


def saved(path: pathlib.Path) -> List[Row]:
    """What save wrote; nothing where there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [Row(r["what"], r["model"], int(r["tokens"]), r["variability"], int(r["seed"]),
                    r["placement"], *(float(r[name] or "nan") for name in ("gain", "low", "high")),
                    r["note"]) for r in csv.DictReader(file)]
