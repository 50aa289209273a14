#include "harness/replan_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "moe_layer/model.hpp"
#include "placement/error.hpp"

namespace gembench {
namespace {

constexpr int kMatrices = 3;  // of an expert: gate, up, down

/// Bytes of one expert's weights of "NAME[/SCALE] DTYPE"; 0 where no preset has that name.
double bytes_of(const std::string& model) {
  const auto space = model.rfind(' ');
  if (space == std::string::npos) return 0;
  const auto dtype = model.substr(space + 1);
  if (dtype != name_of(DType::f32) && dtype != name_of(DType::bf16)) return 0;
  const auto slash = model.find('/');
  const auto name = model.substr(0, std::min(slash, space));
  const auto presets = model_presets();
  const auto found = std::ranges::find(presets, name, &ModelShape::name);
  if (found == presets.end()) return 0;
  const double scale =
      slash < space ? std::strtod(model.substr(slash + 1, space).c_str(), nullptr) : 1;
  if (!(scale >= 1)) return 0;
  const ModelShape shape = scaled(*found, scale);
  const auto size = size_of(dtype == name_of(DType::f32) ? DType::f32 : DType::bf16);
  return static_cast<double>(size) * kMatrices * shape.hidden * shape.ffn;
}

}  // namespace

double move_seconds(const Options& options, const std::string& model) {
  if (options.bandwidth == 0) return 0;
  const double bytes = options.expert_bytes > 0 ? options.expert_bytes : bytes_of(model);
  if (bytes == 0) {
    throw usage_error(
        fmt::format("how large an expert of '{}' is nobody knows: add --expert-bytes", model));
  }
  return bytes / options.bandwidth;
}

std::string replan_report(const Replan& replan, const Options& options) {
  if (replan.swaps.empty()) {
    return fmt::format("# no swap pays within {:g} steps: the placement stays as it is\n",
                       options.horizon);
  }
  const double cost = replan.cost();
  std::string text = fmt::format("# {:>5} {:>14} {:>14} {:>14} {:>9} {:>12}\n", "layer",
                                 "expert@rank", "and", "saves us/step", "moves ms", "pays after");
  for (const ExpertSwap& swap : replan.swaps) {
    const auto other = swap.other < 0 ? fmt::format("empty@{}", swap.other_rank)
                                      : fmt::format("{}@{}", swap.other, swap.other_rank);
    text += fmt::format("  {:>5} {:>14} {:>14} {:>14.3f} {:>9} {:>12}\n", swap.layer,
                        fmt::format("{}@{}", swap.expert, swap.rank), other, swap.gain * 1e6,
                        cost > 0 ? fmt::format("{:.3f}", swap.cost * 1e3) : "unknown",
                        cost > 0 ? fmt::format("{:.0f} steps", swap.cost / swap.gain) : "unknown");
  }
  text += fmt::format("# {} swaps save {:.1f} us a step of {:.1f}", replan.swaps.size(),
                      (replan.before - replan.after) * 1e6, replan.before * 1e6);
  return text + (cost > 0 ? fmt::format(" and take {:.3f} ms\n", cost * 1e3)
                          : "; what their moves take nobody said: add --bandwidth\n");
}

}  // namespace gembench
