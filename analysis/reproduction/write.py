#!/usr/bin/python3
"""write.py RESULTS TEXT: rewrites the generated blocks of TEXT/README.md (made from this folder's
where there is none), its CSV files and figures. jobs/reproduce_gem.sh calls it."""

import pathlib
import re
import shutil
import sys
from typing import Callable, Dict, Iterable, List

import numpy as np

import collect
from collect import MODELS, Row

TITLES = {"mixtral-8x7b": "Mixtral-8x7B", "mixtral-8x22b": "Mixtral-8x22B",
          "llama-4-scout": "Llama-4-Scout", "hunyuan-a13b": "Hunyuan-A13B",
          "qwen3-30b-a3b": "Qwen3-30B-A3B"}
KNEE = 2048  # tokens a step at which the tables stand: within a factor of 2.5 of all knees
MOE_SHARE = 2 / 3  # of linear's step; GEM: FFNs take "up to two-thirds" of a token's compute


def percent(values: Iterable[float]) -> str:
    """Mean in percent, and the range over seeds."""
    found = [100 * value for value in values]
    if not found:
        return "-"
    mean = f"{np.mean(found):.1f}"
    return mean if len(found) == 1 else f"{mean} ({min(found):.1f} .. {max(found):.1f})"


def table(head: List[str], rows: List[List[str]]) -> str:
    return "\n".join(["| " + " | ".join(line) + " |" for line in [head]]
                     + ["|" + "---|" * len(head)]
                     + ["| " + " | ".join(line) + " |" for line in rows])


def pick(rows: List[Row], **wanted: object) -> List[Row]:
    return [row for row in rows if all(getattr(row, k) == v for k, v in wanted.items())]


def gains(rows: List[Row], **wanted: object) -> List[float]:
    return [row.gain for row in pick(rows, **wanted)]


def mean_gain(rows: List[Row], **wanted: object) -> float:
    return float(np.mean(gains(rows, **wanted)))


def claims(rows: List[Row]) -> str:
    """The paper's claims beside ours by tokens a step: of the MoE layers -> end to end."""
    ours = pick(rows, placement="gem")
    columns: Dict[int, List[str]] = {}
    for tokens in sorted({row.tokens for row in ours}):
        here = pick(ours, tokens=tokens)
        by_kind = {kind: [mean_gain(here, model=m, variability=kind) for m in MODELS]
                   for kind in ("none", "low", "high")}
        every = by_kind["low"] + by_kind["high"]
        of_model = [low + high for low, high in zip(by_kind["low"], by_kind["high"])]
        grows = [low < high for low, high in zip(by_kind["low"], by_kind["high"])]

        def both(value: float) -> str:
            return f"{100 * value:.1f} -> {100 * value * MOE_SHARE:.1f}"

        columns[tokens] = [
            both(float(np.mean(every))), both(max(every)), both(of_model[-1] / 2),
            TITLES[MODELS[int(np.argmin(of_model))]],
            " / ".join(f"{100 * np.mean(values):.1f}" for values in by_kind.values()),
            f"{sum(grows)} of {len(MODELS)}"]
    names = ["mean of models and variabilities, %", "largest, %", "Qwen3-30B-A3B, %",
             "gains least", "none / low / high variability, %", "models whose gain grows with it"]
    paper = ["7.9", "16.5", "about 1.5", "Qwen3-30B-A3B", "grows", "not stated"]
    return table(["", "paper, end to end"] + [f"{tokens} tokens" for tokens in columns], [
        [name, claim] + [cells[k] for cells in columns.values()]
        for k, (name, claim) in enumerate(zip(names, paper))])


def per_model(rows: List[Row]) -> str:
    """Every model and strategy at KNEE, low and high."""
    lines = []
    for model in MODELS:
        for kind in ("low", "high"):
            lines.append([TITLES[model], kind] + [percent(gains(
                rows, model=model, variability=kind, tokens=KNEE, placement=p))
                for p in ("eplb", "vibe", "gem", "gem+")])
    return table(["model", "variability", "eplb %", "vibe %", "gem %", "gem+ %"], lines)


def sweep(rows: List[Row]) -> str:
    """gem by tokens a step, variability high."""
    counts = sorted({row.tokens for row in rows})
    ours = pick(rows, variability="high", placement="gem")
    lines = [[TITLES[model]] + [f"{100 * mean_gain(ours, model=model, tokens=t):.1f}"
                                for t in counts] for model in MODELS]
    return table(["gem against linear, %"] + [f"{t} tokens" for t in counts], lines)


def ablation(rows: List[Row]) -> str:
    """Mean over models and seeds."""
    names = list(dict.fromkeys(row.placement for row in rows))
    order = [name for name in collect.ABLATIONS.values() if name in names]
    order += [name for name in names if name not in order]
    return table(["gem with", "low %", "high %"], [
        [name] + [f"{100 * mean_gain(rows, placement=name, variability=v):.1f}"
                  for v in ("low", "high")] for name in order])


def measured(rows: List[Row]) -> str:
    """Every measured run: gain with its interval; seeds below each other."""
    if not rows:
        return "Not measured yet: `jobs/reproduce_gem.sh --measured`."
    placements = ("eplb", "vibe", "gem", "gem+")
    lines = []
    for row in pick(rows, placement="gem"):
        line = [TITLES[row.model], row.variability, str(row.seed)]
        for placement in placements:
            found = pick(rows, model=row.model, variability=row.variability, seed=row.seed,
                         placement=placement)
            line.append("-" if not found else f"{100 * found[0].gain:.1f} "
                        f"({100 * found[0].low:.1f} .. {100 * found[0].high:.1f})")
        lines.append(line)
    notes = "\n".join(f"- {note}" for note in dict.fromkeys(row.note for row in rows))
    return table(["model", "variability", "seed"] + [f"{p} %" for p in placements], lines) + (
        f"\n\n{rows[0].tokens} tokens a step, 4 ranks; of:\n\n{notes}")


def figure(rows: List[Row], path: pathlib.Path) -> None:
    """Gain by tokens a step, a panel a variability."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "gembench"  # the same file every time
    from matplotlib.figure import Figure
    drawn = Figure(figsize=(9, 3.6), layout="constrained")
    colours = ("#0072b2", "#56b4e9", "#d55e00", "#cc79a7", "#009e73")
    for axes, kind in zip(drawn.subplots(1, 3, sharey=True), ("none", "low", "high")):
        for model, colour in zip(MODELS, colours):
            ours = pick(rows, model=model, variability=kind, placement="gem")
            counts = sorted({row.tokens for row in ours})
            axes.plot(counts, [100 * mean_gain(ours, tokens=t) for t in counts], "o-",
                      color=colour, label=TITLES[model])
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts], fontsize=8)
        axes.set_title(f"variability {kind}")
        axes.set_xlabel("tokens a step")
        axes.grid(alpha=0.3)
        if kind == "none":
            axes.set_ylabel("gem against linear: time saved (%)")
            axes.legend(fontsize=7)
    drawn.suptitle("Predicted: latencies measured on an L40S, MoE layers only, synthetic loads",
                   fontsize=8)
    drawn.savefig(path, metadata={"Date": None})


def rewrite(text: str, blocks: Dict[str, str]) -> str:
    """Replaces what stands between <!-- begin NAME --> and <!-- end -->."""
    for name, content in blocks.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"write.py: README.md has no block {name}; bring it back")
        text = pattern.sub(lambda found: found[1] + content + "\n" + found[2], text)
    return text


def main(results: pathlib.Path, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    readme = folder / "README.md"
    if not readme.is_file():
        shutil.copyfile(pathlib.Path(__file__).parent / "README.md", readme)
    kinds: Dict[str, Callable[[pathlib.Path], List[Row]]] = {
        "predicted": collect.predicted, "ablation": collect.ablations,
        "measured": collect.measured}
    rows = {}
    for name, read in kinds.items():
        found = read(results)
        if found:  # else that part was not run this time: what was kept of the last
            collect.save(found, folder / f"{name}.csv")
        rows[name] = collect.saved(folder / f"{name}.csv")  # as rounded there
    blocks = {"measured": measured(rows["measured"])}
    if rows["predicted"]:
        blocks.update({"claims": claims(rows["predicted"]), "models": per_model(rows["predicted"]),
                       "sweep": sweep(rows["predicted"]), "ablation": ablation(rows["ablation"])})
        try:
            figure(rows["predicted"], folder / "gain_by_tokens.svg")
        except ImportError:
            print("write.py: no matplotlib: the figure stays as it is; install python3-matplotlib", file=sys.stderr)
    readme.write_text(rewrite(readme.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    print(readme)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: write.py RESULTS TEXT")
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
