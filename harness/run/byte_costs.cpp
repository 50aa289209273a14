#include "harness/run/byte_costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "harness/cli/number_file.hpp"
#include "moe_layer/model/shape.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

constexpr int kMatrices = 3;  // of an expert: gate, up, down

/// Width, inner width and bytes a number of "NAME[/SCALE] DTYPE".
struct KnownModel {
  double hidden = 0, ffn = 0, size = 0;
};

/// All 0 if no preset has that name.
KnownModel known_model(const std::string& model) {
  const auto space = model.rfind(' ');
  if (space == std::string::npos || model.find('(') != std::string::npos) return {};
  const auto dtype = model.substr(space + 1);
  if (dtype != name_of(DType::f32) && dtype != name_of(DType::bf16)) return {};
  const auto slash = model.find('/');
  const auto name = model.substr(0, std::min(slash, space));
  const auto presets = model_presets();
  const auto found = std::ranges::find(presets, name, &ModelShape::name);
  if (found == presets.end()) return {};
  const double scale =
      slash < space ? std::strtod(model.substr(slash + 1, space).c_str(), nullptr) : 1;
  if (!(scale >= 1)) return {};
  const ModelShape shape = scaled(*found, scale);
  const auto size = size_of(dtype == name_of(DType::f32) ? DType::f32 : DType::bf16);
  return {double(shape.hidden), double(shape.ffn), static_cast<double>(size)};
}

}  // namespace

double move_seconds(const MoveCostOptions& options, const std::string& model) {
  if (options.bandwidth == 0) return 0;
  const KnownModel known = known_model(model);
  const double bytes = options.expert_bytes > 0 ? options.expert_bytes
                                                : kMatrices * known.hidden * known.ffn * known.size;
  if (bytes == 0) {
    throw usage_error(
        fmt::format("the size of an expert of '{}' is unknown: add --expert-bytes", model));
  }
  return bytes / options.bandwidth;
}

void require_nodes_to_price(const NodeOptions& options, int nodes) {
  if (nodes > 1 || (options.node_cost == 0 && options.node_costs.empty())) return;
  throw usage_error(
      "--node-cost and --node-costs need several nodes, and all ranks are on one: add "
      "--ranks-per-node N, or drop them");
}

void price_links(const NodeOptions& options, NodeNetwork& network) {
  network.seconds_per_byte = options.node_cost;
  if (!options.node_costs.empty())
    network.link_seconds_per_byte = read_numbers(options.node_costs, "prices in s/byte");
}

double token_bytes(double stated, const std::string& model) {
  if (stated > 0) return stated;
  const KnownModel known = known_model(model);
  return known.hidden * known.size;
}

NodeNetwork node_network(const ProblemOptions& options, const std::string& model, int ranks) {
  NodeNetwork network;
  const int each = options.ranks_per_node.value_or(ranks);
  require_nodes_to_price(options, (ranks + each - 1) / each);
  if (!options.ranks_per_node) return network;
  network.ranks_per_node = *options.ranks_per_node;
  network.once_a_node = options.dispatch == "hierarchical";
  network.token_bytes = token_bytes(options.token_bytes, model);
  price_links(options, network);
  if (network.token_bytes == 0) {
    throw usage_error(
        fmt::format("the size of a token of '{}' is unknown: add --token-bytes", model));
  }
  return network;
}

}  // namespace gembench::inline run
