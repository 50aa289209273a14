#include <fmt/format.h>

#include "harness/commands.hpp"
#include "harness/option_rules.hpp"
#include "moe_layer/model.hpp"
#include "placement/builtin_profiles.hpp"
#include "placement/builtin_slowdowns.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/traffic_formats.hpp"
#include "placement/recordings/recording.hpp"
#include "placement/strategy.hpp"
#include "placement/synthetic.hpp"

namespace gembench {

void list_command() {
  fmt::print("models (--model)\n  {:<16} {:>6} {:>8} {:>6} {:>7} {:>7} {:>6}\n", "name", "layers",
             "experts", "top-k", "shared", "hidden", "ffn");
  for (const ModelShape& m : model_presets()) {
    fmt::print("  {:<16} {:>6} {:>8} {:>6} {:>7} {:>7} {:>6}{}\n", m.name, m.layers, m.experts,
               m.topk, m.shared, m.hidden, m.ffn, m.note.empty() ? "" : "  " + m.note);
  }
  fmt::print("\nplacements (--placements, --strategy)\n");
  for (const Strategy& s : strategies()) {
    const std::string taken = taken_by(std::string(s.name));
    fmt::print("  {:<12} {}\n{}", s.name, s.summary,
               taken.empty() ? "" : fmt::format("  {:<12}   takes {}\n", "", taken));
  }
  fmt::print("  {:<12} {}\n  {:<12} {}\n", "file:PATH", "a placement in any of the formats below",
             "relabel:NAME", "what NAME gives, ranks' rows exchanged to suit their speeds");
  fmt::print("\nformats of placements (convert)\n");
  for (const PlacementFormat& f : placement_formats()) {
    fmt::print("  {:<14} {}\n", f.name, f.what);
  }
  for (const TrafficFormat& f : traffic_formats()) {
    fmt::print("  {:<14} {} (only written)\n", f.name, f.what);
  }
  fmt::print("\nsynthetic loads (--preset)\n");
  for (const SyntheticPreset& p : synthetic_presets()) {
    fmt::print("  {:<12} {}\n", p.name, p.summary);
  }
  fmt::print("\nrecordings (trace import)\n");
  for (const RecordingFormat& f : recording_formats()) fmt::print("  {:<18} {}\n", f.name, f.what);
  fmt::print("\nprofiles measured by others (--profile of plan and score)\n");
  for (const std::string& name : builtin_profile_names()) fmt::print("  builtin:{}\n", name);
  fmt::print("\nslowdowns of real GPUs (--slowdown-from)\n");
  for (const BuiltinSlowdowns& s : builtin_slowdown_sets()) {
    fmt::print("  builtin:{:<18} {}\n", s.name, s.summary);
  }
}

}  // namespace gembench
