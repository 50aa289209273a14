#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace gembench::inline results {

/// Where to keep each value of a series that may become longer than the room for it, so that what
/// is kept is spread over all of it. As long as there is room, every value has the next row. Then
/// every second value replaces one of the odd ones, the oldest first; when those are used up, every
/// fourth replaces every second of what is left; and so on. So at least half of the room is always
/// used, neighbours are at most 2 strides apart, and no row but the replaced one is ever written.
/// Rows are then not in order of time.
class ThinnedRows {
 public:
  /// `room`: even, at least 2.
  explicit ThinnedRows(std::size_t room) : room_(room) {}

  /// The row for the next value; none: it is left out.
  [[nodiscard]] std::optional<std::size_t> next() {
    if (offered_++ % stride_ != 0) return std::nullopt;
    if (used_ < room_) return used_++;
    if (order_.empty() || replaced_ == room_ / 2) begin_round();
    if (replaced_ == 0) stride_ *= 2;
    return order_[2 * replaced_++ + 1];
  }
  /// The values so far were themselves kept as one of `stride`; those that follow are not yet.
  void go_on_with(std::size_t stride) {
    stride_ = std::max(stride_, stride);
    offered_ = 0;
  }
  /// Whether rows that are given out hold an older value.
  [[nodiscard]] bool replaces() const { return used_ == room_; }
  /// Of so many values one is kept.
  [[nodiscard]] std::size_t stride() const { return stride_; }

 private:
  /// The rows by the time of what they hold: those that stayed, then those that were replaced.
  void begin_round() {
    if (order_.empty()) {
      order_.resize(room_);
      std::iota(order_.begin(), order_.end(), std::size_t{0});
      return;
    }
    std::vector<std::size_t> order;
    order.reserve(order_.size());
    for (std::size_t first : {std::size_t{0}, std::size_t{1}}) {
      for (std::size_t i = first; i < order_.size(); i += 2) order.push_back(order_[i]);
    }
    order_ = std::move(order);
    replaced_ = 0;
  }

  std::size_t room_;
  std::vector<std::size_t> order_;  // rows by time when the round began; empty: none is full
  std::size_t offered_ = 0, stride_ = 1, used_ = 0, replaced_ = 0;
};

}  // namespace gembench::inline results
