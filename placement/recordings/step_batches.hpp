#pragma once

#include <cstdint>
#include <limits>
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
  /// The steps are places of a ring buffer; those without tokens were never used.
  bool circular = false;
};

/// Steps [first, end) of a file.
struct StepRange {
  std::int64_t first = 0, end = std::numeric_limits<std::int64_t>::max();
};

/// What the steps of a recording hold, which is known only after its last one.
struct StepSurvey {
  bool circular = false;
  std::int64_t steps = 0, idle = 0;  ///< idle: without a token
  std::int64_t experts = 0;          ///< of a layer, those of `shared` included
  std::vector<char> rows;            ///< [row] has a token in some step
  StepRange gap{0, 0};               ///< the longest run of idle steps between others
  std::int64_t idle_at_ends = 0;     ///< idle steps at the beginning and the end
  bool any = false, shared_only = true;
  int shared = 0;  ///< experts beyond the stated ones; accepted if every token has had them all
  int topk = 0;    ///< with shared experts: choices of a token without them

  /// A ring buffer that was emptied goes on where it was, so that the gap is where time begins.
  [[nodiscard]] std::vector<StepRange> in_order_of_time() const;
};

/// One reading of a recording's files. A layer is dense only if it has no token in any step, and
/// files may be larger than memory: so a first reading surveys all steps, unless the first step has
/// tokens in every layer, and others pass them on.
struct StepPass {
  enum class Aim { survey, keep, add_up };
  Aim aim = Aim::survey;  ///< a survey may become `keep`
  const KeepSteps* keep = nullptr;
  StepRange range;  ///< that is kept
  StepSurvey survey;
  RunTotals totals;  ///< of add_up, complete after finish()
};

/// Takes the steps of a file, one after another, as the pass wants it. Leaves out dense layers, and
/// the unused places of ring buffers.
class StepBatches {
 public:
  /// Usage error for an impossible shape and for one that differs from what the user stated, both
  /// before anything of that size is allocated.
  StepBatches(const RecordingInput& input, RecordedShape shape, StepPass& pass);

  [[nodiscard]] std::size_t step_size() const { return step_size_; }
  /// One step, [row][source][expert], of step_size(). Usage error for a count that is negative or
  /// does not fit (32 bits; 64 in totals). `phase` is that of a trace; -1: unknown. All steps have
  /// one, or none.
  void add(std::span<const std::int64_t> counts, std::int32_t phase = -1);
  /// After the last step. Usage error if no step has a token. Returns what the user must know.
  std::vector<std::string> finish();

 private:
  void look(std::span<const std::int64_t> counts);
  void check_row(std::span<const std::int64_t> row, std::size_t at) const;
  void look_for_shared(std::span<const std::int64_t> row);
  void end_idle_run();
  void settle_layers();
  void add_up(std::span<const std::int64_t> counts);
  void pass_on(std::span<const std::int64_t> counts, std::int32_t phase);
  void add_row(std::span<const std::int64_t> row);
  void add_idle_step(std::int32_t phase);
  void end_step(std::int32_t phase);
  void hand_on();
  [[nodiscard]] std::vector<std::string> notes() const;
  [[nodiscard]] std::span<const std::int64_t> row(std::span<const std::int64_t> counts,
                                                  std::size_t at) const {
    return counts.subspan(at * row_size_, row_size_);
  }
  [[noreturn]] void refuse(std::size_t row, const std::string& why) const;

  std::string name_;
  const RecordingInput& input_;
  RecordedShape shape_;
  StepPass& pass_;
  std::size_t row_size_ = 0, step_size_ = 0;
  std::vector<std::size_t> rows_;  ///< that are MoE layers; empty until they are settled
  Trace batch_;
  std::int64_t steps_ = 0;                 ///< seen
  std::int64_t idle_ = 0;                  ///< the last ones of them without tokens
  std::vector<std::int32_t> idle_phases_;  ///< of the first steps, which have no tokens
};

}  // namespace gembench::inline recordings
