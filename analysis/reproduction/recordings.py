#!/usr/bin/python3
"""recordings.py RESULTS TEXT: rewrites the tables of TEXT/RECORDINGS.md (made from this folder's
where there is none). jobs/case_study.sh calls it."""

import json
import pathlib
import shutil
import sys
from typing import Dict, List

import numpy as np

from student import student_quantile
from write import rewrite, table

CASES = {"gptoss-decode": "GPT-OSS-20B decode, 256 tokens", "qwen3-prefill":
         "Qwen3-30B-A3B prefill, 64-token windows", "deepseek-prefill":
         "DeepSeek-V3 prefill totals, 16,384 tokens", "deepseek-decode":
         "DeepSeek-V3 decode totals, 512 tokens"}
SINGLE = {"bound": "lower bound", "eplb": "eplb",
          "gem: mean loads, measured speed": "speed (mean loads)",
          "gem: per-step loads, equal speed": "time (equal speeds)", "gem": "both: gem",
          "gem+": "gem+"}
MORE = {"gem+": "gem+, one slot an expert", "slots gem+": "gem+, spare slots", "spare eplb":
        "eplb, copies", "spare flashlb": "flashlb, copies", "even gem+": "gem+, copies, even split",
        "water gem+": "gem+, copies, water-fill"}
# Further files of a draw -> what stands before a placement's name in them.
PARTS = {"parts": "", "spare": "spare ", "slots": "slots ", "even": "even ", "water": "water "}


def gains(folder: pathlib.Path) -> Dict[str, Dict[str, List[float]]]:
    """case-ranks -> column -> share of linear's time saved, by draw of GPUs."""
    found: Dict[str, Dict[str, List[float]]] = {}
    for path in sorted(folder.glob("*.json")):
        if path.stem.endswith(tuple(PARTS)):
            continue
        rows = json.loads(path.read_text())["placements"]
        times = {row["placement"]: row["step_mean"] for row in rows}
        times["bound"] = rows[0]["bound"]
        for part, before in PARTS.items():
            more = json.loads(path.with_name(f"{path.stem}-{part}.json").read_text())["placements"]
            times.update({before + row["placement"]: row["step_mean"] for row in more})
        case = found.setdefault(path.stem.rsplit("-", 1)[0], {name: [] for name in SINGLE | MORE})
        for name, column in case.items():
            column.append(1 - times[name] / times["linear"])
    return found


def told(values: List[float]) -> str:
    """Mean in percent, +- half a 95 % interval over draws (Student)."""
    array = 100 * np.array(values)
    if array.size < 2:
        return f"{array.mean():.1f}"
    half = student_quantile(0.975, array.size - 1) * array.std(ddof=1) / np.sqrt(array.size)
    return f"{array.mean():.1f} ± {half:.1f}"


def main(results: pathlib.Path, folder: pathlib.Path) -> None:
    found = gains(results)
    if not found:
        raise SystemExit(f"recordings.py: {results} holds no results; run jobs/case_study.sh")
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "RECORDINGS.md"
    if not text.is_file():
        shutil.copyfile(pathlib.Path(__file__).parent / "RECORDINGS.md", text)
    keys = sorted(found, key=lambda k: (list(CASES).index(k.rsplit("-", 1)[0]),
                                        int(k.rsplit("-", 1)[1])))
    draws = len(found[keys[0]]["eplb"])
    note = f"\n\n{draws} draws of GPUs; ± is half a 95 % interval of the mean over draws."
    blocks = {}
    for block, columns in {"recordings": SINGLE, "copies": MORE}.items():
        lines = [[CASES[key.rsplit("-", 1)[0]], key.rsplit("-", 1)[1]] +
                 [told(found[key][name]) for name in columns] for key in keys]
        blocks[block] = table(["recording", "ranks"] + [f"{name} %" for name in columns.values()],
                              lines) + note
    text.write_text(rewrite(text.read_text(encoding="utf-8"), blocks),
                    encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: recordings.py RESULTS TEXT")
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
