// CUDA graphs: nodes, executable graphs and their launches.

#include "tests/cuda_simulation/graph.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/cuda_simulation/capture.hpp"
#include "tests/cuda_simulation/clock.hpp"
#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/runtime.hpp"

/// Nodes lie on chains, each after one that comes before it in the graph anyway. A chain is a
/// queue, as a stream is, and waits for others where its nodes do, so that the scheduler may mix
/// independent nodes in any way.
struct CUgraphExec_st {
  std::vector<CUgraphNode_st> nodes;
  std::vector<std::size_t> chain_of;  // of a node
  std::vector<std::shared_ptr<gembench::simulation::Queue>> chains;
  gembench::simulation::Ticket end;  // of the last launch
  bool uploaded = false;
};

namespace gembench::simulation {
namespace {

using Counters = GembenchSimulationCounters;
constexpr std::array<KindInfo, 5> kKinds = {{
    {Kind::kernel, cudaGraphNodeTypeKernel, &Counters::launches, &Counters::graph_kernels},
    {Kind::copy, cudaGraphNodeTypeMemcpy, &Counters::copies, &Counters::graph_copies},
    {Kind::set, cudaGraphNodeTypeMemset, &Counters::sets, &Counters::graph_sets},
    // Libraries launch kernels: one here for each of their calls.
    {Kind::product, cudaGraphNodeTypeKernel, &Counters::gemm_calls, &Counters::graph_products},
    {Kind::exchange, cudaGraphNodeTypeKernel, &Counters::nccl_groups, &Counters::graph_exchanges},
}};

std::set<cudaGraph_t>& graphs() {
  static std::set<cudaGraph_t> known;
  return known;
}
std::set<cudaGraphExec_t>& executables() {
  static std::set<cudaGraphExec_t> known;
  return known;
}

/// For each node, which others come before it.
using Before = std::vector<std::vector<bool>>;

Before order_of(const std::vector<CUgraphNode_st>& nodes) {
  Before before(nodes.size(), std::vector<bool>(nodes.size(), false));
  for (const CUgraphNode_st& node : nodes) {
    auto& all = before[node.number];
    for (const std::size_t one : node.after) {
      all[one] = true;
      for (std::size_t n = 0; n < one; ++n) all[n] = all[n] || before[one][n];
    }
  }
  return before;
}

/// A real GPU would give wrong results, at times.
void check_scratch(const std::vector<CUgraphNode_st>& nodes, const Before& before) {
  std::map<const void*, std::size_t> last;
  for (const CUgraphNode_st& node : nodes) {
    if (!node.task.scratch) continue;
    const auto [user, first] = last.try_emplace(node.task.scratch, node.number);
    if (!first && !before[node.number][user->second]) {
      say("two products of a graph use one workspace and may run at once");
      std::abort();
    }
    user->second = node.number;
  }
}

void lay_on_chains(CUgraphExec_st& executable, const Before& before) {
  std::vector<std::size_t> last;  // node of each chain
  for (const CUgraphNode_st& node : executable.nodes) {
    const auto chain = std::find_if(last.begin(), last.end(),
                                    [&](std::size_t end) { return before[node.number][end]; });
    executable.chain_of.push_back(static_cast<std::size_t>(chain - last.begin()));
    if (chain != last.end()) {
      *chain = node.number;
    } else {
      last.push_back(node.number);
      executable.chains.push_back(Scheduler::instance().make_queue());
    }
  }
}

/// What differs in a way that an update cannot bring into `to`.
cudaGraphExecUpdateResultInfo compare(const CUgraphExec_st& to, CUgraph_st& from) {
  if (to.nodes.size() != from.nodes.size()) {
    return {cudaGraphExecUpdateErrorTopologyChanged, nullptr, nullptr};
  }
  for (CUgraphNode_st& node : from.nodes) {
    const CUgraphNode_st& before = to.nodes[node.number];
    if (before.after != node.after) {
      return {cudaGraphExecUpdateErrorTopologyChanged, &node, nullptr};
    }
    if (info_of(before.task.kind).type != info_of(node.task.kind).type) {
      return {cudaGraphExecUpdateErrorNodeTypeChanged, &node, nullptr};
    }
    if (before.task.memory != node.task.memory) {
      return {cudaGraphExecUpdateErrorParametersChanged, &node, nullptr};
    }
  }
  return {cudaGraphExecUpdateSuccess, nullptr, nullptr};
}

/// The checks of every call that puts an executable graph on a stream.
cudaError_t check_use(const char* name, cudaGraphExec_t executable, cudaStream_t stream) {
  if (const auto error = enter(name)) return failed(error);
  auto* found = find_stream(stream);
  if (!found) return failed(cudaErrorInvalidResourceHandle);
  if (!executables().contains(executable)) return failed(cudaErrorInvalidValue);
  if (const auto error = check_legacy(*found)) return failed(error);
  if (!found->capture) return cudaSuccess;
  say("graphs in graphs are not simulated");
  return refuse(*found->capture, cudaErrorStreamCaptureUnsupported);
}

/// Code and arguments go to the GPU once, at the latest when the graph is launched.
void upload(CUgraphExec_st& executable) {
  if (std::exchange(executable.uploaded, true)) return;
  static std::int64_t uploads = 0;
  if (first_use("graph " + std::to_string(++uploads))) ++counters().first_uses;
}

}  // namespace

const KindInfo& info_of(Kind kind) {
  return *std::find_if(kKinds.begin(), kKinds.end(),
                       [&](const KindInfo& info) { return info.kind == kind; });
}

cudaGraph_t adopt(std::unique_ptr<CUgraph_st> graph) {
  graphs().insert(graph.get());
  return graph.release();
}

}  // namespace gembench::simulation

using namespace gembench::simulation;

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (const auto error = enter("cudaGraphGetNodes")) return failed(error);
  if (!graphs().contains(graph) || !count) return failed(cudaErrorInvalidValue);
  if (nodes) {
    for (std::size_t i = 0; i < *count; ++i) {
      nodes[i] = i < graph->nodes.size() ? &graph->nodes[i] : nullptr;
    }
    *count = std::min(*count, graph->nodes.size());
  } else {
    *count = graph->nodes.size();
  }
  return cudaSuccess;
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  if (const auto error = enter("cudaGraphNodeGetType")) return failed(error);
  if (!node || !type) return failed(cudaErrorInvalidValue);
  *type = info_of(node->task.kind).type;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* to, cudaGraph_t graph, unsigned long long flags) {
  if (to) *to = nullptr;
  if (const auto error = enter("cudaGraphInstantiate")) return failed(error);
  constexpr unsigned long long kFlags =
      cudaGraphInstantiateFlagAutoFreeOnLaunch | cudaGraphInstantiateFlagUseNodePriority;
  if (!to || !graphs().contains(graph) || (flags & ~kFlags) != 0) {
    return failed(cudaErrorInvalidValue);
  }
  auto made = std::make_unique<CUgraphExec_st>();
  made->nodes.assign(graph->nodes.begin(), graph->nodes.end());
  const Before before = order_of(made->nodes);
  check_scratch(made->nodes, before);
  lay_on_chains(*made, before);
  ++counters().graph_instantiations;
  executables().insert(made.get());
  *to = made.release();
  return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* result) {
  if (result) *result = {cudaGraphExecUpdateError, nullptr, nullptr};
  if (const auto error = enter("cudaGraphExecUpdate")) return failed(error);
  if (!result || !executables().contains(executable) || !graphs().contains(graph)) {
    return failed(cudaErrorInvalidValue);
  }
  *result = compare(*executable, *graph);
  if (result->result != cudaGraphExecUpdateSuccess) {
    return failed(cudaErrorGraphExecUpdateFailure);
  }
  executable->nodes.assign(graph->nodes.begin(), graph->nodes.end());
  check_scratch(executable->nodes, order_of(executable->nodes));
  ++counters().graph_updates;
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const auto error = check_use("cudaGraphUpload", executable, stream)) return error;
  upload(*executable);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const auto error = check_use("cudaGraphLaunch", executable, stream)) return error;
  CUstream_st& on = *find_stream(stream);
  upload(*executable);
  ++counters().graph_launches;
  auto& scheduler = Scheduler::instance();
  const auto nothing = [] { return Progress::done; };
  scheduler.enqueue_wait(on.queue, executable->end);
  const Ticket begin = enqueue_on(on, "begin of a graph", nothing);
  for (const auto& chain : executable->chains) scheduler.enqueue_wait(chain, begin);
  std::vector<Ticket> ran;
  for (const CUgraphNode_st& node : executable->nodes) {
    const auto& chain = executable->chains[executable->chain_of[node.number]];
    for (const std::size_t before : node.after) {
      if (ran[before].queue != chain) scheduler.enqueue_wait(chain, ran[before]);
    }
    ++(counters().*info_of(node.task.kind).by_graphs);
    ran.push_back(
        scheduler.enqueue(chain, node.task.what, with_fault(with_time(node.task.make()))));
  }
  for (const auto& chain : executable->chains) {
    scheduler.enqueue_wait(on.queue, Scheduler::last(chain));
  }
  executable->end = scheduler.enqueue(on.queue, "end of a graph", nothing);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  if (const auto error = enter("cudaGraphExecDestroy")) return failed(error);
  if (executables().erase(executable) == 0) return failed(cudaErrorInvalidValue);
  delete executable;  // its queues live on until their work is done
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (const auto error = enter("cudaGraphDestroy")) return failed(error);
  if (graphs().erase(graph) == 0) return failed(cudaErrorInvalidValue);
  delete graph;  // executable graphs have copies
  return cudaSuccess;
}
