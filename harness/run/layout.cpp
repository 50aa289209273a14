#include "harness/run/layout.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/placement_names.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/model/routing.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

void require_shares(const std::vector<int>& shares, int ranks) {
  if (shares.empty()) return;
  if (static_cast<int>(shares.size()) != ranks) {
    throw usage_error(fmt::format("--tokens-per-rank has {} values for {} ranks: give one for each",
                                  shares.size(), ranks));
  }
  if (std::all_of(shares.begin(), shares.end(), [](int share) { return share == 0; })) {
    throw usage_error("--tokens-per-rank gives no rank a token");
  }
}

Placement linear_placement(const ModelShape& model, int ranks) {
  Trace none;
  none.layers = model.layers;
  none.experts = model.experts;
  const Profile equal = equal_ranks(ranks, 1);
  const CostModel cost(equal);
  return plan_linear({none, cost, 0});
}

/// Empty slots filled with the experts that come next in order.
Placement filled(Placement placement) {
  int next = 0;
  for (int layer = 0; layer < placement.layers; ++layer) {
    for (int rank = 0; rank < placement.ranks; ++rank) {
      for (auto& expert : placement.on_rank(layer, rank)) {
        if (expert < 0) expert = next;
        next = (expert + 1) % placement.experts;
      }
    }
  }
  validate(placement);
  return placement;
}

}  // namespace

Layout make_layout(const SessionOptions& options, const Topology& topology, int placed_slots) {
  const int ranks = topology.ranks();
  Layout layout;
  layout.model = model_of(options);
  layout.topology = topology;
  const StatedShape shape{ranks, layout.model.layers, layout.model.experts};
  layout.asked = slots_of(options, shape, placed_slots);
  layout.slots = std::max(layout.asked.slots, placed_slots);
  layout.slowdown = emulated_slowdown(options, ranks, options.seed);
  layout.drifts = parse_drift(options.drift);
  require_shares(options.tokens_per_rank, ranks);
  require_nodes_to_price(options, topology.nodes());
  layout.linear = linear_placement(layout.model, ranks);
  layout.profiled = filled(layout.linear);
  return layout;
}

int placed_slots(const std::vector<std::string>& strategies, const StatedShape& shape) {
  constexpr std::string_view kFile = "file:";
  int most = 0;
  for (const std::string& strategy : strategies) {
    const auto file = strategy.find(kFile);  // relabel:file:PATH too
    if (file == std::string::npos) continue;
    const Placement placement =
        read_any_placement(strategy.substr(file + kFile.size()), shape).placement;
    // Errors are reported when planning uses them.
    if (placement.ranks != shape.ranks || placement.slots > shape.experts) continue;
    most = std::max(most, placement.slots);
  }
  return most;
}

int placed_slots(const SessionOptions& options, int ranks) {
  const ModelShape model = model_of(options);
  std::vector<std::string> strategies;
  for (const std::string& name : options.placements)
    strategies.push_back(parse_placement_name(name).strategy);
  return placed_slots(strategies, {ranks, model.layers, model.experts});
}

SlotCount slots_of(const SlotOptions& options, const StatedShape& shape, int placed) {
  return count_slots({shape.ranks, shape.experts, options.spare_slots, options.replicas, placed});
}

PlanInput plan_input(const SlotOptions& options, std::uint64_t seed, const PlanRanks& ranks,
                     const Trace& trace, const CostModel& cost, const SplitSpec& split) {
  // Without either, ranks that hold fewer experts have no room that anyone asked for.
  const bool room = options.spare_slots > 0 || options.replicas > 0;
  return {.trace = trace,
          .cost = cost,
          .seed = seed,
          .slots = room ? ranks.asked.slots : 0,
          .nodes = ranks.nodes,
          .groups = ranks.groups,
          .replicas = options.replicas,
          .split = split,
          .network = ranks.network,
          .all_replicas = options.spare_slots == 0};
}

TokenRange share_of(const RoutingOptions& options, int tokens, int rank, int ranks) {
  return options.tokens_per_rank.empty() ? local_tokens(tokens, rank, ranks)
                                         : local_tokens(tokens, rank, options.tokens_per_rank);
}

void require_dispatch(const NodeOptions& options, Device& device) {
  if (options.dispatch == "flat" || device.forwarding() != nullptr) return;
  throw usage_error(
      "--dispatch hierarchical needs a device that forwards rows: use --dispatch flat");
}

}  // namespace gembench::inline run
