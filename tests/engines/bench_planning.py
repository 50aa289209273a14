#!/usr/bin/env python3
"""Planning time and quality beside DeepSeek's EPLB as SGLang ships it and vLLM's policy, in one process with one
thread: `bench_planning.py [--rounds N]`. Loads are made up (gamma over experts, Poisson over steps), and the same
in all steps but for chance. Median seconds of the rounds, alternated. Predicted step time on steps that the plans have
not seen, in percent of what SGLang's plan takes: with equal GPUs, and with every eighth at 0.85 of the others' speed,
which the engines' policies are not told. No test: times depend on the machine."""

import argparse
import logging
import statistics
import time

import numpy as np

import engine_support

SHAPES = ((58, 256, 32, 9), (58, 256, 64, 5), (94, 128, 16, 9))
STEPS = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    engine_support.stand_ins()
    import torch
    torch.set_num_threads(1)
    import gembench
    from gembench.engine_planner import EnginePlanner
    from gembench.engine_settings import Settings
    from sglang.srt.eplb.eplb_algorithms import EplbAlgorithm, rebalance_experts
    from vllm.distributed.eplb.policy import DefaultEplbPolicy

    def planner(strategy, speeds=None):
        return EnginePlanner(Settings(strategy=strategy, speeds=speeds, threads=1), logging.getLogger("bench"))

    print("| layers x experts x ranks x slots | planner | seconds | equal GPUs | unequal |\n|---|---|---|---|---|")
    for layers, experts, ranks, slots in SHAPES:
        random = np.random.default_rng(1)
        popular = random.gamma(0.7, 40, (1, layers, experts))
        loads, unseen = (random.poisson(popular, (STEPS, layers, experts)).astype(np.int32) for _ in range(2))
        tensor = torch.from_numpy(loads)
        unequal = tuple(0.85 if rank % 8 == 0 else 1.0 for rank in range(ranks))
        given = {"ranks": ranks, "all_slots": ranks * slots}
        rows = {
            "SGLang, deepseek": lambda: rebalance_experts(tensor, ranks * slots, slots, None, 1,
                                                          EplbAlgorithm.deepseek)[0],
            "vLLM, default": lambda: DefaultEplbPolicy.rebalance_experts(tensor.sum(0), ranks * slots, 1, 1, ranks),
            "gembench, eplb": lambda: planner("eplb").plan(loads, **given),
            "gembench, gem": lambda: planner("gem").plan(loads, **given),
            "gembench, gem, told": lambda: planner("gem", unequal).plan(loads, **given)}
        seconds, maps = {name: [] for name in rows}, {}
        for _ in range(rounds):
            for name, call in rows.items():
                start = time.perf_counter()
                maps[name] = call()
                seconds[name].append(time.perf_counter() - start)
        times = {name: [gembench.score(unseen, maps[name], ranks=ranks, speeds=speeds).step_seconds
                        for speeds in (None, unequal)] for name in rows}
        base = next(iter(times.values()))
        for name in rows:
            equal, slower = (100 * time / of for time, of in zip(times[name], base))
            print(f"| {layers} x {experts} x {ranks} x {slots} | {name} | {statistics.median(seconds[name]):.3f} | "
                  f"{equal:.2f} | {slower:.2f} |")


if __name__ == "__main__":
    main()
