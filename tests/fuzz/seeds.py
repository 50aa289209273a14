#!/usr/bin/python3
"""seeds.py FOLDER: writes one or more valid files for every reader, FOLDER/READER/NAME; from these
libFuzzer goes on."""

import base64
import io
import json
import pathlib
import sys
import tempfile
import zlib

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "end_to_end"))

import recorders  # noqa: E402  pylint: disable=wrong-import-position

LAYERS, EXPERTS, TOPK = 2, 4, 2
TOKENS = numpy.array([[[0, 1], [2, 3]], [[1, 2], [3, 0]], [[0, 3], [1, 2]], [[2, 0], [0, 1]]])
COUNTS = numpy.array([[numpy.bincount(TOKENS[:, layer].ravel(), minlength=EXPERTS)
                       for layer in range(LAYERS)]] * 3)  # step, layer, expert
MAP = numpy.array([[0, 1, 2, 3, 0, 1], [3, 2, 1, 0, 3, 2]])


def npy(array):
    to = io.BytesIO()
    numpy.save(to, array)
    return to.getvalue()


def file_of(save, *words):
    """What `save` writes to the path it gets last."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file"
        save(*words, path)
        return path.read_bytes()


def text(value):
    return json.dumps(value).encode()


def lines(*rows):
    return ("\n".join(rows) + "\n").encode()


def recordings():
    counts32 = recorders.Tensor(COUNTS.astype("i4"), "cuda:0")
    physical = numpy.zeros((LAYERS, 6), dtype="i4")
    physical[:, :4] = COUNTS[0]
    calibration = {"world_size": 1, "all_ranks_records": [[{
        "iteration": 7, "metadata": [{"layer_idx": 3 + layer, "num_slots": EXPERTS,
                                      "token_selected_slots_shape": [4, TOPK]}
                                     for layer in range(LAYERS)],
        "raw_data": base64.b64encode(zlib.compress(
            TOKENS.transpose(1, 0, 2).astype("<i4").tobytes())).decode()}]]}
    stats = {"record_type": "eplb_load_stats", "version": 1, "step": 1, "num_ranks": 2,
             "expert_load": physical.tolist(), "p2l_map": MAP.tolist()}
    array = npy(TOKENS.astype("u1"))
    yield "csv", lines("step,layer," + ",".join(f"e{e}" for e in range(EXPERTS)),
                       *(f"{step},{layer}," + ",".join(map(str, COUNTS[step, layer]))
                         for step in range(3) for layer in range(LAYERS)))
    yield "csv", lines("step;layer;expert;count", *(
        f"{step};{3 + layer};{expert};{COUNTS[step, layer, expert]}.0"
        for step in range(3) for layer in range(LAYERS) for expert in range(EXPERTS)))
    yield "npy", npy(COUNTS)
    yield "npy", npy(COUNTS[0].astype("f8"))
    yield "trtllm-statistics", file_of(recorders.save_safetensors, {
        f"{100 + step}_{3 + layer}": COUNTS[step, layer].astype("i8")
        for step in range(3) for layer in range(LAYERS)})
    yield "trtllm-statistics", file_of(recorders.save_safetensors, {
        f"100_{3 + layer}": TOKENS[:, layer].astype("i4") for layer in range(LAYERS)})
    yield "sglang-json", text({"logical_count": COUNTS.tolist()})
    yield "sglang-json", text({"logical_count": COUNTS[0].astype(float).tolist()})
    yield "sglang-stat", file_of(recorders.torch_save, {
        "rank": 0, "logical_count": counts32, "average_utilization_rate_over_window": None})
    yield "sglang-per-pass", file_of(recorders.torch_save, {
        "records": [{"forward_pass_id": i, "rank": 0, "gatherer_key": "primary",
                     "global_physical_count": recorders.Tensor(physical)} for i in range(2)],
        "last_physical_to_logical_map": recorders.Tensor(MAP)})
    slots = TOKENS.transpose(1, 0, 2).astype("i4")  # layer, token, k
    yield "sglang-per-pass", file_of(recorders.torch_save, {
        "records": [{"forward_pass_id": 0, "rank": 0, "gatherer_key": "primary", "forward_mode": 3,
                     "extend_seq_lens": [3, 1], "topk_ids_of_layer": recorders.Tensor(slots),
                     "global_physical_count": recorders.Tensor(numpy.array(
                         [numpy.bincount(row.ravel(), minlength=6) for row in slots], dtype="i4"))}],
        "last_physical_to_logical_map": recorders.Tensor(MAP)})
    yield "ascend-pt", file_of(recorders.torch_save, counts32)
    yield "omni", lines(*("\t".join(map(str, row)) for row in COUNTS[0]))
    yield "trtllm-calibration", text(calibration)
    yield "vllm-jsonl", lines(json.dumps(stats), json.dumps({**stats, "step": 2}))
    yield "vllm-routed", text({"choices": [{"routed_experts": base64.b64encode(array).decode()}],
                               "usage": {"prompt_tokens": 2}})
    yield "vllm-routed", lines("data: " + json.dumps(
        {"choices": [{"routed_experts": TOKENS.tolist()}],
         "usage": {"prompt_tokens": 2, "completion_tokens": 3}}), "", "data: [DONE]")
    yield "vllm-routed", array
    yield "route-lines", lines(*(
        json.dumps({"req_id": "r", "token_idx": token, "layer": layer,
                    "topk_ids": TOKENS[token, layer].tolist(), "entropy": float("nan")})
        for token in range(4) for layer in range(LAYERS)))
    yield "sglang-routed", text({"meta_info": {"prompt_tokens": 2, "routed_experts": base64.b64encode(
        TOKENS.astype("<i4").tobytes()).decode()}})
    yield "ids", TOKENS.astype("u1").tobytes()
    yield "ids", array


def placements():
    rows = MAP.tolist()
    pattern = numpy.zeros((2, LAYERS, EXPERTS), dtype="i4")
    for layer, row in enumerate(MAP):
        for slot, expert in enumerate(row):
            pattern[slot // 3, layer, expert] = 1
    yield "gembench", text({"schema": "gembench-placement", "schema_version": "1.1.0", "layers": 2,
                            "ranks": 2, "slots": 3, "experts": EXPERTS, "strategy": "made",
                            "layer_ids": [3, 4], "model_layers": 5,
                            "slot_expert": [[row[:3], row[3:]] for row in rows]})
    yield "sglang", text({"physical_to_logical_map": rows})
    yield "trtllm", lines("initial_global_assignments:", *(f"  {3 + i}: {row}" for i, row in
                                                            enumerate(rows)),
                          "layer_updates_per_iter: 0", "num_slots: 6")
    yield "vllm-ascend", text({"moe_layer_count": 2, "layer_list": [
        {"layer_id": i, "device_count": 2, "device_list": [
            {"device_id": d, "device_expert": row[3 * d:3 * d + 3]} for d in range(2)]}
        for i, row in enumerate(rows)]})
    yield "vllm-map", text(rows)
    yield "vllm-jsonl", lines(json.dumps({
        "record_type": "eplb_initial_mapping", "version": 1, "num_redundant_experts": 2,
        "num_slots": 6, "initial_global_assignments": {str(i): row for i, row in enumerate(rows)}}))
    yield "vllm-rank-map", text({"expert_to_ep_rank": [0, 1, 1, 0]})
    yield "omni", npy(pattern)
    yield "phy2log", npy(MAP)
    yield "phy2log", file_of(recorders.torch_save, recorders.Tensor(MAP))
    yield "sglang", file_of(recorders.torch_save, {"physical_to_logical_map": recorders.Tensor(MAP)})


def main():
    found = [(f"recording:{name}", content) for name, content in recordings()]
    found += [(f"placement:{name}", content) for name, content in placements()]
    found.append(("requests", lines("task,decode_tokens,token_offset", "a,3,0", "b,4,3")))
    found.append(("requests", lines("recorded_prompt_tokens,decode_tokens", "2,3", "1,4")))
    found.append(("arrivals", lines("TIMESTAMP,ContextTokens,GeneratedTokens",
                                    "2023-11-16 18:17:03.9799600,4808,10",
                                    "2023-11-16 18:17:04.0319600,3180,8")))
    found.append(("arrivals", lines("timestamp_ms,input_length,output_length", "0,67,5", "9,7,4")))
    found.append(("arrivals", lines(
        '{"timestamp": 27, "input_length": 67, "output_length": 5, "hash_ids": [1, 2]}')))
    found.append(("arrivals", lines("Timestamp,Model,Request tokens,Response tokens", "5,m,9,3")))
    for number, (reader, content) in enumerate(found):
        folder = pathlib.Path(sys.argv[1]) / reader
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}").write_bytes(content)


if __name__ == "__main__":
    main()
