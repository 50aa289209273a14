#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/files/output_owner.hpp"
#include "placement/loads/planned_steps.hpp"

namespace gembench::inline exchange {

/// A placement and its origin: the content of placement.json.
struct PlacementFile {
  Placement placement;
  /// [layer]: its index in the whole model, which may begin with dense layers; ascending. Empty:
  /// unknown, or 0, 1, ...
  std::vector<std::int32_t> layer_ids = {};
  int model_layers = 0;  ///< of the whole model, dense ones included; 0 = unknown
  std::string model;     ///< shape it was planned for
  std::uint64_t seed = 0;
  double predicted_step = 0;                      ///< s per step on the planning trace; 0 = unknown
  double bound_step = 0;                          ///< s per step, lower bound
  std::string trace_source;                       ///< free text
  std::string profile_source;                     ///< free text
  std::string program;                            ///< "gembench 0.1.0"
  std::optional<PlanningRecord> planned_on = {};  ///< none: not known

  [[nodiscard]] int layer_id(int layer) const {
    return layer_ids.empty() ? layer : layer_ids[static_cast<std::size_t>(layer)];
  }
};

/// Most layers of a model, so that arrays indexed by layer stay small.
inline constexpr int kMaxModelLayers = 65536;
/// Larger files are refused before they are read.
inline constexpr std::uintmax_t kMaxPlacementBytes = std::uintmax_t{256} << 20;

/// The text of placement.json: {"schema": "gembench-placement", "schema_version": "1.2.0",
/// "layers", "ranks", "slots", "experts", "strategy", "slot_expert": [layer][rank][slot], ...};
/// since 1.1.0 "layer_ids" and "model_layers" where they are known; since 1.2.0 "planned_on":
/// {"digest_version": 1, "complete", "parts": [{"trace", "first", "steps"}]}, "trace" and "steps"
/// of 16 hexadecimal digits, "steps" for every step. Usage error for what it could not read back.
[[nodiscard]] std::string placement_to_json(const PlacementFile& file);

/// Usage error, to which the caller adds the file's name, for a foreign, truncated or inconsistent
/// text or another major schema version.
[[nodiscard]] PlacementFile placement_from_json(std::string_view text);

/// placement.json. Refuses an existing file unless `overwrite`; an output error says why a file
/// cannot be written.
void write_placement(const std::filesystem::path& path, const PlacementFile& file, bool overwrite);
/// For a name that was claimed before the placement was planned.
void write_placement(const OutputOwner& owner, const PlacementFile& file, bool overwrite);

/// Reads placement.json; usage errors name the file.
[[nodiscard]] PlacementFile read_placement(const std::filesystem::path& path);

}  // namespace gembench::inline exchange
