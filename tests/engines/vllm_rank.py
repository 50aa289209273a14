"""One rank of a made-up vLLM server without a model: its own plug-in loader, EplbState and exchange of weights, on
the CPU with gloo. Weights hold the number of their expert, so that a wrong map shows in them.

Usage: vllm_rank.py RANK RANKS PORT ROUNDS [SETTING=VALUE ..]. Prints what happened as JSON, in its last line.
"""

import json
import sys
import types

import engine_support

LAYERS, EXPERTS, REDUNDANT, WINDOW, INTERVAL = 3, 16, 4, 5, 6


def main():
    rank, ranks, port, rounds = map(int, sys.argv[1:5])
    asked = dict(text.split("=", 1) for text in sys.argv[5:])
    engine_support.stand_ins()
    import torch
    import torch.distributed as dist
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    from vllm.distributed import parallel_state
    from vllm.distributed.eplb import eplb_communicator, eplb_state
    from vllm.distributed.eplb.policy import DefaultEplbPolicy
    world = dist.group.WORLD
    coordinator = types.SimpleNamespace(cpu_group=world, device_group=world, world_size=ranks)
    for module in (parallel_state, eplb_state):  # a group coordinator is made by a whole server
        module.get_ep_group = module.get_eplb_group = lambda: coordinator
        module.get_node_count = lambda: 1
    eplb_communicator.PIN_MEMORY = eplb_state.PIN_MEMORY = False  # there is no GPU to pin it for
    torch.accelerator.current_stream = lambda *_: types.SimpleNamespace(synchronize=lambda: None)
    # torch has events for GPUs only.
    eplb_state.torch.Event = lambda *_, **__: types.SimpleNamespace(
        record=lambda *_: None, synchronize=lambda: None, elapsed_time=lambda _: 0.0)
    lines = engine_support.collect_lines("vllm.gembench")
    asked_of_engine = []
    own = DefaultEplbPolicy.rebalance_experts_hierarchical.__func__
    DefaultEplbPolicy.rebalance_experts_hierarchical = classmethod(
        lambda cls, *given: asked_of_engine.append(1) or own(cls, *given))

    from vllm.plugins import load_general_plugins
    load_general_plugins()
    started = len(lines)
    asked_of_engine.clear()  # what register() tried
    from gembench import engine_planner
    plan, planned_on = engine_planner.EnginePlanner.plan, []

    def watched(self, loads, **given):
        planned_on.append([list(loads.shape), loads.sum(axis=0).tolist(), given["steps_in_row"]])
        if asked.get("break") in ("all", f"rank{rank}"):
            raise RuntimeError("broken on purpose")
        return plan(self, loads, **given)
    engine_planner.EnginePlanner.plan = watched

    config = types.SimpleNamespace(
        eplb_config=types.SimpleNamespace(use_async=False, window_size=WINDOW, step_interval=INTERVAL, policy="default",
                                          communicator="torch_gloo", log_balancedness_interval=1),
        enable_elastic_ep=False, num_ubatches=0)
    slots = (EXPERTS + REDUNDANT) // ranks
    model = types.SimpleNamespace(
        num_moe_layers=LAYERS, num_logical_experts=EXPERTS, num_routed_experts=EXPERTS,
        num_redundant_experts=REDUNDANT, num_physical_experts=EXPERTS + REDUNDANT, num_expert_groups=int(asked.get("groups", 1)),
        num_local_physical_experts=slots, moe_layers=[], set_eplb_state=lambda *_: None,
        expert_weights=[[(torch.arange(rank * slots, (rank + 1) * slots) % EXPERTS).float()[:, None].contiguous()]
                        for _ in range(LAYERS)])
    state = eplb_state.EplbState(config, torch.device("cpu"))
    state.add_model(model, types.SimpleNamespace(model="made-up", compute_hash=lambda: "made-up"))
    held = next(iter(state.model_states.values()))
    state.step(is_profile=True)

    generator = torch.Generator().manual_seed(1 + rank)
    likely = torch.ones(EXPERTS)
    likely[:2] = 8
    while rounds > 0:
        for layer in range(LAYERS):
            experts = torch.multinomial(likely.expand(64, -1), 2, generator=generator).flatten()
            held.expert_load_pass[layer].index_add_(0, held.logical_to_physical_map[layer, experts, 0],
                                                    torch.ones(128, dtype=torch.int32))
        state.step()
        rounds -= state.expert_rearrangement_step == 0
    maps = held.physical_to_logical_map.tolist()
    right = all(model.expert_weights[layer][0][:, 0].tolist() == maps[layer][rank * slots:(rank + 1) * slots]
                for layer in range(LAYERS))
    print(json.dumps({"rank": rank, "maps": maps, "weights_right": right, "lines": lines, "started": started,
                      "asked_of_engine": len(asked_of_engine), "planned_on": planned_on,
                      "policy": state.policy.__name__}))
    dist.barrier()


if __name__ == "__main__":
    main()
