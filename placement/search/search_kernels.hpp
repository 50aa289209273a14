#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "placement/search/search_costs.hpp"

namespace gembench::inline search {

/// Code paths of the two innermost loops. All give the same bits: one compares whole numbers, the
/// other always sums in eight lanes, for any vector width of the machine.
enum class Isa { plain, avx2, avx512 };

/// The widest path that this CPU supports.
[[nodiscard]] Isa best_isa();
/// Whether this CPU (and compiler) supports a path.
[[nodiscard]] bool has_isa(Isa isa);

/// The units that two ranks would gain and lose, step by step, if one expert of each were swapped.
template <class Units>
struct Exchange {
  const Units* a_out;  ///< [step] units rank a loses
  const Units* a_in;   ///< [step] units it gets
  const Units* b_out;
  const Units* b_in;
  const Units* a_room;  ///< [step] units it can grow by without becoming the slowest rank
  const Units* b_room;
};

/// Units a rank with `load` can grow by without exceeding `within`, as far as Units can say.
template <class Units>
[[nodiscard]] inline Units room_units(std::int32_t within, std::int32_t load) {
  const auto room = std::int64_t{within} - load;
  return static_cast<Units>(std::clamp<std::int64_t>(room, std::numeric_limits<Units>::min(),
                                                     std::numeric_limits<Units>::max()));
}

/// Steps in which a swap exceeds the room of rank a or b: bit t % 64 of mask[t / 64]. `words` words
/// of 64 steps; in - out must fit Units.
template <class Units>
using StepMask = void (*)(const Exchange<Units>& exchange, std::size_t words, std::uint64_t* mask);

/// The gain of a swap in the steps in which one of its ranks is the slowest. Arrays of `count`
/// steps, a multiple of kLanes; pad with steps of weight 0.
struct CriticalSteps {
  std::size_t count = 0;
  const double* others = nullptr;  ///< seconds of the slowest rank outside the pair
  const double* now = nullptr;     ///< seconds of the slowest of all
  const double* weight = nullptr;
  const double* rest =
      nullptr;  ///< [count / kGainBlock + 1] most that can be gained from a block on
  const double* a_kept = nullptr;          ///< load of rank a without the expert that leaves
  const double* a_in = nullptr;            ///< units it gets
  const double* b_with = nullptr;          ///< load of rank b with the expert that comes
  const double* b_out = nullptr;           ///< units it loses
  std::span<const RankCost::Line> a_cost;  ///< may leave out lines below `others`
  std::span<const RankCost::Line> b_cost;
  const RankCost* a_curve = nullptr;  ///< all of it, looked up where there are more than kFewLines
  const RankCost* b_curve = nullptr;
};
/// Up to this number every line is tried on a whole vector; above it each load's own line is looked
/// up (estimated, not measured).
inline constexpr std::size_t kFewLines = 8;
inline constexpr std::size_t kLanes = 8;
inline constexpr std::size_t kGainBlock = 32;

/// Sum over all steps of weight * (now - slowest afterwards). Nothing as soon as it cannot be above
/// `enough`, except for rounding: a partial sum is never returned.
using CriticalGain = std::optional<double> (*)(const CriticalSteps& steps, double enough);
[[nodiscard]] CriticalGain critical_gain(Isa isa);

/// The function of a path; that of `plain` if the CPU does not support it.
template <class Units>
[[nodiscard]] StepMask<Units> step_mask(Isa isa);

}  // namespace gembench::inline search
