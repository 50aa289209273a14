#include "placement/exchange/traffic_formats.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/index.hpp"
#include "placement/exchange/pair_traffic.hpp"

namespace gembench::inline exchange {
namespace {

constexpr std::int64_t kAlignment = 16;  // nccl-tests rounds every count of bytes down to it

/// "[1, 2], [3, 4]"
std::string lists(std::span<const std::int64_t> values, std::size_t columns) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); i += columns)
    text += fmt::format("{}[{}]", i == 0 ? "" : ", ", fmt::join(values.subspan(i, columns), ", "));
  return text;
}

// NCCL_TESTS_ALLTOALLV_MATRIX_FILE of https://github.com/NVIDIA/nccl-tests (alltoallv); UCC's and
// RCCL's benchmarks read the like.
std::string write_matrix(const TrafficInput& input) {
  if (!(input.row_bytes > 0))
    throw usage_error("how many bytes a token has is not known; add --token-bytes");
  const int first = input.step.value_or(0), count = input.step ? 1 : input.trace.steps;
  const auto ranks = sz(input.placement.ranks);
  const TokenSplit split(input.placement, input.rule);
  std::vector<double> tokens(
      checked_product({input.placement.ranks, input.placement.ranks}, "the matrix of ranks"), 0);
  for (int step = first; step < first + count; ++step) {
    const auto traffic = pair_traffic(input.trace, input.placement, split, step, input.layer);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] += traffic.tokens[i];
  }
  std::string text;
  for (std::size_t source = 0; source < ranks; ++source)
    for (std::size_t to = 0; to < ranks; ++to) {
      const double bytes = source == to ? 0 : tokens[source * ranks + to] / count * input.row_bytes;
      const auto units = std::llround(std::ceil(bytes / kAlignment));
      text += fmt::format("{}{}", units * kAlignment, to + 1 == ranks ? '\n' : ' ');
    }
  return text;
}

std::string use_matrix(const Placement& placement, const std::string& path) {
  return fmt::format("NCCL_TESTS_ALLTOALLV_MATRIX_FILE={} of nccl-tests' alltoallv_perf, {} ranks",
                     path, placement.ranks);
}

// --routing_pattern_file of TensorRT-LLM's bench_moe,
// https://github.com/NVIDIA/TensorRT-LLM, tests/microbenchmarks
std::string write_pattern(const TrafficInput& input) {
  if (!input.step) throw usage_error("a routing pattern is one of one step; add --step N");
  const TokenSplit split(input.placement, input.rule);
  const auto traffic = pair_traffic(input.trace, input.placement, split, *input.step, input.layer);
  const auto [least, most] = std::ranges::minmax(traffic.sources);
  if (least != most)
    throw usage_error(
        fmt::format("bench_moe needs the same number of tokens on every rank, and in step {} ranks "
                    "have {} to {}; choose a step or a trace whose tokens divide over {} ranks",
                    *input.step, least, most, input.placement.ranks));
  return fmt::format(
      "{{\"ep_size\": {}, \"experts_per_rank\": {}, \"slot_dispatch_matrix\": [{}], "
      "\"expert_histogram\": [{}]}}",
      input.placement.ranks, input.placement.slots,
      lists(traffic.choices, sz(input.placement.ranks)),
      lists(traffic.histogram, sz(input.placement.slots)));
}

std::string use_pattern(const Placement& placement, const std::string& path) {
  return fmt::format("bench_moe --routing_pattern_file {}, {} ranks with {} experts each", path,
                     placement.ranks, placement.slots);
}

constexpr std::array kFormats = {
    TrafficFormat{"nccl-alltoallv", "nccl-tests, bytes from rank to rank in a layer",
                  "bytes are expected, as if the experts of a token were independent", write_matrix,
                  use_matrix},
    TrafficFormat{"bench-moe", "TensorRT-LLM's bench_moe, a routing pattern of a layer and step",
                  "", write_pattern, use_pattern},
};

}  // namespace

std::span<const TrafficFormat> traffic_formats() {
  return kFormats;
}

const TrafficFormat* find_traffic_format(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name, &TrafficFormat::name);
  return found == kFormats.end() ? nullptr : &*found;
}

}  // namespace gembench::inline exchange
