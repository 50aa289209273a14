#include "harness/run/profile_fit.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "moe_layer/model/shape.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

constexpr double kTold = 0.1;          // share of steps beyond the profile from which it is said
constexpr int kLargestStep = 1 << 20;  // tokens; 320 ranks that prefill 3,000 each have fewer

/// The preset in "gpt-oss-20b/16 bf16", "qwen3-30b-a3b bf16, ...": nullptr for other names.
const ModelShape* preset_in(const std::string& model) {
  const auto presets = model_presets();
  const auto name = model.substr(0, model.find_first_of(" /("));
  const auto found = std::ranges::find(presets, name, &ModelShape::name);
  return found == presets.end() ? nullptr : &*found;
}

}  // namespace

void require_profile_of(const std::string& path, const Profile& profile, const std::string& shape,
                        int slots) {
  if (!profile.model.empty() && profile.model != shape) {
    throw usage_error(
        fmt::format("{} was measured for {} and this run is {}: give that --model, --scale and "
                    "--dtype, or measure one with gembench profile",
                    path, profile.model, shape));
  }
  if (profile.slots > 0 && profile.slots != slots) {
    throw usage_error(fmt::format(
        "{} was measured with {} experts a rank and this run has {}: measure one with gembench "
        "profile",
        path, profile.slots, slots));
  }
}

std::string other_model_note(const std::string& path, const Profile& profile, const Trace& loads,
                             int slots) {
  if (const ModelShape* model = preset_in(profile.model)) {
    if (model->experts != loads.experts || model->topk != loads.topk) {
      return fmt::format(
          "NOTE: {} was measured for {}, which has {} experts, top-{}, and the loads have {} "
          "experts, top-{}: times are those of the profile's model",
          path, model->name, model->experts, model->topk, loads.experts, loads.topk);
    }
  }
  if (profile.slots > 0 && profile.slots != slots) {
    return fmt::format(
        "NOTE: {} was measured with {} experts per rank, not with {}: times are those of the "
        "profile",
        path, profile.slots, slots);
  }
  return {};
}

std::string other_loads_note(const std::string& path, const Profile& profile, const Trace& loads) {
  const std::int64_t least = profile.load_points[1],
                     most = profile.load_points.back();  // the first is 0
  int below = 0, above = 0;
  std::int64_t largest = 0;
  for (int step = 0; step < loads.steps; ++step) {
    const std::int64_t mean = std::int64_t{loads.tokens_in_step(step)} * loads.topk / profile.ranks;
    below += mean < least ? 1 : 0;
    above += mean > most ? 1 : 0;
    largest = std::max(largest, mean);
  }
  if (above > kTold * loads.steps) {
    return fmt::format(
        "NOTE: in {} of {} steps a rank gets more tokens on average (up to {}) than the {} that {} "
        "was "
        "measured up to: those times are extrapolated; profile with more --tokens",
        above, loads.steps, largest, most, path);
  }
  if (below > kTold * loads.steps) {
    return fmt::format(
        "NOTE: in {} of {} steps a rank gets fewer tokens on average than the {} that {} was "
        "measured "
        "from: those times are guessed; profile with fewer --tokens",
        below, loads.steps, least, path);
  }
  return {};
}

std::string totals_note(const std::string& path, const Trace& loads) {
  const int most = loads.max_tokens_in_step();
  if (most <= kLargestStep) return {};
  return fmt::format(
      "NOTE: {} has a step of {} tokens, more than engines run at once: if it holds totals of a "
      "run, "
      "draw steps from them with trace import ... --expand-multinomial --steps N --tokens T",
      path, most);
}

}  // namespace gembench::inline run
