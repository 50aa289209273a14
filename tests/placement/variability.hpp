#pragma once

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "placement/base/random.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::testing {

/// The four kinds of unequal speed that planners are judged on.
inline constexpr std::string_view kVariability[] = {"none", "spread 4 %", "one slow 15 %",
                                                    "two bins 10 %"};

/// [rank] time relative to the reference: equal; normal around 1 with 4 %; one rank in eight (in
/// four where there are fewer) 15 % slower; half of them 10 % slower. Which ones, the seed says.
inline std::vector<double> slowdowns(std::string_view kind, int ranks, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> slowdown(static_cast<std::size_t>(ranks), 1.0);
  if (kind == "spread 4 %") {
    for (auto& s : slowdown) {
      double sum = 0;  // of twelve uniform numbers: close enough to normal
      for (int i = 0; i < 12; ++i) sum += random.uniform();
      s = 1 + 0.04 * (sum - 6);
    }
  } else if (kind == "one slow 15 %") {
    for (int slow = 0; slow < std::max(1, ranks / 8); ++slow)
      slowdown[static_cast<std::size_t>(slow)] = 1.15;
  } else if (kind == "two bins 10 %") {
    for (int slow = 0; slow < ranks / 2; ++slow) slowdown[static_cast<std::size_t>(slow)] = 1.10;
  }
  random.shuffle(slowdown);
  return slowdown;
}

/// Prefill of a rank with `slots` experts: a floor of reading weights, then a time per token in
/// tiles, 20 us besides. `read_us` and `token_us` per expert and per token.
inline Profile prefill_profile(const std::vector<double>& slowdown, int slots, double read_us,
                               double token_us, std::int64_t most_tokens) {
  Profile profile;
  profile.ranks = static_cast<int>(slowdown.size());
  profile.load_points = {0};
  for (std::int64_t load_point = slots; load_point < most_tokens; load_point *= 2)
    profile.load_points.push_back(load_point);
  profile.load_points.push_back(most_tokens);
  for (double s : slowdown) {
    for (auto load_point : profile.load_points) {
      const auto read = read_us * slots;
      const auto work = token_us * static_cast<double>(load_point);
      profile.latency.push_back(1e-6 * s * (20 + std::max(read, work)));
      profile.spread.push_back(0);
    }
    profile.overhead.push_back(0);
    profile.slowdown.push_back(s);
  }
  profile.model = "roofline";
  profile.device = "none";
  profile.clock = "none";
  return profile;
}

}  // namespace gembench::testing
