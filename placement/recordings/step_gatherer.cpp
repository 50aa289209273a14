#include "placement/recordings/step_gatherer.hpp"

#include <algorithm>
#include <utility>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline recordings {
namespace {

std::size_t bytes_of(const Trace& trace) {
  return trace.tokens.size() * sizeof(trace.tokens[0]) +
         trace.topk_ids.size() * sizeof(trace.topk_ids[0]);
}

}  // namespace

StepGatherer::StepGatherer(const Trace& shape, bool keep_ids, KeepSteps keep)
    : gathered_(slice(shape, 0, 0)),
      keep_ids_(keep_ids),
      keep_(std::move(keep)),
      cells_(checked_product({shape.layers, shape.experts}, "the recording")) {}

void StepGatherer::open_step() {
  gathered_.tokens.resize(gathered_.tokens.size() + cells_);
  row_ = gathered_.tokens.data() + gathered_.tokens.size() - cells_;
}

void StepGatherer::add(std::span<const std::uint16_t> ids, std::int32_t task) {
  if (!row_) open_step();
  const auto experts = static_cast<std::size_t>(gathered_.experts);
  const auto topk = static_cast<std::size_t>(gathered_.topk);
  const auto* id = ids.data();
  for (auto* row = row_; row != row_ + cells_; row += experts)
    for (std::size_t j = 0; j < topk; ++j) ++row[*id++];
  if (keep_ids_) gathered_.topk_ids.insert(gathered_.topk_ids.end(), ids.begin(), ids.end());
  if (task < 0) return;
  const auto label = static_cast<std::size_t>(task);
  if (label >= task_tokens_.size()) task_tokens_.resize(label + 1);
  ++task_tokens_[label];
}

void StepGatherer::end_step(std::int32_t phase) {
  if (!row_) open_step();
  row_ = nullptr;
  ++steps_;
  ++gathered_.steps;
  if (phase >= 0) gathered_.phase.push_back(phase);
  if (!task_tokens_.empty()) {
    const auto most = std::max_element(task_tokens_.begin(), task_tokens_.end());
    gathered_.task.push_back(static_cast<std::int32_t>(most - task_tokens_.begin()));
    std::fill(task_tokens_.begin(), task_tokens_.end(), 0);
  }
  if (bytes_of(gathered_) >= kBatchBytes) finish();
}

void StepGatherer::finish() {
  if (gathered_.steps == 0) return;
  Trace next = slice(gathered_, 0, 0);
  std::swap(next, gathered_);
  keep_(std::move(next));
}

}  // namespace gembench::inline recordings
