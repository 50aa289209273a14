#include "placement/recordings/step_batches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline recordings {
namespace {

// 128 sources x 128 layers x 1024 experts.
constexpr std::size_t kMaxStepCells = std::size_t{1} << 24;

bool no_tokens(std::span<const std::int64_t> counts) {
  std::int64_t any = 0;
  for (const auto count : counts) any |= count;
  return any == 0;
}

/// `what` as --what and --model state it.
void require_stated(const std::string& name, const char* what, std::int64_t has, int stated) {
  if (stated != 0 && has != stated)
    throw usage_error(fmt::format("{} has {} = {} but {} was stated; correct --{} or --model", name,
                                  what, has, stated, what));
}

}  // namespace

StepBatches::StepBatches(const RecordingInput& input, RecordedShape shape, const KeepSteps& keep)
    : name_(name_of(input)), input_(input), shape_(std::move(shape)), keep_(keep) {
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
  require_stated(name_, "experts", shape_.experts, input.experts);
  if (shape_.topk != 0) require_stated(name_, "topk", shape_.topk, input.topk);
  batch_.experts = static_cast<int>(shape_.experts);
  batch_.topk = shape_.topk != 0 ? shape_.topk : input.topk;
  batch_.sources = shape_.sources;
  batch_.source = name_;
}

void StepBatches::refuse(std::size_t row, const std::string& why) const {
  const auto layer =
      shape_.layer_ids.empty() ? static_cast<std::int32_t>(row) : shape_.layer_ids[row];
  throw usage_error(fmt::format("{}: step {}, layer {}: {}", name_, steps_, layer, why));
}

void StepBatches::settle_layers(std::span<const std::int64_t> counts) {
  for (std::size_t row = 0; row < static_cast<std::size_t>(shape_.layers); ++row)
    if (!no_tokens(counts.subspan(row * row_size_, row_size_))) rows_.push_back(row);
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
}

void StepBatches::add_row(std::span<const std::int64_t> row, std::size_t at) {
  const auto experts = static_cast<std::size_t>(shape_.experts);
  const auto first = batch_.tokens.size();
  batch_.tokens.resize(first + experts);
  std::int64_t bad = 0;  // looked at once a row: nothing that the loops below may not do to it
  for (std::size_t from = 0; from < row.size(); from += experts)
    for (std::size_t e = 0; e < experts; ++e) {
      const auto count = row[from + e];
      const auto sum =
          batch_.tokens[first + e] + (count & std::numeric_limits<std::int32_t>::max());
      bad |= (count | sum) >> 31;
      batch_.tokens[first + e] = static_cast<std::int32_t>(sum);
    }
  if (bad != 0) {
    const auto wrong = std::find_if(row.begin(), row.end(), [](auto c) { return c < 0; });
    if (wrong != row.end()) refuse(at, fmt::format("a count is {}; it cannot be negative", *wrong));
    refuse(at, "a count does not fit 32 bits; record fewer passes in a step");
  }
  if (shape_.sources == 0) return;
  for (const auto count : row) batch_.source_tokens.push_back(static_cast<std::int32_t>(count));
}

void StepBatches::add_idle_steps() {
  for (; idle_ > 0; --idle_) {
    const auto row =
        static_cast<std::size_t>(batch_.layers) * static_cast<std::size_t>(shape_.experts);
    batch_.tokens.resize(batch_.tokens.size() + row);
    batch_.source_tokens.resize(batch_.source_tokens.size() +
                                row * static_cast<std::size_t>(shape_.sources));
    ++batch_.steps;
    hand_on();
  }
}

void StepBatches::hand_on() {
  const auto bytes = (batch_.tokens.size() + batch_.source_tokens.size()) * sizeof(std::int32_t);
  if (bytes < kBatchBytes) return;
  Trace next = slice(batch_, 0, 0);
  std::swap(next, batch_);
  keep_(std::move(next));
}

void StepBatches::add(std::span<const std::int64_t> counts) {
  if (no_tokens(counts)) {
    ++idle_;
    ++steps_;
    return;
  }
  if (rows_.empty()) settle_layers(counts);
  add_idle_steps();
  std::size_t next = 0;
  for (std::size_t row = 0; row < static_cast<std::size_t>(shape_.layers); ++row) {
    const auto cells = counts.subspan(row * row_size_, row_size_);
    if (next < rows_.size() && rows_[next] == row) {
      add_row(cells, row);
      ++next;
    } else if (!no_tokens(cells)) {
      refuse(row, "it has tokens, but had none in steps before; it was taken for a dense layer");
    }
  }
  ++batch_.steps;
  ++steps_;
  hand_on();
}

std::vector<std::string> StepBatches::finish(IdleEnd idle_end) {
  std::vector<std::string> left_out;
  if (rows_.empty())
    throw usage_error(
        fmt::format("{} has no token in any of its {} steps; record some traffic", name_, steps_));
  if (const auto dense = shape_.layers - batch_.layers; dense > 0)
    left_out.push_back(fmt::format("{} layers without tokens, which are dense", dense));
  if (idle_end == IdleEnd::drop && idle_ > 0)
    left_out.push_back(fmt::format("{} steps without tokens at the end", idle_));
  if (idle_end == IdleEnd::keep) add_idle_steps();
  if (batch_.steps > 0) keep_(std::move(batch_));
  return left_out;
}

}  // namespace gembench::inline recordings
