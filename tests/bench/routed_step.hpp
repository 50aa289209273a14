#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/model/routing.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "placement/base/random.hpp"
#include "placement/cost/placement.hpp"
#include "placement/loads/synthetic.hpp"

namespace gembench::bench {

/// One step of synthetic serving loads, dealt to the tokens of this rank, under a placement that
/// has every expert once, drawn at random.
struct RoutedStep {
  RoutedStep(const Comm& comm, const ModelShape& model, int tokens)
      : trace(make_trace("serving", {1, model.layers, model.experts, model.topk, tokens, 7})),
        placement(empty_placement(model.layers, comm.size(), model.experts)),
        range(local_tokens(tokens, comm.rank(), comm.size())),
        ids(routed_ids(trace, 0, 7, range)),
        limits{tokens, std::int64_t{tokens} * model.topk} {
    Random random(7);
    std::vector<std::int32_t> experts(static_cast<std::size_t>(model.experts));
    for (std::size_t e = 0; e < experts.size(); ++e) experts[e] = static_cast<std::int32_t>(e);
    for (int layer = 0; layer < model.layers; ++layer) {
      random.shuffle(experts);
      std::copy(experts.begin(), experts.end(),
                placement.slot_expert.begin() + std::int64_t{layer} * model.experts);
    }
    placement.strategy = "random";
  }

  Trace trace;
  Placement placement;
  TokenRange range;
  std::vector<std::uint16_t> ids;  ///< [layer][token][k]
  ReceiveLimits limits;            ///< as if all experts that a token has sat on one rank
};

}  // namespace gembench::bench
