#include "placement/cost/cost_choice.hpp"

#include <algorithm>
#include <cmath>

#include "placement/base/random.hpp"
#include "placement/speeds/builtin_profiles.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "tests/placement/support.hpp"

// Which cost model explains the loads of a profile that neither was made of.
namespace gembench {
namespace {

using testing::expect_refused;

constexpr int kSlots = 4;

/// Rank r takes `tokens_cost` us a token and `expert_cost` us an active expert, times 1 + r.
double seconds(int rank, std::span<const std::int32_t> tokens, double token_cost,
               double expert_cost) {
  double sum = 0;
  for (const auto n : tokens) sum += n * token_cost + (n > 0 ? expert_cost : 0);
  return (1 + rank) * sum * 1e-6;
}

/// Even loads and uneven ones of ranks that follow that rule.
Profile ruled(double token_cost, double expert_cost) {
  Random random(7);
  Profile profile;
  profile.ranks = 2;
  profile.load_points = {0, 4, 8, 16, 32, 64, 128};
  profile.slots = kSlots;
  profile.routed.points = 6;
  for (int rank = 0; rank < profile.ranks; ++rank) {
    for (const auto load : profile.load_points) {
      const std::vector<std::int32_t> even(kSlots, static_cast<std::int32_t>(load / kSlots));
      profile.latency.push_back(seconds(rank, even, token_cost, expert_cost));
    }
    for (std::size_t point = 0; point < profile.routed.points; ++point) {
      std::vector<std::int32_t> uneven;
      for (int slot = 0; slot < kSlots; ++slot)
        uneven.push_back(random.below(2) == 0 ? 0 : static_cast<std::int32_t>(random.below(30)));
      uneven[0] = 1;
      profile.routed.latency.push_back(seconds(rank, uneven, token_cost, expert_cost));
      profile.routed.tokens.insert(profile.routed.tokens.end(), uneven.begin(), uneven.end());
    }
  }
  profile.spread.assign(profile.latency.size(), 0);
  profile.overhead = {1e-6, 2e-6};
  profile.slowdown = {1, 1};
  return profile;
}

TEST(CostChoice, errors_are_those_of_every_routed_load_counted_one_by_one) {
  Profile profile = ruled(1, 20);
  profile.routed.latency[3] *= 1.5;
  for (const CostKind kind : {CostKind::sum, CostKind::per_expert}) {
    const CostModel cost(profile, kind, kSlots);
    std::vector<double> errors;
    for (int rank = 0; rank < 2; ++rank)
      for (std::size_t point = 0; point < 6; ++point) {
        const std::size_t at = static_cast<std::size_t>(rank) * 6 + point;
        const auto* tokens = &profile.routed.tokens[at * kSlots];
        const double measured =
            profile.routed.latency[at] + profile.overhead[static_cast<std::size_t>(rank)];
        const double predicted = cost.rank_seconds(rank, {tokens, kSlots});
        errors.push_back(std::abs(predicted - measured) / measured);
      }
    std::sort(errors.begin(), errors.end());
    const auto found = routed_error(cost, profile);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->loads, 12);
    EXPECT_NEAR(found->median, (errors[5] + errors[6]) / 2, 1e-12);
    EXPECT_NEAR(found->worst, errors.back(), 1e-12);
  }
}

TEST(CostChoice, is_the_model_that_the_ranks_follow) {
  const CostChoice by_tokens = choose_cost(ruled(1, 0));
  EXPECT_EQ(by_tokens.kind, CostKind::sum) << "equally good: the paper's";
  EXPECT_NEAR(by_tokens.sum->worst, 0, 1e-9);
  const CostChoice by_experts = choose_cost(ruled(1, 20));
  EXPECT_EQ(by_experts.kind, CostKind::per_expert);
  EXPECT_LT(by_experts.per_expert->median, 0.01);
  EXPECT_GT(by_experts.sum->median, 0.1);
}

/// Loads that are even over experts, without routed ones: what others publish.
Profile even_loads(double token_cost, double expert_cost, double floor) {
  Profile profile;
  profile.ranks = 2;
  profile.load_points = {0, 1, 2, 4, 8, 16, 32, 64};
  for (int rank = 0; rank < profile.ranks; ++rank)
    for (const auto load : profile.load_points) {
      const auto active = static_cast<double>(std::min<std::int64_t>(load, 8));
      profile.latency.push_back(
          (1 + rank) * 1e-6 *
          std::max(floor, static_cast<double>(load) * token_cost + active * expert_cost));
    }
  profile.spread.assign(profile.latency.size(), 0);
  profile.overhead = {20e-6, 20e-6};
  profile.slowdown = {1, 1};
  return profile;
}

TEST(CostChoice, without_routed_loads_even_ones_show_whether_active_experts_take_time) {
  const auto chosen = [](const Profile& profile, int slots) {
    return choose_cost(profile, slots).kind;
  };
  const Profile reads_weights = even_loads(0.1, 20, 0), reads_all = even_loads(0.1, 0, 100),
                counts_tokens = even_loads(1, 0, 0);
  EXPECT_EQ(chosen(reads_weights, 8), CostKind::per_expert);
  EXPECT_EQ(chosen(reads_all, 8), CostKind::sum);
  EXPECT_EQ(chosen(counts_tokens, 8), CostKind::sum);
  EXPECT_NEAR(expert_rise(counts_tokens, 8)->steeper, 1, 1e-9);
  EXPECT_EQ(chosen(reads_weights, 0), CostKind::sum) << "experts of a rank are not known";
  EXPECT_FALSE(expert_rise(reads_weights, 1)) << "no load below one token an expert";
  EXPECT_FALSE(expert_rise(reads_weights, 17)) << "none as large as four";
  EXPECT_EQ(chosen(builtin_profile("h100/qwen3-30b-a3b", 8), 16), CostKind::per_expert);
  EXPECT_EQ(chosen(builtin_profile("h100/gpt-oss-20b", 16), 2), CostKind::sum);
}

TEST(CostChoice, without_routed_loads_it_is_the_papers) {
  Profile profile = ruled(1, 20);
  profile.routed = {};
  const CostChoice none = choose_cost(profile);
  EXPECT_EQ(none.kind, CostKind::sum);
  EXPECT_FALSE(none.sum);
  EXPECT_FALSE(none.per_expert);
  EXPECT_EQ(choose_cost(equal_ranks(3, 10)).kind, CostKind::sum);
}

TEST(CostChoice, a_load_of_nothing_says_nothing) {
  Profile profile = ruled(1, 20);
  std::fill_n(profile.routed.tokens.begin(), kSlots, 0);
  profile.routed.latency[0] = 1;
  EXPECT_EQ(choose_cost(profile).per_expert->loads, 11);
  std::fill(profile.routed.tokens.begin(), profile.routed.tokens.end(), 0);
  EXPECT_FALSE(choose_cost(profile).per_expert);
  EXPECT_EQ(choose_cost(profile).kind, CostKind::sum);
}

TEST(CostChoice, slower_ranks_take_as_much_longer_for_routed_loads) {
  Profile stretched = ruled(1, 20), slowed = ruled(1, 20);
  const Profile before = stretched;
  stretch(stretched, 1, 3);
  apply_slowdown(slowed, std::vector<double>{1, 3}, 0);
  for (std::size_t point = 0; point < before.routed.points; ++point) {
    EXPECT_EQ(stretched.routed.at(0, point), before.routed.at(0, point));
    EXPECT_DOUBLE_EQ(stretched.routed.at(1, point), 3 * before.routed.at(1, point));
    EXPECT_DOUBLE_EQ(slowed.routed.at(1, point), 3 * before.routed.at(1, point));
  }
}

TEST(CostChoice, routed_loads_that_cannot_be_are_refused) {
  struct Case {
    const char* part;
    std::function<void(Profile&)> spoil;
  };
  const Case cases[] = {
      {"no slots", [](Profile& p) { p.slots = 0; }},
      {"values of routed latency", [](Profile& p) { p.routed.latency.pop_back(); }},
      {"routed latency holds nan", [](Profile& p) { p.routed.latency[0] = NAN; }},
      {"tokens of routed loads", [](Profile& p) { p.routed.tokens.pop_back(); }},
      {"routed loads hold -1 tokens", [](Profile& p) { p.routed.tokens[2] = -1; }},
  };
  for (const auto& [part, spoil] : cases) {
    Profile profile = ruled(1, 1);
    spoil(profile);
    expect_refused(part, [&] { validate(profile); });
  }
}

}  // namespace
}  // namespace gembench
