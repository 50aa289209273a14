"""Recorded expert loads with speeds drawn like those of real GPUs, for planner_quality.py.

Cases, layer subsets and bars follow a study of ours with a prototype of the planner; where it left
something open (length of phases, steps, layers) the choice is made here and named here. Read are,
in the folder GEMBENCH_DATA:

deepseek_v3_r1_sglang_ep_stats/*.json      run totals of DeepSeek-V3/R1 in four workloads, published
    by SGLang's team (issue 6017 of sgl-project/sglang). Totals know no time: steps are multinomial
    draws (`trace import csv --expand-multinomial`): only `mix` and `shift` vary more than chance.
gptoss20b_decode_routing/                  GPT-OSS-20B, expert ids of every generated token
    (AmanPriyanshu/GPT-OSS-MoE-ExpertFingerprinting), and a table of batches of 256 requests.
qwen3_30b_a3b_prefill_routing/             Qwen3-30B-A3B, expert ids of three prefill batches of
    ShareGPT prompts (fork soryxie/vllm).

Latencies are gembench's built-in ones of an H100, as measured: for GPT-OSS they leave as much to gain
as the study's curves did (what the bound is below linear agrees within 3 points in all rows), for
DeepSeek in prefill and mix on 16 and 32 ranks only; on 64 ranks and in decode they leave less or more
than the study's curves, which are not published. --local takes the estimates for a layer whose ranks get
only their own tokens; there several bars lie above what planning on the judged steps reaches.
DeepSeek's cost is taken expert by expert (the study's M2; --cost), the others' by sums (M1); the
whole curve is stretched by the slowdown. Speeds: `--slowdown-from builtin:v100-sgemm`.
"""

import json
import lzma

import numpy

import planner_files
from planner_files import above_bound, below, gembench, read_tokens, score, write_trace

STEPS, PHASE = 256, 16  # drawn steps; steps of one workload in `mix` and `shift`
PREFILL, DECODE = "prefill_in1800out100", "decode_in1000out1000"
OTHERS = "prefill_in1024", "decode_in500out1500"
# The four workloads by turns; the planned half and the judged half of `shift` and `flip`.
MIX = [PREFILL, DECODE, *OTHERS]
DEEPSEEK_LAYERS = [9, 28, 47]  # of 58 MoE layers, evenly spread; the study took 2
# 24 of Qwen3: with 6, which prompts come next decides more than the planner (what 6 and all 48 say
# differs by up to 2 points).
GPT_LAYERS, QWEN_LAYERS = slice(0, 24, 2), slice(0, 48, 2)
STRATEGIES = planner_files.STRATEGIES
WINDOW, SLIDING = 64, 2048  # tokens of a Qwen3 step
PROFILES = {"ds": "builtin:h100/deepseek-v3",
            "gpt": "builtin:h100/gpt-oss-20b",
            "qwen": "builtin:h100/qwen3-30b-a3b"}
RANKS = {"ds": (16, 32, 64), "gpt": (4, 8, 16), "qwen": (8, 16, 32)}
# gem+ below eplb at the three numbers of ranks, mean over draws, percent: what the prototype
# reached, a little less. The cases without are held against the better of eplb and vibe.
BARS = {"ds_pre_16k": (1.5, 5, 3.5), "ds_pre_4k": (1.5, 5, 3.5), "ds_mix_16k": (9, 11, 6.5),
        "ds_dec_512": (1.5, 5, 3.5), "gpt_b256": (1.5, 2.8, 2.8), "gpt_b1024": (1, 1, 2)}
NEVER_ABOVE = ("ds_pre_16k", "ds_pre_4k")  # above eplb, in any draw
ABOVE = 0.5  # percent, at most, for the cases without a bar of their own
CASES = [*BARS, "ds_shift", "ds_flip", "gpt_b4096", "qwen_w64", "qwen_w64x32", "qwen_slide2k"]
GAINS = ["vibe", "gem", "gem+"]  # shown below eplb; hind: gem+ planned on the judged steps
QUICK = ["ds_dec_512", "gpt_b256", "qwen_w64"]


def write_csv(path, counts):
    """Counts [step][layer][expert] as `trace import csv` reads them."""
    steps, layers, experts = counts.shape
    lines = ["step,layer," + ",".join(f"e{e}" for e in range(experts))]
    lines += [f"{step},{layer}," + ",".join(map(str, counts[step, layer]))
              for step in range(steps) for layer in range(layers)]
    path.write_text("\n".join(lines) + "\n")


def drawn(data, folder, workload, tokens, steps):
    """[step][layer][expert]: multinomial steps of a workload's run totals. Another workload has
    another seed, so that their noise is independent."""
    totals = json.loads((data / f"deepseek_v3_r1_sglang_ep_stats/{workload}.json").read_text())
    totals = numpy.array(totals["logical_count"])[3:][DEEPSEEK_LAYERS]  # three dense layers first
    write_csv(folder / "totals.csv", totals.astype(int)[None])
    gembench("trace", "import", "csv", folder / "totals.csv", "--model", "deepseek-v3", "--layers",
             len(DEEPSEEK_LAYERS), "--expand-multinomial", "--steps", steps, "--tokens", tokens,
             "--seed", 1 + MIX.index(workload), "--overwrite", "-q", "-o", folder / "drawn.h5")
    return read_tokens(folder / "drawn.h5")


def deepseek(data, folder, case):
    kind = case.split("_")[1]
    tokens = 512 if case.endswith("_512") else 4096 if case.endswith("_4k") else 16384
    if kind in ("pre", "dec"):
        return drawn(data, folder, PREFILL if kind == "pre" else DECODE, tokens, STEPS)
    halves = {"mix": (MIX, MIX), "shift": ((OTHERS[0], DECODE), (PREFILL, OTHERS[1])),
              "flip": ((PREFILL,), (DECODE,))}[kind]
    steps = {workload: drawn(data, folder, workload, tokens, STEPS) for workload in MIX}
    turn = numpy.arange(STEPS) // PHASE
    names = [halves[step >= STEPS // 2][turn[step] % len(halves[0])] for step in range(STEPS)]
    return numpy.stack([steps[name][step] for step, name in enumerate(names)])


def counts_of(ids, experts):
    """[layer][expert] of ids [token][layer][k]."""
    layers = ids.shape[1]
    flat = ids.astype(numpy.int64) + experts * numpy.arange(layers)[:, None]
    return numpy.bincount(flat.ravel(), minlength=layers * experts).reshape(layers, experts)


def gpt(data, batch, steps=400):
    """Batch 256: the recorded table, 200 steps planned. Beyond: continuous batching of requests
    drawn with replacement (the recording has fewer than the batch), each from a random token on,
    replaced when it ends; so the two halves differ by chance in which requests they hold."""
    data = data / "gptoss20b_decode_routing"
    if batch == 256:
        table = numpy.loadtxt(data / "counts_b256_shuffled.csv", dtype=int, delimiter=",",
                              skiprows=1)
        return table[:, 2:].reshape(-1, 24, 32)[:, GPT_LAYERS]
    ids = numpy.frombuffer(lzma.decompress((data / "topk_ids.part0.u8.xz").read_bytes()), "u1")
    ids = ids.reshape(-1, 24, 4)[:, GPT_LAYERS]
    names, *rows = [line.split(",") for line in (data / "requests.csv").read_text().splitlines()]
    spans = [(int(row[names.index("token_offset")]), int(row[names.index("decode_tokens")]))
             for row in rows]
    spans = [(first, count) for first, count in spans if count and first + count <= len(ids)]
    random = numpy.random.default_rng(7)
    rows = numpy.empty((batch, steps), dtype=numpy.int64)
    for slot in rows:
        first, count = spans[random.integers(len(spans))]
        at = int(random.integers(count))
        filled = 0
        while filled < steps:
            more = min(count - at, steps - filled)
            slot[filled:filled + more] = numpy.arange(first + at, first + at + more)
            filled += more
            first, count = spans[random.integers(len(spans))]
            at = 0
    return numpy.stack([counts_of(ids[rows[:, step]], 32) for step in range(steps)])


def qwen(data, kind):
    """w64: windows of 64 consecutive tokens are the steps. w64x32: a step is 32 such windows of its
    half of the recording, drawn. slide2k: 2,048 consecutive tokens, 16 further every step, within
    the half. Prompts come one after the other: those of the judged half are new."""
    ids = numpy.fromfile(data / "qwen3_30b_a3b_prefill_routing/topk_ids.u8", "u1")
    ids = ids.reshape(-1, 48, 8)[:, QWEN_LAYERS]
    windows = [range(at, at + WINDOW) for at in range(0, len(ids) - WINDOW + 1, WINDOW)]
    windows = windows[:len(windows) // 2 * 2]
    if kind == "w64":
        steps = windows
    elif kind == "slide2k":
        half = len(ids) // 2
        steps = [range(start + at, start + at + SLIDING) for start in (0, half)
                 for at in range(0, half - SLIDING + 1, WINDOW // 4)]
    else:
        random = numpy.random.default_rng(7)
        half = len(windows) // 2
        steps = [numpy.concatenate([windows[start + i] for i in random.integers(half, size=32)])
                 for start in (0, half) for _ in range(STEPS // 2)]
    return numpy.stack([counts_of(ids[list(step)], 128) for step in steps])


def loads(data, folder, case):
    """(counts [step][layer][expert], top-k) of a case; its first half is planned on."""
    family, kind = case.split("_", 1)
    if family == "ds":
        return deepseek(data, folder, case), 8
    return (gpt(data, int(kind[1:])), 4) if family == "gpt" else (qwen(data, kind), 8)


def judge(case, ranks, draws):
    """The case's bars as (name, held, sentence), with what planning on the judged steps reaches."""
    name = f"{case}, {ranks} ranks"
    gains = [below(one, "gem+", "eplb") for one in draws]
    mean = float(numpy.mean(gains))
    if case not in BARS:
        # The better one on average: what one would have chosen without gem+.
        over = {other: -float(numpy.mean([below(one, "gem+", other) for one in draws]))
                for other in ("eplb", "vibe")}
        other = max(over, key=over.get)
        return [(name, over[other] <= ABOVE, f"gem+ {over[other]:+.2f} % against {other}, at most "
                                             f"{ABOVE:+g}")]
    least = BARS[case][RANKS[case.split("_")[0]].index(ranks)]
    hind, most = (numpy.mean([below(one, limit, "eplb") for one in draws])
                  for limit in ("hind", "bound"))
    bars = [(name, mean >= least, f"gem+ {mean:.2f} % below eplb, at least {least:g} (planned on "
                                  f"the judged steps {hind:.2f}, the bound {most:.2f})")]
    if case in NEVER_ABOVE:
        bars.append((f"{name}, every draw", min(gains) >= 0,
                     f"gem+ {min(gains):.2f} % below eplb at worst, never above"))
    return bars


def run(data, folder, options):
    """(rows, bars): rows {case, ranks, draws: [seconds by strategy]}."""
    quick, draws = options.quick, 2 if options.quick else options.draws
    print(f"# recordings, {draws} draws of speeds, DeepSeek's cost model {options.cost}; "
          "time / lower bound, then percent below eplb, mean "
          f"(range over draws)\n# {'case':<12} {'ranks':>5}"
          + "".join(f"{name:>8}" for name in STRATEGIES)
          + "".join(f"  {name:<21}" for name in GAINS) + "  hind")
    rows, bars = [], []
    for case in [case for case in (QUICK if quick else CASES) if options.cases in case]:
        family = case.split("_")[0]
        tokens, topk = loads(data, folder, case)
        write_trace(folder / "case.h5", tokens, topk, f"{case} of planner_recordings.py")
        write_trace(folder / "judged.h5", tokens[len(tokens) // 2:], topk, f"later half of {case}")
        profile = PROFILES[family] + ("/local" if options.local else "")
        cost = options.cost if family == "ds" else "sum"
        for ranks in RANKS[family][:1] if quick else RANKS[family]:
            words = ["--ranks", ranks, "--profile", profile, "--cost", cost, "--slowdown-from",
                     "builtin:v100-sgemm", "--seed"]
            judged = [score(folder / "case.h5", *words, seed, strategies=STRATEGIES)
                      for seed in range(1, draws + 1)]
            for seed, one in enumerate(judged, 1):
                one["hind"] = score(folder / "judged.h5", *words, seed, split=None,
                                    strategies=["gem+"])["gem+"]
            rows.append({"case": case, "ranks": ranks, "draws": judged})
            found = judge(case, ranks, judged)
            bars += found
            print_row(case, ranks, judged, all(held for _, held, _ in found))
    if rows:
        bars += above_bound("recordings", [one for row in rows for one in row["draws"]])
    return rows, bars


def print_row(case, ranks, draws, held):
    over = "".join(f"{numpy.mean([one[name] / one['bound'] for one in draws]):8.3f}"
                   for name in STRATEGIES)
    gains = ""
    for strategy in GAINS:
        values = [below(one, strategy, "eplb") for one in draws]
        gains += f"  {numpy.mean(values):5.2f} ({min(values):6.2f} ..{max(values):6.2f})"
    hind = numpy.mean([below(one, "hind", "eplb") for one in draws])
    print(f"  {case:<12} {ranks:5}{over}{gains}  {hind:5.2f}  {'holds' if held else 'MISSED'}",
          flush=True)
