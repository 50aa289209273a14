#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "harness/cli/printing.hpp"
#include "harness/cli/strategy_rules.hpp"
#include "harness/commands/commands.hpp"
#include "moe_layer/model/shape.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/traffic_formats.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/per_step/step_system.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/speeds/builtin_profiles.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline commands {
namespace {

using nlohmann::ordered_json;

std::string experimental(std::string_view proposal) {
  return proposal.empty() ? "" : fmt::format(" (experimental: proposed in {})", proposal);
}

template <class Row>
ordered_json named(const Row& row, std::string_view says) {
  return {{"name", row.name}, {"summary", says}};
}

template <class Rows>
ordered_json presets_of(const Rows& rows) {
  ordered_json all = ordered_json::array();
  for (const auto& row : rows) {
    all.push_back(named(row, row.summary));
    if constexpr (requires { row.needs_ranks; }) all.back()["needs_ranks"] = row.needs_ranks;
  }
  return all;
}

/// `experimental`: where a format is only proposed, else "".
template <class Rows>
ordered_json formats_of(const Rows& rows) {
  ordered_json all = ordered_json::array();
  for (const auto& row : rows) {
    ordered_json one = named(row, row.what);
    if constexpr (requires { row.experimental; }) one["experimental"] = row.experimental;
    all.push_back(one);
  }
  return all;
}

ordered_json all_lists() {
  ordered_json models = ordered_json::array(), placements = ordered_json::array();
  for (const ModelShape& m : model_presets()) {
    models.push_back({{"name", m.name},
                      {"layers", m.layers},
                      {"experts", m.experts},
                      {"topk", m.topk},
                      {"shared", m.shared},
                      {"hidden", m.hidden},
                      {"ffn", m.ffn},
                      {"note", m.note}});
  }
  for (const Strategy& s : strategy_table()) {
    ordered_json one = named(s, s.summary);
    one["options"] = taken_by(std::string(s.name));
    placements.push_back(one);
  }
  return {{"models", models},
          {"placements", placements},
          {"per_step", presets_of(step_systems())},
          {"placement_formats", formats_of(placement_formats())},
          {"traffic_formats", formats_of(traffic_formats())},
          {"presets", presets_of(synthetic_presets())},
          {"recordings", formats_of(recording_formats())},
          {"profiles", builtin_profile_names()},
          {"slowdowns", presets_of(builtin_slowdown_sets())}};
}

void print_lists() {
  print_result("models (--model)\n  {:<16} {:>6} {:>8} {:>6} {:>7} {:>7} {:>6}\n", "name", "layers",
               "experts", "top-k", "shared", "hidden", "ffn");
  for (const ModelShape& m : model_presets()) {
    print_result("  {:<16} {:>6} {:>8} {:>6} {:>7} {:>7} {:>6}{}\n", m.name, m.layers, m.experts,
                 m.topk, m.shared, m.hidden, m.ffn, m.note.empty() ? "" : "  " + m.note);
  }
  print_result("\nplacements (--placements, --strategy)\n");
  for (const Strategy& s : strategy_table()) {
    const std::string taken = taken_by(std::string(s.name));
    print_result("  {:<12} {}\n{}", s.name, s.summary,
                 taken.empty() ? "" : fmt::format("  {:<12}   options: {}\n", "", taken));
  }
  print_result(
      "  {:<12} {}\n  {:<12} {}\n", "file:PATH", "a placement file in any of the formats below",
      "relabel:NAME",
      "NAME's placement, with each rank's experts moved to the rank whose speed suits them");
  print_result("\nsystems that rebalance every step (--per-step of score)\n");
  for (const StepSystem& s : step_systems()) print_result("  {:<14} {}\n", s.name, s.summary);
  print_result("\nplacement formats (convert)\n");
  for (const PlacementFormat& f : placement_formats()) {
    print_result("  {:<14} {}{}\n", f.name, f.what, experimental(f.experimental));
  }
  for (const TrafficFormat& f : traffic_formats()) {
    print_result("  {:<14} {} (write only)\n", f.name, f.what);
  }
  print_result("\nsynthetic loads (--preset)\n");
  for (const SyntheticPreset& p : synthetic_presets()) {
    print_result("  {:<20} {}{}\n", p.name, p.summary, p.needs_ranks ? " (with --ranks)" : "");
  }
  print_result("\nrecordings (trace import)\n");
  for (const RecordingFormat& f : recording_formats())
    print_result("  {:<18} {}{}\n", f.name, f.what, experimental(f.experimental));
  print_result("\nprofiles measured by others (--profile of plan and score)\n");
  for (const std::string& name : builtin_profile_names()) print_result("  builtin:{}\n", name);
  print_result("\nslowdowns of real GPUs (--slowdown-from)\n");
  for (const BuiltinSlowdowns& s : builtin_slowdown_sets()) {
    print_result("  builtin:{:<18} {}\n", s.name, s.summary);
  }
}

}  // namespace

void execute(const ListCommand& command) {
  if (command.format == "json") {
    print_text(all_lists().dump(2) + "\n");
  } else {
    print_lists();
  }
}

}  // namespace gembench::inline commands
