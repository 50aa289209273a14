#!/usr/bin/env python3
"""Planning time and quality beside DeepSeek's EPLB as SGLang ships it and vLLM's policy, in one process with one
thread: `bench_planning.py [--rounds N]`. Loads are made up (gamma over experts, Poisson over steps), GPUs equally
fast, so that the engines' policies are at their best. Median of the rounds, alternated; max/mean of tokens over
ranks, mean over steps and layers that the plans have not seen, lower is better. No test: times depend on the machine."""

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

    def planner(strategy):
        return EnginePlanner(Settings(strategy=strategy, threads=1), logging.getLogger("bench"))

    print("| layers x experts x ranks x slots | planner | seconds | max/mean |\n|---|---|---|---|")
    for layers, experts, ranks, slots in SHAPES:
        random = np.random.default_rng(1)
        popular = random.gamma(0.7, 40, (1, layers, experts))
        loads, unseen = (random.poisson(popular, (STEPS, layers, experts)).astype(np.int32) for _ in range(2))
        tensor = torch.from_numpy(loads)
        given = {"ranks": ranks, "all_slots": ranks * slots}
        rows = {
            "SGLang, deepseek": lambda: rebalance_experts(tensor, ranks * slots, slots, None, 1,
                                                          EplbAlgorithm.deepseek)[0],
            "vLLM, default": lambda: DefaultEplbPolicy.rebalance_experts(tensor.sum(0), ranks * slots, 1, 1, ranks),
            "gembench, eplb": lambda: planner("eplb").plan(loads, **given),
            "gembench, gem": lambda: planner("gem").plan(loads, **given)}
        seconds, maps = {name: [] for name in rows}, {}
        for _ in range(rounds):
            for name, call in rows.items():
                start = time.perf_counter()
                maps[name] = call()
                seconds[name].append(time.perf_counter() - start)
        for name in rows:
            judged = gembench.score(unseen, maps[name], ranks=ranks)
            print(f"| {layers} x {experts} x {ranks} x {slots} | {name} | {statistics.median(seconds[name]):.3f} | "
                  f"{judged.imbalance:.4f} |")


if __name__ == "__main__":
    main()
