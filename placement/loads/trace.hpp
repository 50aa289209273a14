#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gembench::inline loads {

/// Trace::phase; the values stand in files.
inline constexpr std::int32_t kDecode = 0, kPrefill = 1, kMixed = 2;

/// Expert loads over steps: a router's decisions. A plain value; row-major, last index fastest.
struct Trace {
  int steps = 0;
  int layers = 0;
  int experts = 0;
  int topk = 0;
  /// [step][layer][expert]: tokens routed to the expert. Every layer of a step sums to
  /// tokens_in_step(step) * topk, and no expert gets more than tokens_in_step(step).
  std::vector<std::int32_t> tokens;
  /// [step][token][layer][k]: the experts of every token in rank order, distinct within a token.
  /// Empty when only counts are known. When present every step has the same number of tokens.
  std::vector<std::uint16_t> topk_ids;
  /// [step]: label of the workload (task) the step belongs to, from 0. Empty when unknown.
  std::vector<std::int32_t> task;
  /// [step]: phase of its requests. Empty if unknown.
  std::vector<std::int32_t> phase;
  /// [layer]: index of the layer in the whole model, which may begin with dense layers; ascending.
  /// Empty: 0, 1, ...
  std::vector<std::int32_t> layer_ids;
  /// Layers of the whole model, dense ones included; 0 when unknown.
  int model_layers = 0;
  /// Number of source ranks in the recording; 0 if unknown.
  int sources = 0;
  /// [step][layer][source][expert]: `tokens` by source, which it sums to. Empty without sources.
  std::vector<std::int32_t> source_tokens;
  /// Independent requests that the whole recording's tokens come from; 0 if unknown. Steps of one
  /// request are alike, so a plan rests on these and not on the number of steps.
  std::int64_t requests = 0;
  /// Its origin: a file's name, or a generator with its parameters. Free text for people.
  std::string source;

  [[nodiscard]] bool has_ids() const { return !topk_ids.empty(); }
  /// Index of a layer in the whole model.
  [[nodiscard]] int layer_id(int layer) const {
    return layer_ids.empty() ? layer : layer_ids[static_cast<std::size_t>(layer)];
  }
  [[nodiscard]] std::span<const std::int32_t> loads(int step, int layer) const;
  [[nodiscard]] std::span<std::int32_t> loads(int step, int layer);
  /// [source][expert]; only with sources.
  [[nodiscard]] std::span<const std::int32_t> source_loads(int step, int layer) const;
  /// [layer][k] of one token; only when has_ids().
  [[nodiscard]] std::span<const std::uint16_t> ids(int step, int token) const;
  /// Tokens of the batch in this step (the sum of layer 0 over top-k).
  [[nodiscard]] int tokens_in_step(int step) const;
  [[nodiscard]] int max_tokens_in_step() const;
  /// Bytes of the arrays per step: counts, those by source, ids.
  [[nodiscard]] std::size_t bytes() const;
};

/// Refuses (usage error, naming step and layer) a trace whose sizes disagree with its arrays, with
/// negative counts, an expert above the step's tokens, layers that sum differently, unknown labels,
/// layer ids that do not ascend, ids out of range, repeated in a token, or at odds with the counts,
/// or sources that do not sum to them.
void validate(const Trace& trace);

/// Steps [first, first + count) as a trace of their own. Throws std::out_of_range.
[[nodiscard]] Trace slice(const Trace& trace, int first, int count);

/// The first `layers` layers of a trace. Throws std::out_of_range.
[[nodiscard]] Trace first_layers(const Trace& trace, int layers);

/// The counts alone, without ids, labels and sources, for planning.
[[nodiscard]] Trace counts_only(const Trace& trace);

/// Adds up `ids` of every step into `trace.tokens` (which it sizes).
void count_tokens(Trace& trace, int tokens_per_step);

}  // namespace gembench::inline loads
