#include "moe_layer/profiler/received_load.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "moe_layer/model/routing.hpp"

namespace gembench {
namespace {

/// Steps of 12 tokens, top-2 of 8 experts, the first experts hotter.
Trace some_trace() {
  Trace trace;
  trace.steps = 3;
  trace.layers = 2;
  trace.experts = 8;
  trace.topk = 2;
  for (int i = 0; i < trace.steps * trace.layers; ++i) {
    for (const std::int32_t n : {9 - i, 5, 4, 3 + i, 2, 1, 0, 0}) trace.tokens.push_back(n);
  }
  validate(trace);
  return trace;
}

Placement in_order(int layers, int ranks, int experts) {
  Placement placement = empty_placement(layers, ranks, experts);
  for (std::size_t i = 0; i < placement.slot_expert.size(); ++i) {
    placement.slot_expert[i] = static_cast<std::int32_t>(i) % experts;
  }
  return placement;
}

/// What experts() is promised: rows in order, each with its pairs side by side on distinct slots.
void expect_sound(const ReceivedLoad& load) {
  std::vector<std::int32_t> counted(load.slot_tokens.size(), 0);
  std::set<std::pair<std::int32_t, std::int32_t>> seen;
  std::int32_t row = 0;
  for (const Pair& pair : load.pairs) {
    EXPECT_TRUE(pair.row == row || pair.row == row + 1);
    row = pair.row;
    EXPECT_TRUE(seen.insert({pair.row, pair.slot}).second) << "one expert twice in a row";
    ++counted[static_cast<std::size_t>(pair.slot)];
    EXPECT_GT(pair.weight, 0);
  }
  EXPECT_EQ(load.rows, load.pairs.empty() ? 0 : row + 1);
  EXPECT_EQ(counted, load.slot_tokens);
}

TEST(EvenLoads, are_spread_over_the_active_experts_on_as_many_rows_as_a_run_has) {
  for (const std::int64_t tokens : {0, 1, 7, 64, 1000}) {
    for (const int active : {1, 2, 8}) {
      for (const double share : {0.3, 0.7, 1.0}) {
        const ReceivedLoad load = even_load({tokens, active, 5, 8, 1000, share});
        expect_sound(load);
        EXPECT_EQ(static_cast<std::int64_t>(load.pairs.size()), tokens);
        const auto busy = std::ranges::count_if(load.slot_tokens, [](auto n) { return n > 0; });
        EXPECT_EQ(busy, std::min<std::int64_t>(tokens, active));
        const auto [least, most] = std::ranges::minmax(load.slot_tokens);
        EXPECT_LE(most * active, tokens + tokens * 3 / 13 + active);
        if (active == 8) {
          EXPECT_GE((least + 1) * active, tokens - tokens * 3 / 13);
          EXPECT_NEAR(load.rows, std::max(share, 1 / 8.0) * static_cast<double>(tokens), 1);
        }
      }
    }
  }
}

/// Whole tiles are fast, the numbers between them slow; a run meets both.
TEST(EvenLoads, meet_row_counts_all_over_a_tile) {
  constexpr int kTile = 16;
  for (const int each : {32, 64, 96, 128, 256, 320, 512, 1024}) {
    for (const int active : {4, 8, 16}) {
      const auto load = even_load({std::int64_t{each} * active, active, 0, 16, 4096, 1});
      std::set<int> rests;
      double wasted = 0;  // rows, were they padded to tiles
      for (const std::int32_t n : load.slot_tokens) {
        if (n == 0) continue;
        rests.insert(n % kTile);
        wasted += static_cast<double>((kTile - n % kTile) % kTile) / active;
      }
      EXPECT_GE(static_cast<int>(rests.size()), active / 2) << each << " on " << active;
      EXPECT_NEAR(wasted, kTile / 2.0, kTile / 4.0) << each << " on " << active;
    }
  }
}

TEST(EvenLoads, have_no_more_rows_than_there_is_room_for) {
  const ReceivedLoad full = even_load({800, 8, 0, 8, 100, 1});
  expect_sound(full);
  EXPECT_EQ(full.rows, 100);
  EXPECT_EQ(full.slot_tokens, std::vector<std::int32_t>(8, 100));
  EXPECT_EQ(even_load({1000, 8, 0, 8, 300, 0.9}).rows, 300);
}

TEST(RoutedLoads, of_all_ranks_are_a_layer_of_the_trace) {
  const Trace trace = some_trace();
  for (const int ranks : {1, 2, 4, 8}) {
    const Placement placement = in_order(trace.layers, ranks, trace.experts);
    const RoutedLoads loads(trace, placement, 8, 5);
    ASSERT_EQ(loads.count(), 8U);
    double rows = 0;
    bool dealt_anew = false;
    for (std::size_t i = 0; i < loads.count(); ++i) {
      std::vector<std::int32_t> all;
      for (int rank = 0; rank < ranks; ++rank) {
        const ReceivedLoad load = loads.of(rank, i);
        expect_sound(load);
        rows += load.rows;
        all.insert(all.end(), load.slot_tokens.begin(), load.slot_tokens.end());
      }
      bool as_placed = false;
      auto sorted = all;
      std::ranges::sort(sorted);
      bool some_layer = false;
      for (int step = 0; step < trace.steps; ++step) {
        for (int layer = 0; layer < trace.layers; ++layer) {
          const auto loads_here = trace.loads(step, layer);
          std::vector<std::int32_t> there(loads_here.begin(), loads_here.end());
          as_placed |= all == there;
          std::ranges::sort(there);
          some_layer |= sorted == there;
        }
      }
      EXPECT_TRUE(some_layer) << i;
      EXPECT_TRUE(as_placed || i % 2 == 1) << i;
      dealt_anew |= !as_placed;
    }
    EXPECT_TRUE(dealt_anew) << "ranks meet other experts too";
    EXPECT_NEAR(loads.rows_per_pair(), rows / (8.0 * 12 * 2), 1e-12);
  }
}

TEST(RoutedLoads, replay_recorded_ids) {
  Trace trace = some_trace();
  const Trace counts = trace;
  for (int step = 0; step < trace.steps; ++step) {
    std::vector<std::vector<std::uint16_t>> layers;
    for (int layer = 0; layer < trace.layers; ++layer) {
      layers.push_back(layer_ids(counts, step, layer, 99));
    }
    for (std::size_t token = 0; token < 12; ++token) {
      for (const auto& ids : layers) {
        trace.topk_ids.insert(trace.topk_ids.end(), {ids[token * 2], ids[token * 2 + 1]});
      }
    }
  }
  validate(trace);
  EXPECT_EQ(layer_ids(trace, 2, 1, 5), layer_ids(counts, 2, 1, 99)) << "whatever the seed";
  const auto all = routed_ids(trace, 1, 5, {3, 4});
  const auto layer = layer_ids(trace, 1, 1, 5);
  EXPECT_TRUE(std::equal(all.begin() + 8, all.end(), layer.begin() + 6));
}

TEST(RoutedLoads, are_none_without_steps) {
  Trace none;
  none.layers = 2;
  none.experts = 8;
  none.topk = 2;
  const RoutedLoads loads(none, in_order(2, 2, 8), 8, 5);
  EXPECT_EQ(loads.count(), 0U);
  EXPECT_EQ(loads.rows_per_pair(), 1);
}

}  // namespace
}  // namespace gembench
