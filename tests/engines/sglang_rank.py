"""One rank of a made-up SGLang server without a model: its own plug-in loader, recorder, EPLB manager and updater
of weights, on the CPU with gloo. Weights hold the number of their expert, so that a wrong map shows in them.

Usage: sglang_rank.py RANK RANKS PORT ROUNDS [SETTING=VALUE ..]. Prints what happened as JSON, in its last line.
"""

import json
import logging
import os
import sys
import types

import engine_support

LAYERS, EXPERTS, REDUNDANT, DENSE, TOPK = 4, 16, 4, 1, 2


def main():
    rank, ranks, port, rounds = map(int, sys.argv[1:5])
    asked = dict(text.split("=", 1) for text in sys.argv[5:])
    os.environ["SGLANG_EXPERT_LOCATION_UPDATER_CANARY"] = "1"
    engine_support.stand_ins()
    lines = engine_support.collect_lines("sglang.gembench")
    import torch
    import torch.distributed as dist
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    # This torch was built for CUDA, and takes that for the device even where there is none.
    torch.get_device_module = lambda *_: types.SimpleNamespace(synchronize=lambda: None, empty_cache=lambda: None)

    from sglang.srt.eplb import eplb_algorithms, eplb_manager, expert_distribution, expert_location
    from sglang.srt.eplb.expert_location_updater import ExpertLocationUpdater
    from sglang.srt.runtime_context import get_context
    # from_model_config imports every model that SGLang has.
    expert_location.ModelConfigForExpertLocation.from_model_config = staticmethod(
        lambda _: expert_location.ModelConfigForExpertLocation(num_layers=LAYERS, num_logical_experts=EXPERTS))
    expert_distribution.get_device = lambda: "cpu"
    publish(get_context(), rank, ranks, asked)

    asked_of_engine = []
    for module in (eplb_algorithms.deepseek, eplb_algorithms.elasticity_aware):
        module.rebalance_experts = counted(module.rebalance_experts, asked_of_engine)
    if asked.get("break") == "planner":
        import gembench.engine_planner
        gembench.engine_planner.EnginePlanner.plan = fail
    from sglang.srt.plugins import load_plugins
    load_plugins()
    started = len(lines)
    if asked.get("break") == f"late{rank}":
        import gembench.engine_planner
        gembench.engine_planner.EnginePlanner.plan = fail
    location = expert_location.compute_initial_expert_location_metadata(object(), moe_ep_rank=rank)
    expert_location.set_global_expert_location_metadata(location)
    recorder = expert_distribution.ExpertDistributionRecorder.init_new(location, rank)
    expert_distribution.set_global_expert_distribution_recorder(recorder)
    slots = location.num_local_physical_experts
    weights = {layer: [location.physical_to_logical_map[layer, rank * slots:(rank + 1) * slots].float()[:, None] * 1.0]
               for layer in range(DENSE, LAYERS)}
    updater = ExpertLocationUpdater()
    model = types.SimpleNamespace(routed_experts_weights_of_layer=weights)
    sys.modules["sglang.srt.model_executor.model_runner_components.moe_ep_setup"] = types.SimpleNamespace(
        init_lplb_solvers=lambda **_: None)  # imported when rebalancing, and brings all models along
    manager = eplb_manager.EPLBManager(
        model_config=object(), get_model=lambda: model, get_expert_location_updater=lambda: updater,
        get_expert_backup_client=lambda: None,
        get_weight_updater=lambda: types.SimpleNamespace(update_weights_from_disk=None))
    generator = torch.Generator().manual_seed(1 + rank)
    for number in range(rounds * 7):
        forward(recorder, location, number, generator, torch)
        manager.on_forward_pass_end()
    maps = location.physical_to_logical_map.tolist()
    right = all((weights[layer][0][:, 0].tolist() == maps[layer][rank * slots:(rank + 1) * slots]) for layer in weights)
    print(json.dumps({"rank": rank, "maps": maps, "weights_right": right, "lines": lines, "started": started,
                      "asked_of_engine": len(asked_of_engine),
                      "slots_of": location.logical_to_all_physical_map.tolist()}))
    dist.barrier()


def publish(context, rank, ranks, asked):
    """SGLang's own way to publish arguments without a model; they are those of --enable-eplb."""
    fields = {"ep_size": ranks, "tp_size": ranks, "ep_num_redundant_experts": REDUNDANT, "enable_eplb": True,
              "eplb_rebalance_num_iterations": 6, "expert_distribution_recorder_buffer_size": 5,
              "expert_distribution_recorder_mode": "stat", "eplb_algorithm": asked.get("algorithm", "auto"),
              "init_expert_location": asked.get("init", "trivial"), "device": "cpu", "nnodes": 1,
              "ep_dispatch_algorithm": asked.get("dispatch", "static")}
    context.override_server_args(**fields).install()
    context.parallel.override_permanently(tp_rank=rank)


def forward(recorder, location, number, generator, torch):
    """A pass of 64 tokens, experts 0 and 1 hot, as SGLang's layers tell the recorder."""
    likely = torch.ones(EXPERTS)
    likely[:2] = 8
    with recorder.with_forward_pass(number, types.SimpleNamespace(forward_mode=None)):
        for layer in range(DENSE, LAYERS):
            experts = torch.multinomial(likely.expand(64, -1), TOPK, generator=generator)
            with recorder.with_current_layer(layer):
                recorder.on_select_experts(topk_ids=location.logical_to_all_physical_map[layer, experts, 0])


def counted(function, calls):
    def call(*args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs)
    return call


def fail(*_, **__):
    raise RuntimeError("broken on purpose")


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.INFO)
    main()
