#include "placement/loads/planned_steps.hpp"

#include <algorithm>
#include <unordered_map>

#include "placement/base/random.hpp"

namespace gembench::inline loads {
namespace {

/// Digests that occur once.
class Unique {
 public:
  explicit Unique(const std::vector<std::uint64_t>& digests) {
    for (const auto digest : digests) ++times_[digest];
  }
  [[nodiscard]] bool holds(std::uint64_t digest) const {
    const auto found = times_.find(digest);
    return found != times_.end() && found->second == 1;
  }

 private:
  std::unordered_map<std::uint64_t, int> times_;
};

}  // namespace

TraceDigests digests_of(const Trace& trace) {
  TraceDigests digests;
  digests.steps.reserve(static_cast<std::size_t>(trace.steps));
  for (int step = 0; step < trace.steps; ++step) {
    std::uint64_t digest =
        fold(static_cast<std::uint64_t>(trace.layers), static_cast<std::uint64_t>(trace.experts));
    for (int layer = 0; layer < trace.layers; ++layer) {
      for (const auto tokens : trace.loads(step, layer)) {
        digest = fold(digest, static_cast<std::uint64_t>(tokens));
      }
    }
    digests.steps.push_back(digest);
    digests.trace = fold(digests.trace, digest);
  }
  return digests;
}

PlannedSteps planned_steps(const TraceDigests& trace, int first, int count) {
  const auto begin = trace.steps.begin() + first;
  return {trace.trace, first, {begin, begin + count}};
}

int count_planned(const PlanningRecord& record, const TraceDigests& trace, int first, int count) {
  std::vector<bool> planned(static_cast<std::size_t>(count), false);
  const Unique here(trace.steps);
  for (const PlannedSteps& part : record.parts) {
    const Unique there(part.steps);
    const auto end = std::int64_t{part.first} + static_cast<std::int64_t>(part.steps.size());
    for (int i = 0; i < count; ++i) {
      const int step = first + i;
      const auto digest = trace.steps[static_cast<std::size_t>(step)];
      const bool same = part.trace == trace.trace ? step >= part.first && step < end
                                                  : here.holds(digest) && there.holds(digest);
      if (same) planned[static_cast<std::size_t>(i)] = true;
    }
  }
  return static_cast<int>(std::count(planned.begin(), planned.end(), true));
}

}  // namespace gembench::inline loads
