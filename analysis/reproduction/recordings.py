#!/usr/bin/python3
"""recordings.py RESULTS TEXT: rewrites the table of TEXT/RECORDINGS.md (made from this folder's
where there is none). jobs/case_study.sh calls it."""

import json
import pathlib
import shutil
import sys
from typing import Dict, List

import numpy as np

from gembench_analysis.statistics import student_quantile
from write import rewrite, table

CASES = {"gptoss-decode": "GPT-OSS-20B decode, 256 tokens", "qwen3-prefill":
         "Qwen3-30B-A3B prefill, 64-token windows", "deepseek-prefill":
         "DeepSeek-V3 prefill totals, 16,384 tokens", "deepseek-decode":
         "DeepSeek-V3 decode totals, 512 tokens"}
COLUMNS = {"bound": "lower bound", "eplb": "eplb",
           "gem: mean loads, measured speed": "speed (mean loads)",
           "gem: per-step loads, equal speed": "time (equal speeds)", "gem": "both: gem",
           "gem+": "gem+", "gem+cv": "gem+cv", "spare eplb": "copies: eplb",
           "spare flashlb": "copies: flashlb"}


def gains(folder: pathlib.Path) -> Dict[str, Dict[str, List[float]]]:
    """case-ranks -> column -> share of linear's time saved, by draw of GPUs."""
    found: Dict[str, Dict[str, List[float]]] = {}
    for path in sorted(folder.glob("*.json")):
        if path.stem.endswith(("-spare", "-parts")):
            continue
        rows, parts, spare = (
            json.loads(path.with_name(path.stem + more + ".json").read_text())["placements"]
            for more in ("", "-parts", "-spare"))
        times = {row["placement"]: row["step_mean"] for row in rows + parts}
        times["bound"] = rows[0]["bound"]
        times.update({f"spare {row['placement']}": row["step_mean"] for row in spare})
        case = found.setdefault(path.stem.rsplit("-", 1)[0], {name: [] for name in COLUMNS})
        for name in COLUMNS:
            case[name].append(1 - times[name] / times["linear"])
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
    lines = []
    for key in sorted(found, key=lambda k: (list(CASES).index(k.rsplit("-", 1)[0]),
                                            int(k.rsplit("-", 1)[1]))):
        case, ranks = key.rsplit("-", 1)
        lines.append([CASES[case], ranks] + [told(found[key][name]) for name in COLUMNS])
    draws = len(next(iter(found.values()))["eplb"])
    block = table(["recording", "ranks"] + [f"{name} %" for name in COLUMNS.values()], lines)
    block += f"\n\n{draws} draws of GPUs; ± is half a 95 % interval of the mean over draws."
    text.write_text(rewrite(text.read_text(encoding="utf-8"), {"recordings": block}),
                    encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: recordings.py RESULTS TEXT")
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
