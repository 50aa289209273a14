#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "placement/cost/objective.hpp"
#include "placement/loads/synthetic.hpp"

namespace gembench::testing {

/// A directory of its own per test, removed afterwards.
class TempDir {
 public:
  TempDir() {
    path_ = std::filesystem::temp_directory_path() /
            ("gembench-" + std::to_string(std::random_device{}()) + std::to_string(::getpid()));
    std::filesystem::create_directories(path_);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::filesystem::path write(const std::string& name,
                                            const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  [[nodiscard]] std::filesystem::path at(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs `action`, expects an Error with this code whose sentence contains `part`.
inline void expect_error(ExitCode code, const std::string& part,
                         const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "nothing was refused; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << "'" << error.what() << "' does not mention '" << part << "'";
  }
}

inline void expect_refused(const std::string& part, const std::function<void()>& action) {
  expect_error(ExitCode::usage, part, action);
}

/// Serving loads where steps differ a lot: what a planner has to be good at.
inline Trace small_trace(int steps, int layers, int experts, int topk, std::uint64_t seed) {
  return make_trace("serving", {steps, layers, experts, topk, 64, seed});
}

/// Unequal ranks with a flat start, a kink and, with `dips`, pieces that fall.
inline Profile uneven_profile(int ranks, std::uint64_t seed, bool dips = false) {
  Random random(seed);
  Profile profile;
  profile.ranks = ranks;
  profile.load_points = {0, 16, 64, 256};
  for (int rank = 0; rank < ranks; ++rank) {
    const double slowdown = 1 + 0.5 * random.uniform();
    double seconds = slowdown * 20;
    for (std::size_t k = 0; k < profile.load_points.size(); ++k) {
      profile.latency.push_back(seconds);
      profile.spread.push_back(0);
      seconds +=
          slowdown * (dips ? 60 * random.uniform() - 15 : 5.0 + 20.0 * static_cast<double>(k));
      seconds = std::max(seconds, 0.0);
    }
    profile.overhead.push_back(random.uniform());
    profile.slowdown.push_back(slowdown);
  }
  return profile;
}

/// Calls `visit` with the assignment [expert] -> rank of every way to give each rank equally many.
inline void for_every_assignment(
    int experts, int ranks, const std::function<void(const std::vector<std::int32_t>&)>& visit) {
  std::vector<std::int32_t> assignment;
  for (int e = 0; e < experts; ++e) assignment.push_back(e / (experts / ranks));
  do visit(assignment);
  while (std::next_permutation(assignment.begin(), assignment.end()));
}

/// One layer's objective straight from its definition.
inline double plain_objective(const Trace& trace, int layer, const CostModel& cost,
                              const std::vector<std::int32_t>& assignment) {
  double sum = 0;
  std::vector<std::int32_t> tokens;
  for (int step = 0; step < trace.steps; ++step) {
    double slowest = 0;
    for (int rank = 0; rank < cost.ranks(); ++rank) {
      tokens.clear();
      for (std::size_t e = 0; e < assignment.size(); ++e)
        if (assignment[e] == rank) tokens.push_back(trace.loads(step, layer)[e]);
      slowest = std::max(slowest, cost.rank_seconds(rank, tokens));
    }
    sum += slowest;
  }
  return sum;
}

}  // namespace gembench::testing
