#!/usr/bin/env python3
"""Files that `gembench convert` writes, through the loaders of SGLang and vllm-ascend: every rank gets the experts
that the plan gave it. With the variable GEMBENCH the program converts, else the package."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

import engine_support

LAYERS, EXPERTS, RANKS, SLOTS = 3, 16, 4, 5


def convert(source, to, folder):
    import gembench
    target = pathlib.Path(folder, f"{to}.json")
    if os.environ.get("GEMBENCH"):
        subprocess.run([os.environ["GEMBENCH"], "convert", source, "--to", to, "--ranks", str(RANKS), "-o", target,
                        "-q"], check=True)
    else:
        target.write_text(gembench.convert(source, to, ranks=RANKS))
    return target


class Loaders(unittest.TestCase):
    def setUp(self):
        import gembench
        import numpy
        loads = numpy.random.default_rng(1).poisson(50, (64, LAYERS, EXPERTS))
        self.plan = gembench.plan(loads, ranks=RANKS, slots=SLOTS, speeds=[1, 1, 1, 0.7]).phy2log
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.source = pathlib.Path(self.folder.name, "plan.json")
        self.source.write_text(json.dumps({"physical_to_logical_map": self.plan.tolist()}))

    def test_sglang(self):
        path = convert(self.source, "sglang", self.folder.name)
        from sglang.srt.eplb import expert_location
        from sglang.srt.runtime_context import get_context
        shape = expert_location.ModelConfigForExpertLocation(num_layers=LAYERS, num_logical_experts=EXPERTS)
        expert_location.ModelConfigForExpertLocation.from_model_config = staticmethod(lambda _: shape)
        with get_context().override_server_args(
                ep_size=RANKS, tp_size=RANKS, ep_num_redundant_experts=RANKS * SLOTS - EXPERTS, device="cpu", nnodes=1,
                init_expert_location=str(path), ep_dispatch_algorithm="static"):
            for rank in range(RANKS):
                loaded = expert_location.compute_initial_expert_location_metadata(object(), moe_ep_rank=rank)
                self.assertEqual(loaded.physical_to_logical_map.tolist(), self.plan.tolist())
                to = loaded.logical_to_rank_dispatch_physical_map
                for layer in range(LAYERS):
                    self.assertEqual([self.plan[layer, slot] for slot in to[layer].tolist()], list(range(EXPERTS)))

    @unittest.skipUnless(importlib.util.find_spec("vllm_ascend"), "vllm-ascend is not installed")
    def test_vllm_ascend(self):
        import torch
        path = convert(self.source, "vllm-ascend", self.folder.name)
        # Its package needs an NPU to be imported; the loader is one file of it.
        found = pathlib.Path(importlib.util.find_spec("vllm_ascend").origin).parent / "eplb/core/eplb_utils.py"
        spec = importlib.util.spec_from_file_location("eplb_utils", found)
        loader = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loader)
        torch.Tensor.npu = lambda self: self
        config = types.SimpleNamespace(expert_map_path=str(path), dynamic_eplb=False, num_redundant_experts=0)
        for layer in range(LAYERS):
            for rank in range(RANKS):
                model = types.SimpleNamespace(num_experts=EXPERTS, ep_size=RANKS, ep_rank=rank)
                _, local, log2phy, redundant = loader.init_eplb_config(config, layer, model)
                mine = self.plan[layer, rank * SLOTS:(rank + 1) * SLOTS].tolist()
                self.assertEqual([mine.index(e) if e in mine else -1 for e in range(EXPERTS)], local.tolist())
                self.assertEqual([self.plan[layer, slot] for slot in log2phy.tolist()], list(range(EXPERTS)))
                self.assertEqual(redundant, RANKS * SLOTS - EXPERTS)


if __name__ == "__main__":
    engine_support.stand_ins()
    engine_support.main("sglang", "vllm", "torch", "gembench")
