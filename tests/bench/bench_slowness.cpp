// How often `gembench probe` accuses equal ranks, and how often it finds a slow one, on made
// readings. One JSON line a cell; accusations.py prints the tables and judges them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "harness/statistics/slowness.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"
#include "tests/bench/made_data.hpp"

namespace gembench {
namespace {

using Readings = std::vector<std::vector<double>>;  // [rank][round]

constexpr double kNoise = 0.02;  // of a log reading
constexpr double kLimit = 0.05;

struct Kind {
  const char* name;
  std::function<std::vector<double>(Random&, int)> draw;  ///< of one rank
  double first = 1;  ///< noise of rank 0, relative to the others'
};

Readings draw(const Kind& kind, Random& random, int ranks, int rounds) {
  Readings readings;
  for (int rank = 0; rank < ranks; ++rank) {
    auto& mine = readings.emplace_back(kind.draw(random, rounds));
    for (double& value : mine) value = std::exp(kNoise * (rank == 0 ? kind.first : 1) * value);
  }
  return readings;
}

bool any_slow(const std::vector<Slowness>& found) {
  return std::ranges::any_of(found, [](const Slowness& one) { return one.slow; });
}

/// The accusations and the power of one kind of noise.
void cell(const Kind& kind, int ranks, int rounds, int runs) {
  Random random(fold(static_cast<std::uint64_t>(ranks), static_cast<std::uint64_t>(rounds)));
  const auto answers = sz(ranks);
  int strict = 0, quiet = 0, limit = 0, told = 0, found = 0;
  double resolution = 0;
  for (int run = 0; run < runs; ++run) {
    Readings readings = draw(kind, random, ranks, rounds);
    strict += any_slow(slower_than_others(readings, {0, answers})) ? 1 : 0;
    const auto answer = slower_than_others(readings, {kLimit, answers});
    quiet += any_slow(answer) ? 1 : 0;
    const double can = answer[1].resolution;
    readings = draw(kind, random, ranks, rounds);
    for (double& value : readings[1]) value *= 1 + kLimit;
    limit += slower_than_others(readings, {kLimit, answers})[1].slow ? 1 : 0;
    if (std::isinf(can)) continue;
    ++told;
    resolution += can;
    for (double& value : readings[1]) value *= (1 + can) / (1 + kLimit);
    found += slower_than_others(readings, {kLimit, answers})[1].slow ? 1 : 0;
  }
  fmt::print(
      "{{\"of\":\"others\",\"kind\":\"{}\",\"ranks\":{},\"rounds\":{},\"runs\":{},\"strict\":{},"
      "\"quiet\":{},\"limit\":{},\"told\":{},\"resolution\":{:.4f},\"found\":{}}}\n",
      kind.name, ranks, rounds, runs, strict, quiet, limit, told, told > 0 ? resolution / told : 0,
      found);
}

/// One more value of each of `devices` after `earlier` of them.
void past_cell(const Kind& kind, int devices, int earlier, int runs) {
  Random random(fold(static_cast<std::uint64_t>(devices), static_cast<std::uint64_t>(earlier)));
  int strict = 0;
  for (int run = 0; run < runs; ++run) {
    bool accused = false;
    for (int device = 0; device < devices; ++device) {
      auto values = kind.draw(random, earlier + 1);
      for (double& value : values) value = std::exp(kNoise * value);
      accused |=
          slower_than_past(std::span(values).first(sz(earlier)), values.back(), {0, sz(devices)})
              .slow;
    }
    strict += accused ? 1 : 0;
  }
  fmt::print(
      "{{\"of\":\"past\",\"kind\":\"{}\",\"ranks\":{},\"earlier\":{},\"runs\":{},\"strict\":{}}}\n",
      kind.name, devices, earlier, runs, strict);
}

void all_cells(int runs) {
  const Kind kinds[] = {{"normal", independent},       {"heavy tails", heavy},
                        {"delayed readings", delayed}, {"AR(1) 0.5", autoregressive},
                        {"blocks of 8", in_blocks<8>}, {"one rank noisy", independent, 5}};
  for (const Kind& kind : kinds)
    for (const int ranks : {2, 4, 16, 64})
      for (const int rounds : {48, 240}) cell(kind, ranks, rounds, ranks < 64 ? runs : runs / 5);
  for (const Kind& kind : {kinds[0], kinds[1]})
    for (const int devices : {1, 8})
      for (const int earlier : {5, 20}) past_cell(kind, devices, earlier, runs);
}

}  // namespace
}  // namespace gembench

int main(int argc, char** argv) {
  gembench::all_cells(argc > 1 ? std::atoi(argv[1]) : 10000);
}
