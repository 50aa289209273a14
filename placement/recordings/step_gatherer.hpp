#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/recordings/recording.hpp"

namespace gembench::inline recordings {

/// Groups tokens into steps, and passes these on about kBatchBytes at a time.
class StepGatherer {
 public:
  /// `shape` has layers, experts, top-k, layer ids and source; its arrays are ignored. With
  /// `keep_ids` every step must get the same number of tokens.
  StepGatherer(const Trace& shape, bool keep_ids, KeepSteps keep);

  /// One token of the step, [layer][k], sound ids; `task` -1: unknown.
  void add(std::span<const std::uint16_t> ids, std::int32_t task = -1);
  /// `phase` -1: unknown. The step gets the task of most of its tokens. A label must be known for
  /// all steps or for none.
  void end_step(std::int32_t phase = -1);
  /// After the last step.
  void finish();
  [[nodiscard]] std::int64_t steps() const { return steps_; }

 private:
  void open_step();

  Trace gathered_;
  bool keep_ids_;
  KeepSteps keep_;
  std::int32_t* row_ = nullptr;  // [layer][expert] of the open step
  std::vector<std::int64_t> task_tokens_;
  std::size_t cells_;  // of a step
  std::int64_t steps_ = 0;
};

}  // namespace gembench::inline recordings
