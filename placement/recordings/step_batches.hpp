#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "placement/recordings/recording.hpp"

namespace gembench::inline recordings {

/// The shape of a recording's steps before anything is left out.
struct RecordedShape {
  std::int64_t layers = 0;  ///< rows of a step; dense layers of the model may be among them
  std::int64_t experts = 0;
  int topk = 0;     ///< 0 = the file does not say
  int sources = 0;  ///< 0 = already summed
  /// [row] index of the layer in the model, ascending; empty: 0, 1, ...
  std::vector<std::int32_t> layer_ids;
  int model_layers = 0;  ///< 0 = unknown
};

/// Passes steps of counts from a file to KeepSteps. Leaves out dense layers: rows without a token
/// in the first step with tokens. Steps without tokens at the end may be left out too.
class StepBatches {
 public:
  /// Usage error for an impossible shape and for one that differs from what the user stated, both
  /// before anything of that size is allocated.
  StepBatches(const RecordingInput& input, RecordedShape shape, const KeepSteps& keep);

  [[nodiscard]] std::size_t step_size() const { return step_size_; }
  /// One step, [row][source][expert], of step_size(). Usage error for a count that is negative or
  /// does not fit 32 bits, and for tokens in a layer that was taken for dense.
  void add(std::span<const std::int64_t> counts);

  enum class IdleEnd { keep, drop };
  /// Passes on the remaining steps. Usage error if no step has a token. Returns what was left out.
  std::vector<std::string> finish(IdleEnd idle_end);

 private:
  void settle_layers(std::span<const std::int64_t> counts);
  void add_row(std::span<const std::int64_t> row, std::size_t at);
  void add_idle_steps();
  void hand_on();
  [[noreturn]] void refuse(std::size_t row, const std::string& why) const;

  std::string name_;
  const RecordingInput& input_;
  RecordedShape shape_;
  const KeepSteps& keep_;
  std::size_t row_size_ = 0, step_size_ = 0;
  std::vector<std::size_t> rows_;  ///< that are MoE layers; empty until the first tokens
  Trace batch_;
  std::int64_t steps_ = 0;  ///< seen
  std::int64_t idle_ = 0;   ///< of them, last ones without tokens that were not added yet
};

}  // namespace gembench::inline recordings
