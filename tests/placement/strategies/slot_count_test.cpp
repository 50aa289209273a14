#include "placement/strategies/slot_count.hpp"

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

TEST(SlotCount, RanksNeedNotDivideTheExperts) {
  struct Case {
    SlotRequest asked;
    int even, slots;
  };
  for (const auto& [asked, even, slots] : {
           Case{{24, 256, 0, 8}, 11, 11}, Case{{36, 256, 0, 32}, 8, 8},
           Case{{72, 256, 0, 32}, 4, 4}, Case{{144, 256, 0, 32}, 2, 2},
           Case{{320, 256, 0, 64}, 1, 1}, Case{{6, 128, 0, 0}, 22, 22},
           Case{{6, 128, 0, 5}, 22, 23},  // 133 do not fit into 6 x 22
           Case{{6, 128, 2, 0}, 22, 24},
           Case{{16, 128, 1, 16}, 8, 9},  // as many as the spare slots hold
           Case{{16, 128, 2, 1}, 8, 10},  // spare slots are counted from the even share
           Case{{5, 4, 1, 1}, 1, 2},
           Case{{5, 4, 1, 0}, 1, 2},  // what eplb fills and linear leaves empty
           Case{{1, 7, 0, 0}, 7, 7}, Case{{4, 4, 0, 12}, 1, 4},  // every expert everywhere
       }) {
    const auto found = count_slots(asked);
    EXPECT_EQ(found.even, even) << asked.ranks << " ranks, " << asked.experts << " experts";
    EXPECT_EQ(found.slots, slots) << asked.ranks << " ranks, " << asked.experts << " experts";
  }
}

TEST(SlotCount, RefusesWithTheRemedy) {
  const auto refused = [](const char* part, const SlotRequest& asked) {
    expect_refused(part, [&] { (void)count_slots(asked); });
  };
  refused("use at most 4 ranks, or add --replicas 1", {5, 4, 0, 0});
  refused("4 experts and 1 replicas leave some of 6 ranks", {6, 4, 0, 1});
  EXPECT_EQ(count_slots({6, 4, 0, 0, 1}).slots, 1) << "a placement made earlier has replicas";
  refused("9 slots per rank are more than the 8 experts: lower --spare-slots", {4, 8, 7, 0});
  refused("9 slots per rank are more than the 8 experts: lower --replicas", {4, 8, 0, 25});
  refused("5 replicas per layer do not fit into the 4 slots", {4, 8, 1, 5});
  refused("below zero", {4, 8, -1, 0});
  refused("below zero", {4, 8, 0, -1});
  refused("at least one rank", {0, 8, 0, 0});
  refused("lower --replicas", {1, 1, 0, 2147483647});
}

}  // namespace
}  // namespace gembench
