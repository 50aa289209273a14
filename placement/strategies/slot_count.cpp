#include "placement/strategies/slot_count.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "placement/base/error.hpp"

namespace gembench::inline strategies {
namespace {

std::int64_t share(std::int64_t of, std::int64_t ranks) {
  return (of + ranks - 1) / ranks;
}

}  // namespace

SlotCount count_slots(const SlotRequest& request) {
  const auto [ranks, experts, spare, replicas, placed] = request;
  if (ranks < 1 || experts < 1 || spare < 0 || replicas < 0)
    throw usage_error(
        fmt::format("{} ranks, {} experts, {} spare slots and {} replicas; there must be at least "
                    "one rank and one expert, and none of the others below zero",
                    ranks, experts, spare, replicas));
  const auto all = std::int64_t{experts} + replicas;
  if (all < ranks && spare == 0 && placed == 0)
    throw usage_error(
        fmt::format("{} experts{} leave some of {} ranks without any: use at most {} ranks, or add "
                    "--replicas {}",
                    experts, replicas > 0 ? fmt::format(" and {} replicas", replicas) : "", ranks,
                    all, ranks - experts));
  const auto even = share(experts, ranks);
  const auto slots = spare > 0 ? even + spare : share(all, ranks);
  if (slots > experts)
    throw usage_error(fmt::format("{} slots per rank are more than the {} experts: lower --{}",
                                  slots, experts, spare > 0 ? "spare-slots" : "replicas"));
  if (all > ranks * slots)
    throw usage_error(fmt::format(
        "{} replicas per layer do not fit into the {} slots that {} ranks with --spare-slots {} "
        "have besides {} experts: drop --spare-slots, or lower --replicas",
        replicas, ranks * slots - experts, ranks, spare, experts));
  return {static_cast<int>(even), static_cast<int>(slots)};
}

}  // namespace gembench::inline strategies
