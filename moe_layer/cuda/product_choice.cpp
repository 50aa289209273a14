#include "moe_layer/cuda/product_choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "moe_layer/model/weights.hpp"

namespace gembench::inline cuda {

std::vector<std::int64_t> ProductChoice::sizes_up_to(std::int64_t most) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = 1; size < most; size *= 2) sizes.push_back(size);
  if (most > 0) sizes.push_back(most);
  return sizes;
}

bool ProductChoice::alike(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b) {
  constexpr float kTolerance = 0.02F;  // of the largest value
  float largest = 0, apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float x = from_bf16(a[i]), y = from_bf16(b[i]);
    if (!std::isfinite(x) || !std::isfinite(y)) return false;
    largest = std::max({largest, std::abs(x), std::abs(y)});
    apart = std::max(apart, std::abs(x - y));
  }
  return apart <= kTolerance * largest;
}

void ProductChoice::decide(const Comm& comm, std::span<const Timed> timed, bool wrong) {
  constexpr double kNano = 1e9;
  // Below that the times of two runs may name other ways, and the ways differ in their last bits.
  constexpr double kLead = 0.05;
  std::vector<std::int64_t> sums;  // ns of both ways at each load, then ranks with wrong results
  for (const Timed& one : timed) {
    sums.push_back(std::llround(one.one_by_one * kNano));
    sums.push_back(std::llround(one.grouped * kNano));
  }
  sums.push_back(wrong ? 1 : 0);
  comm.sum_in_place(sums);
  wrong_ = sums.back() > 0;
  ways_.clear();
  for (std::size_t i = 0; i < timed.size(); ++i) {
    const auto one_by_one = static_cast<double>(sums[2 * i]);
    const auto grouped = static_cast<double>(sums[2 * i + 1]);
    ways_.push_back({timed[i].pairs, !wrong_ && one_by_one >= (1 - kLead) * grouped});
  }
}

bool ProductChoice::groups(std::int64_t pairs) const {
  if (ways_.empty()) return true;
  const auto way = std::ranges::lower_bound(ways_, pairs, {}, &Way::pairs);
  return way == ways_.end() ? ways_.back().grouped : way->grouped;
}

std::string ProductChoice::words() const {
  if (wrong_) return "one by one: what cuBLAS's grouped call computed was wrong";
  if (ways_.empty()) return "grouped";
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    if (i + 1 < ways_.size() && ways_[i + 1].grouped == ways_[i].grouped) continue;
    parts.push_back(fmt::format("{} up to {} assignments",
                                ways_[i].grouped ? "grouped" : "one by one", ways_[i].pairs));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace gembench::inline cuda
