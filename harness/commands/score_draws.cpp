#include "harness/commands/score_draws.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>

#include "harness/cli/plan_options.hpp"
#include "harness/run/advice.hpp"
#include "harness/run/speed_errors.hpp"
#include "harness/statistics/block_change.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline commands {
namespace {

static_assert(kLeastDraws == kLeastBlocks);
constexpr int kGoodDraws = 20;

void require_enough(int draws, const Problem& problem, std::size_t rows) {
  if (rows < 2)
    throw usage_error("--draws compares placements with the first one: name at least two");
  if (draws > problem.judged.steps)
    throw usage_error(
        fmt::format("--draws {} needs as many judged steps and there are {}: lower it, or judge on "
                    "more steps",
                    draws, problem.judged.steps));
  const auto requests = problem.judged.requests;
  if (requests > 0 && draws > requests)
    throw usage_error(fmt::format(
        "--draws {} is more than the {} independent requests in the judged steps: lower it, or "
        "record more requests",
        draws, requests));
}

/// [row] s of the steps of one block, by name, with what rebalancing adds.
std::map<std::string, double> block_seconds(const std::vector<JudgedPlacement>& rows, int draws,
                                            int draw) {
  std::map<std::string, double> sums;
  for (const JudgedPlacement& row : rows) {
    const auto steps = static_cast<int>(row.score.step_seconds.size());
    double sum = 0;
    for (int step = block_begin(steps, draws, draw); step < block_begin(steps, draws, draw + 1);
         ++step) {
      sum += row.score.step_seconds[sz(step)];
      if (row.charge)
        sum += row.charge->by_step.empty() ? row.charge->seconds : row.charge->by_step[sz(step)];
    }
    sums.emplace(row.name, sum);
  }
  return sums;
}

/// Log ratios to the first row by name; a row that some draw lacks has fewer.
class Ratios {
 public:
  void add(const std::vector<JudgedPlacement>& rows, int draws, int draw) {
    const auto seconds = block_seconds(rows, draws, draw);
    const double first = seconds.at(rows[0].name);
    for (const auto& [name, one] : seconds)
      of_[name].push_back(first > 0 && one > 0 ? std::log(one / first) : 0);
  }
  [[nodiscard]] const std::vector<double>& of(const std::string& name) { return of_[name]; }

 private:
  std::map<std::string, std::vector<double>> of_;
};

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double one : values) sum += one;
  return sum / static_cast<double>(values.size());
}

std::string note_on(int draws, const Problem& problem, bool drawn, bool errors) {
  const int steps = problem.judged.steps, least = steps / draws;
  return fmt::format(
      "{} draws: the judged steps in as many successive blocks of {} steps{}{}; the 95 % are for "
      "all rows at once, and intervals are wider where successive blocks are correlated{}",
      draws,
      steps % draws == 0 ? fmt::format("{}", least) : fmt::format("{} or {}", least, least + 1),
      drawn ? ", each with other drawn speeds, which are planned for; the other columns are of the "
              "first draw and all blocks"
            : "",
      errors ? "; intervals allow for the errors of the profile's medians" : "",
      draws < kGoodDraws
          ? fmt::format("; so few give very wide ones: --draws {} is better", kGoodDraws)
          : "");
}

}  // namespace

void add_draws(const ScoreCommand& options, Problem& problem, const JudgeAll& judge_all,
               std::vector<JudgedPlacement>& rows) {
  const int draws = *options.draws;
  require_enough(draws, problem, rows.size());
  const bool drawn = draws_speeds(options);
  Ratios ratios;
  for (int draw = 0; draw < draws; ++draw) {
    if (draw == 0 || !drawn) {
      ratios.add(rows, draws, draw);
      continue;
    }
    problem.draw_speeds(options, options.seed + static_cast<std::uint64_t>(draw));
    ratios.add(judge_all(problem, problem.costs(options), true), draws, draw);
  }
  if (drawn) problem.draw_speeds(options, options.seed);
  const bool errors = !drawn && !problem.speed_errors.empty();
  std::vector<Ratios> by_error;
  for (int error = 0; errors && error < kSpeedErrors; ++error) {
    const Profile off = drawn_error(problem.profile, problem.speed_errors, options.seed, error);
    const auto judged =
        judge_all(problem, {options, off, problem.planning, problem.asked.even}, false);
    Ratios& all = by_error.emplace_back();
    for (int draw = 0; draw < draws; ++draw) all.add(judged, draws, draw);
  }
  const auto together = static_cast<int>(rows.size()) - 1;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto& found = ratios.of(rows[i].name);
    if (static_cast<int>(found.size()) != draws) continue;
    DrawnChange change{block_change(found, std::min(kAdvicePlans, draws), together),
                       std::expm1(*std::ranges::max_element(found))};
    std::vector<double> means;
    for (Ratios& error : by_error) means.push_back(mean_of(error.of(rows[i].name)));
    widen(means, together, change.change);
    rows[i].drawn = change;
  }
  problem.context.draws = draws;
  problem.context.notes.push_back(note_on(draws, problem, drawn, errors));
}

}  // namespace gembench::inline commands
