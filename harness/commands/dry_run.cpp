#include "harness/commands/dry_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/cli/run_length.hpp"
#include "harness/run/run_facts.hpp"
#include "harness/run/sizes.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline commands {
namespace {

/// Wall-clock seconds of one step under linear, the slowest rank: the second of two.
double time_one_step(Session& session) {
  std::vector<LayerReading> readings(sz(session.model.layers));
  double seconds = 0;
  for (int i = 0; i < 2; ++i) {
    const TokenRange tokens = session.tokens_of(0);
    session.layers->load_step(
        session.workload.first_measured, tokens,
        routed_ids(session.workload.measured, 0, session.options.seed, tokens));
    session.comm.barrier();
    const double begin = wall_seconds();
    static_cast<void>(session.layers->run_step(readings));
    seconds = session.comm.max(wall_seconds() - begin);
  }
  session.progress.enter(Phase::prepare);
  return seconds;
}

}  // namespace

std::string dry_run(Session& session, const RunCommand& options, const Profile& profile,
                    const std::vector<Placement>& placements,
                    const std::vector<Segment>& schedule) {
  const RunInfo info = describe(session, options, profile, placements, schedule);
  const double step = time_one_step(session);
  const double memory = session.comm.max(static_cast<double>(session.memory_needed));
  if (session.comm.rank() != 0) return {};

  const std::size_t checks = options.check == "all"    ? sz(options.steps) * placements.size()
                             : options.check == "last" ? placements.size()
                                                       : 0;
  const std::size_t steps = sz(options.steps) * placements.size() +
                            sz(session.alternation.warmup) * schedule.size() + checks;
  const double seconds = static_cast<double>(steps) * step;
  const double bytes = file_bytes(info.shape, !info.gpu_before.empty());
  const CostModel cost(profile, session.cost, session.linear.slots);
  const TokenRule rule = token_rule(options.token_split, cost);
  std::vector<Score> scores;
  for (const Placement& placement : placements) {
    scores.push_back(score(session.workload.measured, placement, cost, nullptr, rule.spec()));
  }

  if (options.format == "json") {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < scores.size(); ++i) {
      rows.push_back({{"placement", info.labels[i]},
                      {"predicted", scores[i].step_mean},
                      {"bound", scores[i].bound},
                      {"aggregate_imbalance", scores[i].aggregate_imbalance},
                      {"step_imbalance", scores[i].step_imbalance}});
    }
    return nlohmann::ordered_json{{"dry_run", true},
                                  {"facts", info.facts},
                                  {"clock", info.clock},
                                  {"emulated_slowdown", info.slowdown},
                                  {"unit", "s"},
                                  {"placements", rows},
                                  {"steps", steps},
                                  {"wall_seconds_per_step", step},
                                  {"wall_seconds", seconds},
                                  {"memory_bytes_per_rank", memory},
                                  {"file_bytes_at_most", bytes}}
               .dump(2) +
           "\n";
  }
  std::string text = fmt::format(
      "# DRY RUN: nothing was measured but the profile, nothing is written\n# {}\n"
      "# {} ranks  clock {} ({})  {}\n# routing {}; {}\n# cost model '{}' ({})\n"
      "#                     time to barriers (us)        imbalance\n"
      "# placement        predicted     bound   gap %    total    step\n",
      info.facts.at("model"), info.shape.ranks, info.clock, info.facts.at("clock_reason"),
      info.facts.at("device"), info.facts.at("routing"), info.facts.at("plan"),
      info.facts.at("cost"), info.facts.at("cost_reason"));
  if (!session.workload.files.empty()) text += fmt::format("# files: {}\n", session.workload.files);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const Score& s = scores[i];
    text += fmt::format("  {:<12} {:>13.0f} {:>9.0f} {:>7.2f} {:>8.3f} {:>7.3f}\n", info.labels[i],
                        s.step_mean * 1e6, s.bound * 1e6, s.gap * 100, s.aggregate_imbalance,
                        s.step_imbalance);
  }
  return text + fmt::format(
                    "# time: {} steps, warm-up and checks included, of {:.3f} s wall clock (one "
                    "step under "
                    "linear): about {:.0f} s{}{}\n"
                    "# memory: {:.0f} MiB a rank\n# file: at most {:.2f} MiB, before compression\n",
                    steps, step, seconds, session.alternation.resident ? "" : ", and the switches",
                    end_in_words(options), memory / 0x1p20, bytes / 0x1p20);
}

}  // namespace gembench::inline commands
