"""What the tests of engines share."""

import json
import logging
import os
import pathlib
import socket
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent

# Imported by SGLang or vLLM before their EPLB code runs; README.md says what each is.
STUBS = ("IPython", "compressed_tensors", "flashinfer", "gguf", "sgl_kernel", "torch_memory_saver", "torchaudio",
         "torchcodec", "torchvision", "tvm_ffi", "xgrammar")


def stand_ins():
    import stubs
    os.environ["VLLM_PLUGINS"] = "gembench"  # where vllm-ascend is installed, vLLM would look for an NPU
    stubs.stand_in_for(STUBS)


def collect_lines(name):
    """The lines that the logger `name` is given from now on, from INFO up."""
    lines = []

    class Keeper(logging.Handler):
        def emit(self, record):
            lines.append([record.levelname, record.getMessage()])

    logging.getLogger(name).addHandler(Keeper())
    logging.getLogger(name).setLevel(logging.INFO)
    return lines


def warnings_of(lines):
    return [text for level, text in lines if level == "WARNING"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_ranks(script, ranks, *arguments, each=None, **environment):
    """Starts `script` once a rank; what every one printed in its last line. `each`: more environment of a rank."""
    port = str(free_port())
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GEMBENCH_EPLB")}
    started = [subprocess.Popen(
        [sys.executable, str(HERE / script), str(rank), str(ranks), port, *map(str, arguments)],
        env={**clean, "OMP_NUM_THREADS": "1", **environment, **(each or {}).get(rank, {})}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE) for rank in range(ranks)]
    answers = []
    try:
        for process in started:
            out, errors = process.communicate(timeout=300)
            if process.returncode != 0:
                raise AssertionError(f"{script} ended with {process.returncode}: {errors[-3000:]}")
            answers.append(json.loads(out.strip().splitlines()[-1]))
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return answers


def main(*needed):
    """Runs the tests of the calling file; 77, which CTest takes for skipped, where an engine is not installed."""
    import importlib.util
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}; tests/engines/install.sh does it")
        sys.exit(77)
    unittest.main()
