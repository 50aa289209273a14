#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/encodings/json_lines.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLine = std::size_t{64} << 20;
constexpr std::int64_t kMaxValues = std::int64_t{1} << 22;
constexpr std::int64_t kMaxSlots = std::int64_t{1} << 20;
constexpr std::int64_t kMaxLoad = std::int64_t{1} << 40;  // many slots of one expert still fit
constexpr auto kMaxCount = std::numeric_limits<std::int64_t>::max();

/// vLLM's EPLB statistics (pull request 41141): a JSON object a line, `eplb_load_stats` for every
/// step with the load of every physical slot and the map of slots to experts, and optionally one
/// `eplb_load_meta`. Other record types are ignored, as the format asks.
class Stats {
 public:
  Stats(const RecordingInput& input, StepPass& pass) : input_(input), pass_(pass) {}

  void take(const json& record) {
    const auto& type = field(record, "record_type");
    if (!type.is_string()) throw usage_error("'record_type' is no text");
    if (type != "eplb_load_stats" && type != "eplb_load_meta") return;
    if (whole_between(field(record, "version"), 0, kMaxSlots, "'version'") != 1)
      throw usage_error("its version is not 1, the only one known");
    if (type == "eplb_load_meta") {
      take_meta(record);
    } else {
      take_step(record);
    }
  }
  std::vector<std::string> finish() {
    if (!batches_) throw usage_error("it has no record 'eplb_load_stats'");
    return batches_->finish();
  }

 private:
  void take_meta(const json& meta) {
    const auto number = [&](const char* name) {
      return meta.contains(name) ? whole_between(meta[name], 0, kMaxSlots, name) : -1;
    };
    meta_layers_ = number("num_layers");
    meta_ranks_ = number("num_ranks");
    meta_redundant_ = number("num_redundant_experts");
  }

  void take_step(const json& record) {
    const auto step = whole_between(field(record, "step"), 0, kMaxCount, "'step'");
    if (step <= last_step_)
      throw usage_error(
          fmt::format("step {} comes after step {}; give one rank's records of one "
                      "run",
                      step, last_step_));
    last_step_ = step;
    const auto& load = field(record, "expert_load");
    const auto& map = field(record, "p2l_map");
    if (!load.is_array() || !map.is_array() || load.empty() || load.size() != map.size() ||
        !load[0].is_array())
      throw usage_error("'expert_load' and 'p2l_map' must be as many rows, one a layer");
    if (!batches_) begin(record, load, map);
    if (load.size() != layers_)
      throw usage_error(fmt::format("it has {} layers where {} came before", load.size(), layers_));
    counts_.assign(batches_->step_size(), 0);
    for (std::size_t layer = 0; layer < layers_; ++layer) add_layer(layer, load[layer], map[layer]);
    batches_->add(counts_);
  }

  /// The first step: shapes, which the records before it must agree with.
  void begin(const json& record, const json& load, const json& map) {
    layers_ = load.size();
    slots_ = load[0].size();
    for (const auto& row : map)
      for (const auto& expert : row)
        experts_ = std::max(experts_, 1 + whole_between(expert, -1, kMaxExperts - 1, "'p2l_map'"));
    const auto differs = [](std::int64_t meta, std::size_t has) {
      return meta >= 0 && meta != static_cast<std::int64_t>(has);
    };
    if (differs(meta_layers_, layers_) ||
        (meta_ranks_ >= 0 && record.contains("num_ranks") && record["num_ranks"] != meta_ranks_) ||
        (meta_redundant_ >= 0 && differs(static_cast<std::int64_t>(slots_) - meta_redundant_,
                                         static_cast<std::size_t>(experts_))))
      throw usage_error(
          fmt::format("it has {} layers of {} slots for {} experts, which 'eplb_load_meta' "
                      "contradicts",
                      layers_, slots_, experts_));
    batches_.emplace(
        input_, RecordedShape{static_cast<std::int64_t>(layers_), experts_, 0, 0, {}, 0}, pass_);
  }

  void add_layer(std::size_t layer, const json& load, const json& map) {
    if (!load.is_array() || !map.is_array() || load.size() != slots_ || map.size() != slots_)
      throw usage_error(
          fmt::format("layer {}: it has no {} slots in both 'expert_load' and "
                      "'p2l_map'",
                      layer, slots_));
    auto* counts = counts_.data() + layer * static_cast<std::size_t>(experts_);
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      const auto tokens =
          whole_between(load[slot], 0, kMaxLoad, fmt::format("layer {}: 'expert_load'", layer));
      const auto expert =
          whole_between(map[slot], -1, experts_ - 1, fmt::format("layer {}: 'p2l_map'", layer));
      if (expert < 0 && tokens > 0)
        throw usage_error(fmt::format("layer {}: slot {} holds no expert but has {} tokens", layer,
                                      slot, tokens));
      if (expert >= 0) counts[expert] += tokens;
    }
  }

  const RecordingInput& input_;
  StepPass& pass_;
  std::optional<StepBatches> batches_;
  std::vector<std::int64_t> counts_;  // [layer][expert]
  std::size_t layers_ = 0, slots_ = 0;
  std::int64_t experts_ = 0;
  std::int64_t last_step_ = -1;
  std::int64_t meta_layers_ = -1, meta_ranks_ = -1, meta_redundant_ = -1;
};

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  JsonLines lines(only_path(input), kMaxLine);
  Stats stats(input, pass);
  const bool cut = lines.for_each(
      [&](const std::string& text) { stats.take(parse_bounded_json(text, kMaxValues)); });
  try {
    auto notes = stats.finish();
    if (cut) notes.push_back("left out the last line, which was cut off");
    return notes;
  } catch (const Error& error) {
    if (error.code() != ExitCode::usage || std::string(error.what()).starts_with(name_of(input)))
      throw;
    throw usage_error(fmt::format("{}:{}: {}", name_of(input), lines.line(), error.what()));
  }
}

bool recognise(const RecordingInput& input) {
  return input.paths.size() == 1 &&
         first_bytes(input.paths[0], 4096).find("\"eplb_load_") != std::string::npos;
}

}  // namespace

const RecordingFormat kVllmLoadStats{.name = "vllm-jsonl",
                                     .what = "vLLM's eplb_load_stats",
                                     .recognise = recognise,
                                     .read_pass = read,
                                     .read_tokens = nullptr,
                                     .experimental = "vLLM's pull request 41141"};

}  // namespace gembench::inline recordings
