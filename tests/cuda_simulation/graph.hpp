#pragma once

#include <driver_types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/queue.hpp"

namespace gembench::simulation {

enum class Kind : unsigned char { kernel, copy, set, product, exchange };

/// The work of a call. The call puts it on a stream, or a capture makes it a node of a graph.
struct Task {
  Kind kind;
  const char* what;  // a string literal
  /// Called once for every time that the work is to run, in the order of calls and launches.
  std::function<Run()> make;
  int memory = 0;  // of a copy: between what kinds, which an update of a graph must not change
  const void* scratch = nullptr;  // memory that nothing else may use at the same time
};

/// What a kind is in a graph, and where it is counted.
struct KindInfo {
  Kind kind;
  cudaGraphNodeType type;
  std::int64_t GembenchSimulationCounters::*by_calls;
  std::int64_t GembenchSimulationCounters::*by_graphs;
};
const KindInfo& info_of(Kind kind);

}  // namespace gembench::simulation

struct CUgraphNode_st {
  gembench::simulation::Task task;
  std::size_t number;              // in its graph, in the order of capture
  std::vector<std::size_t> after;  // nodes that come first: smaller numbers, rising
};

struct CUgraph_st {
  std::deque<CUgraphNode_st> nodes;  // whose addresses are handles
};

namespace gembench::simulation {

/// Gives out a handle that the runtime's calls know from now on.
cudaGraph_t adopt(std::unique_ptr<CUgraph_st> graph);

}  // namespace gembench::simulation
