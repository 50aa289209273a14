#include "placement/recordings/step_batches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline recordings {
namespace {

using Aim = StepPass::Aim;

// 128 sources x 128 layers x 1024 experts.
constexpr std::size_t kMaxStepCells = std::size_t{1} << 24;
constexpr std::int64_t kMaxCount = std::numeric_limits<std::int32_t>::max();

bool no_tokens(std::span<const std::int64_t> counts) {
  std::int64_t any = 0;
  for (const auto count : counts) any |= count;
  return any == 0;
}

}  // namespace

std::vector<StepRange> StepSurvey::in_order_of_time() const {
  const auto length = gap.end - gap.first;
  if (!circular || length <= idle_at_ends) return {{0, steps}};
  return {{gap.end, steps}, {0, gap.first}};
}

StepBatches::StepBatches(const RecordingInput& input, RecordedShape shape, StepPass& pass)
    : name_(name_of(input)), input_(input), shape_(std::move(shape)), pass_(pass) {
  const auto sources = std::max(1, shape_.sources);
  if (shape_.layers < 1 || shape_.experts < 1 || shape_.experts > kMaxExperts)
    throw usage_error(fmt::format("{} has {} layers of {} experts; a recording has 1 to {}", name_,
                                  shape_.layers, shape_.experts, kMaxExperts));
  step_size_ = checked_product({shape_.layers, sources, shape_.experts}, name_);
  row_size_ = static_cast<std::size_t>(sources) * static_cast<std::size_t>(shape_.experts);
  if (step_size_ > kMaxStepCells)
    throw usage_error(
        fmt::format("{} has steps of {} layers x {} sources x {} experts, more than "
                    "the {} counts accepted",
                    name_, shape_.layers, sources, shape_.experts, kMaxStepCells));
  auto& survey = pass_.survey;
  if (pass_.aim != Aim::keep) {
    survey.circular = shape_.circular;
    survey.experts = shape_.experts;
    survey.rows.assign(static_cast<std::size_t>(shape_.layers), 0);
    if (input.experts > 0 && shape_.experts > input.experts)
      survey.shared = static_cast<int>(shape_.experts - input.experts);
    else
      require_stated(name_, "experts", shape_.experts, input.experts);
    if (shape_.topk != 0 && survey.shared == 0)
      require_stated(name_, "topk", shape_.topk, input.topk);
  }
  batch_.experts = static_cast<int>(shape_.experts) - survey.shared;
  batch_.topk = shape_.topk != 0 ? shape_.topk : input.topk;
  batch_.sources = shape_.sources;
  batch_.source = name_;
  if (pass_.aim == Aim::add_up) pass_.totals.counts.assign(step_size_, 0);
  if (pass_.aim != Aim::keep) return;
  if (std::ssize(survey.rows) != shape_.layers || survey.experts != shape_.experts)
    throw usage_error(name_ + " was changed while it was read; import it again");
  settle_layers();
}

void StepBatches::refuse(std::size_t row, const std::string& why) const {
  const auto layer =
      shape_.layer_ids.empty() ? static_cast<std::int32_t>(row) : shape_.layer_ids[row];
  throw usage_error(fmt::format("{}: step {}, layer {}: {}", name_, steps_, layer, why));
}

void StepBatches::settle_layers() {
  const auto& rows = pass_.survey.rows;
  for (std::size_t row = 0; row < rows.size(); ++row)
    if (rows[row] != 0) rows_.push_back(row);
  batch_.layers = static_cast<int>(rows_.size());
  require_stated(name_, "layers", batch_.layers, input_.layers);
  const bool some_left_out = batch_.layers < shape_.layers;
  if (some_left_out || !shape_.layer_ids.empty())
    for (const auto row : rows_)
      batch_.layer_ids.push_back(shape_.layer_ids.empty() ? static_cast<std::int32_t>(row)
                                                          : shape_.layer_ids[row]);
  batch_.model_layers = shape_.model_layers;
  if (some_left_out && shape_.layer_ids.empty())
    batch_.model_layers = static_cast<int>(shape_.layers);
  const auto& survey = pass_.survey;
  if (survey.shared == 0) return;
  if (input_.topk != survey.topk + survey.shared)  // as engines with fused ones count
    require_stated(name_, "topk", survey.topk, input_.topk);
  batch_.topk = survey.topk;
}

/// A row is looked at once, so that no loop behind this one can overflow.
void StepBatches::check_row(std::span<const std::int64_t> row, std::size_t at) const {
  const auto experts = static_cast<std::size_t>(shape_.experts);
  const auto most = pass_.aim == Aim::add_up ? std::numeric_limits<std::int64_t>::max() : kMaxCount;
  std::int64_t bad = 0;
  for (const auto count : row) bad |= count;
  if (bad < 0)
    refuse(at, fmt::format("a count is {}; it cannot be negative",
                           *std::find_if(row.begin(), row.end(), [](auto c) { return c < 0; })));
  if (bad > most) refuse(at, "a count does not fit 32 bits; record fewer passes in a step");
  if (shape_.sources < 2) return;
  for (std::size_t e = 0; e < experts; ++e) {
    std::int64_t sum = 0;
    for (auto from = e; from < row.size(); from += experts)
      if (__builtin_add_overflow(sum, row[from], &sum) || sum > most)
        refuse(at, fmt::format("a count does not fit {} bits; record fewer passes in a step",
                               pass_.aim == Aim::add_up ? 64 : 32));
  }
}

/// Whether every token of the row has had each of the surplus experts, and what is left is top-k.
void StepBatches::look_for_shared(std::span<const std::int64_t> row) {
  auto& survey = pass_.survey;
  const auto experts = static_cast<std::size_t>(shape_.experts);
  const auto routed = experts - static_cast<std::size_t>(survey.shared);
  for (std::size_t from = 0; from < row.size(); from += experts) {
    const auto source = row.subspan(from, experts);
    const auto tokens = source[routed];
    std::int64_t sum = 0;
    bool same = true;
    for (std::size_t e = 0; e < experts; ++e) {
      if (e < routed) same = !__builtin_add_overflow(sum, source[e], &sum) && same;
      if (e >= routed) same = same && source[e] == tokens;
    }
    if (same && tokens == 0 && sum == 0) continue;
    same = same && tokens > 0 && sum > 0 && sum % tokens == 0 &&
           sum / tokens <= static_cast<std::int64_t>(routed);
    if (same && survey.topk == 0) survey.topk = static_cast<int>(sum / tokens);
    survey.shared_only = survey.shared_only && same && sum / tokens == survey.topk;
  }
}

void StepBatches::end_idle_run() {
  auto& survey = pass_.survey;
  const bool first = idle_ == steps_;
  if (first) {
    survey.idle_at_ends += idle_;
  } else if (idle_ > survey.gap.end - survey.gap.first) {
    survey.gap = {steps_ - idle_, steps_};
  }
  idle_ = 0;
}

void StepBatches::look(std::span<const std::int64_t> counts) {
  auto& survey = pass_.survey;
  end_idle_run();
  for (std::size_t at = 0; at < survey.rows.size(); ++at) {
    const auto cells = row(counts, at);
    check_row(cells, at);
    if (no_tokens(cells)) continue;
    survey.rows[at] = 1;
    if (survey.shared > 0) look_for_shared(cells);
  }
  const bool nothing_to_wait_for = !survey.any && pass_.aim == Aim::survey && !shape_.circular &&
                                   survey.shared == 0 &&
                                   std::ranges::find(survey.rows, 0) == survey.rows.end();
  survey.any = true;
  if (!nothing_to_wait_for) return;
  pass_.aim = Aim::keep;
  settle_layers();
  for (std::size_t i = 0; i < static_cast<std::size_t>(survey.idle); ++i)
    add_idle_step(i < idle_phases_.size() ? idle_phases_[i] : -1);
}

void StepBatches::add_up(std::span<const std::int64_t> counts) {
  auto& totals = pass_.totals.counts;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (__builtin_add_overflow(totals[i], counts[i], &totals[i]))
      refuse(i / row_size_, "the counts do not sum up to 64 bits; import fewer steps");
}

void StepBatches::add_row(std::span<const std::int64_t> row) {
  const auto experts = static_cast<std::size_t>(shape_.experts);
  const auto kept = static_cast<std::size_t>(batch_.experts);
  const auto first = batch_.tokens.size();
  batch_.tokens.resize(first + kept);
  for (std::size_t from = 0; from < row.size(); from += experts)
    for (std::size_t e = 0; e < kept; ++e)
      batch_.tokens[first + e] += static_cast<std::int32_t>(row[from + e]);
  if (shape_.sources == 0) return;
  for (std::size_t from = 0; from < row.size(); from += experts)
    for (std::size_t e = 0; e < kept; ++e)
      batch_.source_tokens.push_back(static_cast<std::int32_t>(row[from + e]));
}

void StepBatches::add_idle_step(std::int32_t phase) {
  const auto row =
      static_cast<std::size_t>(batch_.layers) * static_cast<std::size_t>(batch_.experts);
  batch_.tokens.resize(batch_.tokens.size() + row);
  batch_.source_tokens.resize(batch_.source_tokens.size() +
                              row * static_cast<std::size_t>(shape_.sources));
  end_step(phase);
}

void StepBatches::end_step(std::int32_t phase) {
  ++batch_.steps;
  if (phase >= 0) batch_.phase.push_back(phase);
  hand_on();
}

void StepBatches::hand_on() {
  const auto bytes = (batch_.tokens.size() + batch_.source_tokens.size()) * sizeof(std::int32_t);
  if (bytes < kBatchBytes) return;
  Trace next = slice(batch_, 0, 0);
  std::swap(next, batch_);
  (*pass_.keep)(std::move(next));
}

void StepBatches::pass_on(std::span<const std::int64_t> counts, std::int32_t phase) {
  std::size_t next = 0;
  for (std::size_t at = 0; at < static_cast<std::size_t>(shape_.layers); ++at) {
    const auto cells = row(counts, at);
    check_row(cells, at);
    if (next < rows_.size() && rows_[next] == at) {
      add_row(cells);
      ++next;
    } else if (!no_tokens(cells)) {
      refuse(at, "it was changed while it was read; import it again");
    }
  }
  end_step(phase);
}

void StepBatches::add(std::span<const std::int64_t> counts, std::int32_t phase) {
  const bool idle = no_tokens(counts);
  if (!idle && pass_.aim != Aim::keep) look(counts);
  if (pass_.aim == Aim::add_up) add_up(counts);
  if (pass_.aim == Aim::keep && steps_ >= pass_.range.first && steps_ < pass_.range.end) {
    if (!idle) pass_on(counts, phase);
    if (idle && !shape_.circular) add_idle_step(phase);
  }
  if (idle) ++idle_;
  if (idle && pass_.aim != Aim::keep) {
    ++pass_.survey.idle;
    if (!pass_.survey.any && phase >= 0) idle_phases_.push_back(phase);
  }
  ++steps_;
}

std::vector<std::string> StepBatches::finish() {
  auto& survey = pass_.survey;
  if (!survey.any)
    throw usage_error(
        fmt::format("{} has no token in any of its {} steps; record some traffic", name_, steps_));
  if (survey.shared > 0 && !survey.shared_only)
    require_stated(name_, "experts", shape_.experts, input_.experts);
  if (pass_.aim == Aim::keep && batch_.steps > 0) (*pass_.keep)(std::move(batch_));
  if (rows_.empty()) {  // the first reading
    survey.idle_at_ends += idle_;
    survey.steps = steps_;
    settle_layers();
  }
  if (pass_.aim == Aim::add_up) {
    auto& [shape, counts] = pass_.totals;
    std::vector<std::int64_t> kept;
    for (const auto at : rows_)
      for (std::size_t e = 0; e < static_cast<std::size_t>(batch_.experts); ++e) {
        std::int64_t sum = 0;
        for (auto from = e; from < row_size_; from += static_cast<std::size_t>(shape_.experts))
          if (__builtin_add_overflow(sum, counts[at * row_size_ + from], &sum))
            refuse(at, "the counts do not sum up to 64 bits; import fewer steps");
        kept.push_back(sum);
      }
    counts = std::move(kept);
    shape = batch_;
    shape.steps = 1;
    shape.sources = 0;
  }
  return notes();
}

std::vector<std::string> StepBatches::notes() const {
  const auto& survey = pass_.survey;
  std::vector<std::string> notes;
  if (const auto dense = shape_.layers - static_cast<std::int64_t>(rows_.size()); dense > 0)
    notes.push_back(fmt::format("left out {} layers without tokens, which are dense", dense));
  if (shape_.circular && survey.idle > 0)
    notes.push_back(fmt::format(
        "left out {} steps without tokens, unused places of the ring buffer{}", survey.idle,
        survey.in_order_of_time().size() > 1 ? "; steps behind them are older and come first"
                                             : ""));
  if (survey.shared > 0)
    notes.push_back(fmt::format(
        "left out experts {} to {}, which every token has: shared experts fused into the layer; "
        "top-k is {}",
        shape_.experts - survey.shared, shape_.experts - 1, survey.topk));
  return notes;
}

}  // namespace gembench::inline recordings
