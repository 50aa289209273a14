#!/usr/bin/env python3
"""Shows that the tests of the CUDA device find mistakes: makes one after another in a copy of its
sources, rebuilds the file, and runs the test that should fail. Prints a table; exit 1 when a mistake
is missed. mutations.py BUILD_FOLDER [REGULAR EXPRESSION OF NAMES]"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[3]
SOURCES = TOP / "moe_layer" / "cuda"
SECONDS = 60  # a mistake may also make ranks wait for ever

PHASES, LAYERS, COSTS = "*Phases*", "CudaLayers.*", "CudaCosts.*"
ROUTING = "*Phases.routing*"
PACKING = "*Phases.packing*"
ORDERS = "CudaLayers.outputs*"
ONE_BY_ONE = "ExpertProducts.each*"
MOVES = "CudaLayers.experts_move*"
EVENTS = "CudaLayers.phases_are_timed*"
FORWARDING, NODES = "CudaForwarding.*", "CudaHierarchical.*"
RACES, PTX = "Races.the_kernels*", "ptx"  # not of the executable with MPI: blocks on threads, and compiled code

# name, file, text, what it becomes, tests that should fail, ranks
MUTATIONS = [
    ("norm: sum leaves out a warp", "routing_kernels.cu",
     "w < blockDim.x / kWarp; ++w) all +=", "w + 1 < blockDim.x / kWarp; ++w) all +=", ROUTING, 1),
    ("norm: no barrier before the sum", "routing_kernels.cu",
     "= squares;\n  __syncthreads();", "= squares;", ROUTING, 1),
    ("top-k: ties go to the higher expert", "routing_kernels.cu",
     "other < expert", "other > expert", ROUTING, 1),
    ("top-k: an expert is taken twice", "routing_kernels.cu", "e > taken", "e >= taken", ROUTING, 1),
    ("top-k: the last expert is never seen", "routing_kernels.cu",
     "e < c.experts; e +=", "e < c.experts - 1; e +=", ROUTING, 1),
    ("softmax: not divided by its sum", "routing_kernels.cu", "/= sum", "/= 1", ROUTING, 1),
    ("replayed experts are ignored", "routing_kernels.cu",
     "c.replay != nullptr ? c.replay + first : c.gate_ids + first", "c.gate_ids + first", ROUTING, 1),
    ("counts: a row with one pair is not counted", "routing_kernels.cu",
     "sum_before(here > 0 ? 1 : 0, rows)", "sum_before(here > 1 ? 1 : 0, rows)", PACKING, 2),
    ("counts: not set to zero", "routing_kernels.cu",
     "cudaMemsetAsync(packing.counts, 0, bytes, stream)",
     "cudaMemsetAsync(packing.counts, 0, 0 * bytes, stream)", PACKING, 1),
    ("counts: the second chunk replaces the first", "routing_kernels.cu",
     "atomicAdd(&counts[1], pairs);", "counts[1] = pairs;", PACKING, 1),
    ("packing: the second chunk of tokens starts over", "routing_kernels.cu",
     "first_row + chunk_row + sum_before(", "first_row + sum_before(", PACKING, 1),
    ("packing: pairs of earlier chunks forgotten", "routing_kernels.cu",
     "pairs += p.chunk_counts[at + 1];", "", PACKING, 1),
    ("packing: the count of rows leaves out the last chunk", "routing_kernels.cu",
     "*p.rows = first_row + chunk_row + all_rows;", "*p.rows = first_row + chunk_row;", PACKING, 1),
    ("packing: rows counted over all destinations", "routing_kernels.cu",
     "{row - first_row,", "{row,", PACKING, 2),
    ("packing: a token's row is off by one", "routing_kernels.cu",
     "here > 0 ? row : -1", "here > 0 ? row - row % 2 : -1", PACKING, 2),
    ("packing: pairs of earlier ranks forgotten", "routing_kernels.cu",
     "pairs += p.counts[r * (2 + p.slots) + 1];", "", PACKING, 2),
    ("scan: a lane does not add its neighbour", "block.hpp",
     "lane >= apart", "lane > apart", PACKING, 1),
    ("scan: shared memory reused too early", "block.hpp",
     "  __syncthreads();  // of_warp is used again by the next call\n", "", PACKING, 1),
    ("copy: the end of a row stays behind", "expert_kernels.cu",
     "i < width; i += kWarp", "i + 1 < width; i += kWarp", PACKING, 1),
    ("copy: all that is held goes to one place", "expert_kernels.cu",
     "target[i + n * kWarp] = held[n]", "target[i] = held[n]", PACKING, 1),
    ("counts: a slot's are not atomic between blocks", "routing_kernels.cu",
     "atomicAdd(&counts[2 + location.slot], 1);", "++counts[2 + location.slot];", RACES, 1),
    ("packing: the count of rows by every block", "routing_kernels.cu",
     "if (blockIdx.x == gridDim.x - 1 && thread == 0) *p.rows", "if (thread == 0) *p.rows", RACES, 1),
    ("forwarding: a slot's counts are not atomic between blocks", "forwarding_kernels.cu",
     "atomicAdd(&counts[2 + a.slot], 1);", "++counts[2 + a.slot];", RACES, 1),
    ("forwarding: every block writes the count of rows", "forwarding_kernels.cu",
     "if (blockIdx.x == gridDim.x - 1 && thread == 0) *n.rows", "if (thread == 0) *n.rows", RACES, 1),
    ("top-k: every lane writes", "routing_kernels.cu", "    if (lane == 0)\n      c.gate_ids", "    c.gate_ids", PTX, 1),
    ("counts: a block's are not atomic between threads", "expert_kernels.cu",
     "if (p < s.pairs) atomicAdd(&s.chunk_pairs[s.pair[p].slot * chunks + chunk], 1);",
     "if (p < s.pairs) ++s.chunk_pairs[s.pair[p].slot * chunks + chunk];", PTX, 1),
    ("counts: threads of a block overtake each other", "block.hpp",
     "  __syncthreads();\n  int before", "  __syncwarp();\n  int before", PTX, 1),
    ("inputs: a hash gives one value twice", "routing_kernels.cu",
     "row[2 * i + 1] = pair.second", "row[2 * i + 1] = pair.first", "CudaLayers.inputs*", 1),
    ("products: the slower way is taken", "product_choice.cpp",
     "seconds[way] < seconds[best]", "seconds[way] > seconds[best]", "ExpertProducts.the_fastest*", 1),
    ("products: a hair's breadth decides", "product_choice.cpp",
     "(1 - kLead) * static_cast<double>(seconds[first])", "static_cast<double>(seconds[first])",
     "ExpertProducts.the_fastest*", 1),
    ("products: what another left passes for a way's results", "experts_compare.cpp",
     "    forget_products(stream);\n", "", "ExpertProducts.a_wrong*", 1),
    ("products: what the plain kernel computes is not looked at", "product_trial.cpp",
     "return apart <= tolerance * largest &&", "return", "ExpertProducts.a_wrong*", 1),
    ("products: a wrong way stays", "experts_compare.cpp",
     "    usable_[way] = 0;\n  }\n", "  }\n", "ExpertProducts.a_wrong*", 1),
    ("products: a way that another rank lacks is taken", "product_choice.cpp",
     "lacking[way] == 0 && seconds", "seconds", "ExpertProducts.all_ranks*", 2),
    ("products: it goes on where no way is right", "experts_compare.cpp",
     "without == 0 && wrong == 0) any", "without == 0) any", "ExpertProducts.a_wrong*", 1),
    ("products: odd sizes are grouped", "expert_products.cpp",
     "model.hidden % row.unit != 0 || model.ffn % row.unit != 0", "false",
     "ExpertProducts.a_way_that*", 1),
    ("products: a rounded reference", "expert_kernels.cu",
     "for (std::size_t i = 0; i < k; ++i) sum +=", "for (std::size_t i = 1; i < k; ++i) sum +=",
     "ExpertProducts.each*", 1),
    ("products: an algorithm for more rows than there are", "lt.cpp",
     "if (fits) proposed", "proposed", "ExpertProducts.each*", 1),
    ("products: the slowest algorithm", "lt.cpp",
     "std::ranges::min_element(sums)", "std::ranges::max_element(sums)",
     "ExpertProducts.cublaslt*", 1),
    ("products: a run that goes on forgets its algorithms", "experts_compare.cpp",
     "products_.take_algorithms(comm, algorithms)", "true", "ExpertProducts.a_run*", 1),
    ("products: groups of another product", "expert_products.cpp",
     "multiply(work.products[1], 1, 2)", "multiply(work.products[1], 1, 1)", "ExpertProducts.each*", 1),
    ("connect: ranks do not meet", "nccl_transport.cpp",
     "  nccl->meet_everyone(stream);\n", "", "Transport.all_ranks*", 2),
    ("sort: the second chunk of pairs starts over", "expert_kernels.cu",
     "s.slot_at[slot] + begin + sum_before(", "s.slot_at[slot] + sum_before(", PACKING, 1),
    ("sort: counts of the layer before", "expert_kernels.cu",
     "blocks * sizeof(std::int32_t), stream)", "0 * blocks * sizeof(std::int32_t), stream)", PACKING, 1),
    ("sort: the last pair of a chunk is not counted", "expert_kernels.cu",
     "if (p < s.pairs) atomicAdd(", "if (p < s.pairs && threadIdx.x + 1 < kChunk) atomicAdd(",
     PACKING, 1),
    ("sort: chunks without pairs end too early", "expert_kernels.cu",
     "of_slot[chunk] == 0 && chunk < chunks - 1", "of_slot[chunk] == 0", PACKING, 1),
    ("sort: a source's first pair joins the row before", "expert_kernels.cu",
     "p == s.pair_at[source] || ", "p == 0 || ", PACKING, 2),
    ("sort: pairs counted to the source before", "block.hpp",
     "pair_at[middle] <= pair", "pair_at[middle] < pair", PACKING, 2),
    ("SwiGLU: gate and up exchanged", "expert_kernels.cu",
     "both[2 * row * packs + pack];\n    const Pack<T, W> up = both[(2 * row + 1) * packs + pack];",
     "both[(2 * row + 1) * packs + pack];\n    const Pack<T, W> up = both[2 * row * packs + pack];",
     PACKING, 1),
    ("weighing: the last expert of a row is dropped", "expert_kernels.cu",
     "p < end; ++p", "p < end - 1; ++p", PACKING, 1),
    ("weighing: the weight is dropped", "expert_kernels.cu",
     "w.pair[p].weight * to_float", "to_float", PACKING, 1),
    ("combine: the last rank's row is dropped", "expert_kernels.cu",
     "r < a.ranks; ++r", "r < a.ranks - 1; ++r", PACKING, 2),
    ("combine: shared experts are dropped", "expert_kernels.cu",
     "if (a.shared != nullptr)", "if (a.shared == nullptr)", PACKING, 1),
    ("experts: streams do not wait for the rows", "expert_products.cpp",
     'check(cudaStreamWaitEvent(branch.stream, begun_, 0), "cudaStreamWaitEvent", at_);',
     "static_cast<void>(branch);", ONE_BY_ONE, 1),
    ("experts: nobody waits for the streams", "expert_products.cpp",
     '    check(cudaStreamWaitEvent(stream, branch.done, 0), "cudaStreamWaitEvent", at_);\n', "",
     ONE_BY_ONE, 1),
    ("experts: one with a single token is dropped", "experts.cpp",
     "if (count == 0) continue;\n    const std::size_t group", "if (count < 2) continue;\n    const std::size_t group",
     "ExpertProducts.each*", 1),
    ("experts: the second shared one forgets the first", "experts.cpp",
     "std::exchange(add, true)", "add", ORDERS, 1),
    ("experts: the first shared one adds to stale sums", "experts.cpp",
     "bool add = false;", "bool add = true;", ORDERS, 1),
    ("experts: weights of another expert", "experts.cpp",
     "args.slots[slot]->as<char>();", "args.slots[slot / 2 * 2]->as<char>();", LAYERS, 1),
    ("exchange: own rows land at the wrong place", "row_parts.cpp",
     "sum_rows(part.recv_rows.first(self))", "sum_rows(part.send_rows.first(self))", PACKING, 2),
    ("exchange: wrong peer", "nccl_transport.cpp",
     "bytes, ncclInt8, rank, nccl_, stream),\n                    \"ncclSend\"",
     "bytes, ncclInt8, comm_.size() - 1 - rank, nccl_, stream),\n                    \"ncclSend\"", PACKING, 4),
    ("exchange: wrong count", "nccl_transport.cpp",
     "ncclRecv(part.recv->as<char>() + at, bytes,", "ncclRecv(part.recv->as<char>() + at, bytes - 1,",
     PACKING, 2),
    ("exchange: MPI sends before the rows are there", "mpi_transport.cpp",
     "wait_for_stream(stream, at_);  // what is sent must be there", "", MOVES, 2),
    ("moving: returns before the weights are there", "transport.cpp",
     "link_.send_weights(stream, sends, receives);\n  synchronize(stream);",
     "link_.send_weights(stream, sends, receives);", "CudaDevice.weights*", 2),
    ("exchange: an error leaves the group open", "nccl_transport.cpp",
     "const ncclResult_t ended = ncclGroupEnd();\n    check(first_, call_, at_);",
     "check(first_, call_, at_);\n    const ncclResult_t ended = ncclGroupEnd();",
     "CudaFailures.a_message*", 2),
    ("packing: counts are read too early", "cuda_device.cpp",
     '  transport_.wait_for(counted_);\n', "", PACKING, 1),
    ("upload: does not wait", "cuda_device.cpp",
     'cudaMemcpyHostToDevice, copies_),\n        "cudaMemcpyAsync", at_);\n  check(cudaStreamSynchronize(copies_), "cudaStreamSynchronize", at_);',
     'cudaMemcpyHostToDevice, copies_),\n        "cudaMemcpyAsync", at_);', PHASES, 1),
    ("weights: gate and up exchanged", "cuda_device.cpp",
     "put(0, 2 * h * ffn, &plain.gate", "put(0, 2 * h * ffn, &plain.up", PACKING, 1),
    ("replay: every layer takes the first layer's experts", "cuda_device.cpp",
     "args.replay_offset);", "0 * args.replay_offset);", LAYERS, 1),
    ("synchronize: returns at the first look", "transport.cpp",
     "if (queries % kQueriesBetween == 0) link_.look();", "return;", LAYERS, 2),
    ("synchronize: the communicator is never asked", "transport.cpp",
     "if (queries % kQueriesBetween == 0) link_.look();", "", "CudaFailures.what_nccl*", 2),
    ("events: a piece ends where it begins", "spans.cpp",
     "events[2 * sz(span_->pieces) + 1]", "events[2 * sz(span_->pieces)]", EVENTS, 1),
    ("events: milliseconds are taken for seconds", "spans.cpp",
     "return milliseconds * kMilli;", "return milliseconds;", EVENTS, 1),
    ("events: every span waits for its stream", "spans.cpp",
     "void Spans::end(cudaStream_t stream) {",
     "void Spans::end(cudaStream_t stream) {\n  static_cast<void>(cudaStreamSynchronize(stream));", COSTS, 1),
    ("events: the wait for counts is the GPU's time", "cuda_device.cpp",
     "  spans_.close(handle(stream));\n  transport_.wait_for", "  transport_.wait_for",
     "CudaLayers.what_the_host*", 2),
    ("clocks: stay locked", "nvml.cpp",
     "if (locked_) Library::told(library_->unlock, device_);", "", "CudaNvml.*", 1),
    ("clocks: power in milliwatts", "nvml.cpp", "value * kMilli", "value", "CudaNvml.*", 1),
    ("MPI with device addresses: receives where it sends from", "mpi_transport.cpp",
     "staged_ ? in : part.recv->as<char>()", "staged_ ? in : part.send->as<char>()",
     "*Transports.*", 2),
    ("forwarding: a row goes to a rank once for each assignment", "forwarding_kernels.cu",
     "a.first && q >= begin", "false && q >= begin", FORWARDING, 2),
    ("forwarding: a source's first row joins the row before", "forwarding_kernels.cu",
     "q >= begin && n.pair", "q >= 0 && n.pair", FORWARDING, 4),
    ("forwarding: rows of the layer before come back", "forwarding_kernels.cu",
     "if (a.starts_row) n.sent_row[", "if (false) n.sent_row[", NODES, 4),
    ("forwarding: the second chunk of rows starts over", "forwarding_kernels.cu",
     "first_row + chunk_row + sum_before(", "first_row + sum_before(", FORWARDING, 2),
    ("forwarding: assignments of earlier ranks forgotten", "forwarding_kernels.cu",
     "pairs += counts[1];", "", FORWARDING, 2),
    ("forwarding: further assignments of a row get the next one", "forwarding_kernels.cu",
     "all_rows) - (a.first ? 0 : 1)", "all_rows)", FORWARDING, 1),
    ("forwarding: slots counted over the node", "forwarding_kernels.cu",
     "pair.slot % n.slots;", "pair.slot;", FORWARDING, 2),
    ("forwarding: the count of rows leaves out the last chunk", "forwarding_kernels.cu",
     "*n.rows = first_row + chunk_row + all_rows;", "*n.rows = first_row + chunk_row;", FORWARDING, 1),
    ("forwarding: counts not set to zero", "forwarding_kernels.cu",
     "cudaMemsetAsync(packing.counts, 0, bytes, stream)",
     "cudaMemsetAsync(packing.counts, 0, 0 * bytes, stream)", FORWARDING, 1),
    ("forwarding: counts are read too early", "forwarding.cpp",
     "  transport_.wait_for(counted_);\n", "", FORWARDING, 1),
    ("forwarding: the wait for counts is the GPU's time", "forwarding.cpp",
     "  spans_.close(on);\n", "", NODES, 2),
    ("merging: the last rank's row is dropped", "forwarding_kernels.cu",
     "local < m.node_ranks; ++local", "local < m.node_ranks - 1; ++local", FORWARDING, 1),
    ("graph: all layers read one table", "experts.cpp",
     "if (recording_) use_table(table_at_ + 1);", "", "CudaGraph.results*", 1),
    ("stamps: of a rank without tokens none", "cuda_device.cpp",
     "if (tokens == 0 && mark != kNoMark) graphs_.stamp(stream, mark);", "", "CudaGraph.ranks*", 2),
    ("stamps: the last result's is forgotten", "expert_kernels.cu", "write_begin(a.stamp);", "",
     "CudaGraph.phases*", 1),
    ("stamps: backwards", "step_graphs.cpp", "stamp - base_", "base_ - stamp", "CudaGraph.phases*", 1),
    ("alignment: the timer's step is no error", "step_graphs.cpp", "(end - begin) / 2 + step_",
     "(end - begin) / 2", "CudaGraph.phases*", 1),
    ("slowdown: a spin of no length in a graph", "timer_kernels.cu", "passed * factor", "passed",
     "CudaGraph.a_planted*", 1),
    ("memory: allocated in every layer", "cuda_device.cpp",
     "void CudaDevice::combine(Stream stream, const CombineArgs& args) {",
     "void CudaDevice::combine(Stream stream, const CombineArgs& args) {\n  const Buffer waste = device_memory(64, at_);",
     COSTS, 1),
]

def commands(build, target, objects):
    """How the sources among these objects are compiled, by file name, and how the test is linked."""
    compiles = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if objects in entry["command"]:
            compiles[pathlib.Path(entry["file"]).name] = shlex.split(entry["command"])
    listed = subprocess.run(["ninja", "-C", build, "-t", "commands", target],
                            capture_output=True, text=True, check=True).stdout.splitlines()
    link = listed[-1].removeprefix(": && ").removesuffix(" && :")
    return compiles, shlex.split(link)


class Bench:
    """An executable of tests that is built again with a changed source."""

    def __init__(self, build, folder, target="moe_layer.cuda", objects="gembench_simulated_device", mpi=True):
        self.build, self.folder, self.mpi = build, folder, mpi
        self.unchanged = str(build / target)
        self.compiles, self.link = commands(build, target, objects)
        self.passed = {}

    def users_of(self, file):
        """Sources that a changed header reaches."""
        if not file.endswith(".hpp"):
            return [file]
        return [name for name in self.compiles if (SOURCES / name).is_file()
                and f"moe_layer/cuda/{file}" in (SOURCES / name).read_text()]

    def make(self, file, text):
        """The test's executable with this content of a source or header."""
        changed = self.folder / "moe_layer" / "cuda"
        changed.mkdir(parents=True, exist_ok=True)
        (changed / file).write_text(text)
        link = list(self.link)
        for source in self.users_of(file):
            command = list(self.compiles[source])
            original = command[command.index("-o") + 1]
            made = str(self.folder / (source + ".o"))
            if source != file:
                (changed / source).write_text((SOURCES / source).read_text())
            command = [word for word in command if not re.fullmatch(r"-O\d", word)]
            command[command.index("-o") + 1] = made
            command[command.index("-c") + 1] = str(changed / source)
            command[1:1] = [f"-I{self.folder}"]  # before the tree: a changed header is found first
            subprocess.run([*command, "-O1", "-w"], cwd=self.build, check=True)
            link = [made if word.endswith(original) else word for word in link]
        program = str(self.folder / "mutated")
        link[link.index("-o") + 1] = program
        subprocess.run(link, cwd=self.build, check=True)
        for path in changed.iterdir():
            path.unlink()
        return program

    def fails(self, program, tests, ranks):
        """Whether some test fails, and which."""
        command = [program, f"--gtest_filter={tests}"]
        if self.mpi:
            words = subprocess.check_output([TOP / "jobs/mpirun_words.sh"], text=True).split()
            command = ["mpirun", *words, "-n", str(ranks), *command]
        environment = {"GEMBENCH_TEST_SECONDS": str(SECONDS), "GEMBENCH_SIMULATED_TIMEOUT": "10",
                       "OMPI_MCA_mpi_yield_when_idle": "1", "OMP_NUM_THREADS": "1",
                       "GTEST_COLOR": "no"}
        words = ["env", *[f"{name}={value}" for name, value in environment.items()], *command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS + 20,
                                  check=False, errors="replace")
        except subprocess.TimeoutExpired:
            return True, "hangs"
        if done.returncode == 0:
            return False, ""
        text = done.stdout + done.stderr
        found = re.search(r"\[rank \d+\] (\S+) \S+:\d+", text) or \
            re.search(r"\[ RUN      \] (\S+)(?![\s\S]*\[ RUN)", text)
        return True, found.group(1) if found else "the job ends"

    def passes_unchanged(self, tests, ranks):
        key = tests, ranks
        if key not in self.passed:
            self.passed[key] = not self.fails(self.unchanged, tests, ranks)[0]
        return self.passed[key]


class CompiledBench:
    """The kernels' PTX, interpreted: ptx/."""

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        self.passed = None

    def make(self, file, text):
        copies = self.folder / "moe_layer" / "cuda"
        copies.mkdir(parents=True, exist_ok=True)
        for source in SOURCES.glob("*.cu"):
            (copies / source.name).write_text(source.read_text())
        if file:
            (copies / file).write_text(text)
        return copies

    def fails(self, program, _tests, _ranks):
        launches = self.build / "tests/moe_layer/cuda/libgembench_recorded_launches.so"
        environment = {**os.environ, "GEMBENCH_TOP": str(TOP), "GEMBENCH_KERNELS": str(program),
                       "GEMBENCH_NVCC": self.nvcc(), "GEMBENCH_LAUNCHES": str(launches)}
        done = subprocess.run(["/usr/bin/python3", TOP / "tests/moe_layer/cuda/ptx/kernels_test.py",
                               "Kernels.test_kernels_give_what_is_documented"],
                              capture_output=True, text=True, env=environment, check=False)
        for path in program.iterdir():
            path.unlink()
        found = re.search(r"^(?:FAIL|ERROR): \S+ \S+ \[(\w+)", done.stderr, re.M)
        return done.returncode != 0, found.group(1) if found else "the test ends"

    def nvcc(self):
        return re.search(r"^GEMBENCH_NVCC:\w+=(.*)$", (self.build / "CMakeCache.txt").read_text(), re.M).group(1)

    def passes_unchanged(self, tests, ranks):
        if self.passed is None:
            self.passed = not self.fails(self.make("", ""), tests, ranks)[0]
        return self.passed


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    missed = 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gembench-mutations-") as folder:
        folder = pathlib.Path(folder)
        mpi = Bench(build, folder)
        others = {RACES: Bench(build, folder, "moe_layer.cuda.races", "moe_layer.cuda.races.dir", mpi=False),
                  PTX: CompiledBench(build, folder)}
        print(f"{'mistake':<52} {'file':<20} {'ranks':>5}  found by")
        for name, file, old, new, tests, ranks in MUTATIONS:
            if not re.search(wanted, name):
                continue
            text = (SOURCES / file).read_text()
            if text.count(old) != 1:
                sys.exit(f"mutations.py: {file} holds the text of '{name}' {text.count(old)} times")
            bench = others.get(tests, mpi)
            if not bench.passes_unchanged(tests, ranks):
                sys.exit(f"mutations.py: {tests} fails on {ranks} ranks without any mistake")
            found, by = bench.fails(bench.make(file, text.replace(old, new)), tests, ranks)
            missed += not found
            print(f"{name:<52} {file:<20} {ranks:>5}  {by if found else 'NOBODY'}", flush=True)
    print(f"{missed} missed, {time.monotonic() - begin:.0f} s")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
