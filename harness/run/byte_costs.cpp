#include "harness/run/byte_costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "harness/cli/number_file.hpp"
#include "moe_layer/model/shape.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

constexpr int kMatrices = 3;  // of an expert: gate, up, down

/// Bytes of a number, as models are named.
struct Precision {
  std::string_view name;
  double weight;
  double token;  ///< 0 = unknown
};
constexpr Precision kPrecisions[] = {
    {"f32", 4, 4},
    {"bf16", 2, 2},
    {"fp8 (blocks)", 1, 0},
    {"mxfp4 weights", 17.0 / 32, 0},  // 4 bits, and 8 of every 32 numbers
};

struct KnownModel {
  double weights = 0;  ///< bytes of an expert's
  double token = 0;    ///< bytes
};

/// Of "NAME[/SCALE] PRECISION[, more]". All 0 if no preset has that name, or the precision is
/// unknown.
KnownModel known_model(const std::string& model) {
  const auto space = model.find(' ');
  if (space == std::string::npos) return {};
  const auto size = std::string_view(model).substr(space + 1, model.find(',', space) - space - 1);
  const auto* precision = std::ranges::find(kPrecisions, size, &Precision::name);
  const auto slash = model.find('/');
  const auto name = model.substr(0, std::min(slash, space));
  const auto presets = model_presets();
  const auto found = std::ranges::find(presets, name, &ModelShape::name);
  if (found == presets.end() || precision == std::end(kPrecisions)) return {};
  const double scale =
      slash < space ? std::strtod(model.substr(slash + 1, space).c_str(), nullptr) : 1;
  if (!(scale >= 1)) return {};
  const ModelShape shape = scaled(*found, scale);
  return {kMatrices * double(shape.hidden) * double(shape.ffn) * precision->weight,
          double(shape.hidden) * precision->token};
}

}  // namespace

double expert_bytes(const MoveCostOptions& options, const std::string& model) {
  const double bytes = options.expert_bytes > 0 ? options.expert_bytes : known_model(model).weights;
  if (bytes == 0) {
    throw usage_error(
        fmt::format("the size of an expert of '{}' is unknown: add --expert-bytes", model));
  }
  return bytes;
}

double move_seconds(const MoveCostOptions& options, const std::string& model) {
  return options.bandwidth == 0 ? 0 : expert_bytes(options, model) / options.bandwidth;
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
  return stated > 0 ? stated : known_model(model).token;
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
