#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/devices.hpp"
#include "harness/dry_run.hpp"
#include "harness/profile_source.hpp"
#include "harness/sizes.hpp"
#include "placement/error.hpp"
#include "placement/score.hpp"
#include "placement/strategy.hpp"

namespace gembench {
namespace {

struct Planned {
  std::string name;
  double seconds = 0;  ///< planning took
  Score score;
};

/// What a run on many ranks would take, known without them.
struct Outlook {
  std::string model, routing, profile;
  RunShape shape;
  std::vector<Planned> placements;
  double load_seconds = 0;  ///< making or reading the loads took
  std::size_t loads = 0;    ///< bytes
  std::size_t maps = 0;     ///< bytes of all placements
  std::size_t rank = 0;     ///< bytes of weights and buffers
  std::size_t root = 0;     ///< bytes on rank 0 besides
  double file = 0;          ///< bytes
  double compute_seconds = 0;
};

double gib(double bytes) {
  return bytes / 0x1p30;
}

std::string as_json(const Outlook& o) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Planned& p : o.placements) {
    rows.push_back({{"placement", p.name},
                    {"predicted", p.score.step_mean},
                    {"bound", p.score.bound},
                    {"aggregate_imbalance", p.score.aggregate_imbalance},
                    {"step_imbalance", p.score.step_imbalance},
                    {"duplicates", p.score.duplicates},
                    {"planning_seconds", p.seconds}});
  }
  return nlohmann::ordered_json{{"dry_run", true},
                                {"ranks", o.shape.ranks},
                                {"model", o.model},
                                {"routing", o.routing},
                                {"profile", o.profile},
                                {"unit", "s"},
                                {"placements", rows},
                                {"load_seconds", o.load_seconds},
                                {"seconds_to_barriers", o.compute_seconds},
                                {"memory_bytes_per_rank", o.rank + o.loads + o.maps},
                                {"memory_bytes_root", o.rank + o.loads + o.maps + o.root},
                                {"broadcast_bytes", o.loads + o.maps},
                                {"file_bytes_at_most", o.file}}
             .dump(2) +
         "\n";
}

std::string as_table(const Outlook& o) {
  std::string text = fmt::format(
      "# DRY RUN for {} ranks without them: nothing was measured, nothing is written\n# {}\n"
      "# routing {}; made in {:.1f} s\n# profile {}\n"
      "#                     time to barriers (us)        imbalance\n"
      "# placement        predicted     bound   gap %    total    step  replicas   planned in s\n",
      o.shape.ranks, o.model, o.routing, o.load_seconds, o.profile);
  for (const Planned& p : o.placements) {
    const Score& s = p.score;
    text += fmt::format("  {:<12} {:>13.0f} {:>9.0f} {:>7.2f} {:>8.3f} {:>7.3f} {:>9} {:>14.3f}\n",
                        p.name, s.step_mean * 1e6, s.bound * 1e6, s.gap * 100,
                        s.aggregate_imbalance, s.step_imbalance, s.duplicates, p.seconds);
  }
  const auto total = static_cast<double>(o.rank + o.loads + o.maps);
  return text +
         fmt::format(
             "# time: at least {:.0f} s to the barriers of {} measured steps, as predicted; "
             "communication, warm-up and switches come on top\n"
             "# memory: {:.2f} GiB a rank (weights and buffers {:.2f}, loads {:.2f}, placements "
             "{:.3f}); rank 0 {:.2f} GiB\n"
             "# broadcast: {:.2f} GiB from rank 0 to every rank before the first step\n"
             "# file: at most {:.2f} GiB, before compression\n",
             o.compute_seconds, o.shape.steps * o.shape.placements, gib(total),
             gib(static_cast<double>(o.rank)), gib(static_cast<double>(o.loads)),
             gib(static_cast<double>(o.maps)), gib(total + static_cast<double>(o.root)),
             gib(static_cast<double>(o.loads + o.maps)), gib(o.file));
}

}  // namespace

std::string dry_run_alone(const Comm& comm, const Options& options) {
  if (comm.size() > 1) {
    throw usage_error(fmt::format(
        "--ranks stands for ranks that are not there and {} are: drop it, or start without mpirun",
        comm.size()));
  }
  if (options.routing == "gate") {
    throw usage_error(
        "the router's choices are known when it runs: drop --ranks, or take "
        "--routing synthetic");
  }
  const ModelShape model = model_of(options);
  const auto device = make_device(comm, options, model);
  Outlook outlook;
  double begin = wall_seconds();
  const Workload workload = make_workload(options, model);
  outlook.load_seconds = wall_seconds() - begin;
  Profile profile = load_profile(options, workload.measured, outlook.profile);
  const auto slowdown = slow_down(options, profile);

  const int experts_per_rank = (model.experts + profile.ranks - 1) / profile.ranks;
  const int slots = experts_per_rank + options.spare_slots;
  const CostModel cost = cost_model(options, profile, experts_per_rank);
  outlook.profile += fmt::format("; cost model '{}' ({})", name_of(cost.kind()),
                                 decide_cost(options, profile).why);
  const TokenRule rule = token_rule(options.token_split, cost);
  outlook.shape = {static_cast<int>(options.placements.size()),
                   options.steps,
                   model.layers,
                   profile.ranks,
                   model.experts,
                   slots,
                   0};
  for (const std::string& name : options.placements) {
    begin = wall_seconds();
    const Placement placement =
        plan_by_name(name, {workload.plan, cost, options.seed, slots, options.nodes, options.groups,
                            options.replicas, rule.spec()});
    const double seconds = wall_seconds() - begin;
    outlook.placements.push_back(
        {name, seconds, score(workload.measured, placement, cost, nullptr, rule.spec())});
    outlook.maps += placement.slot_expert.size() * sizeof(placement.slot_expert[0]);
    outlook.compute_seconds += outlook.placements.back().score.step_mean * options.steps;
  }

  const ReceiveLimits limits = receive_limits(workload, slots);
  const int tokens = local_tokens(workload.tokens, 0, profile.ranks).count;
  outlook.rank = rank_bytes(options, model, *device, workload, slots, limits, tokens);
  outlook.loads = load_bytes(workload);
  outlook.root = root_bytes(outlook.shape, std::min(2 * options.block, options.steps));
  outlook.file = file_bytes(outlook.shape, options.device == "cuda");
  outlook.model = fmt::format(
      "{}: {} layers x {} experts, top-{}, hidden {}, ffn {}, {}; {} slots "
      "a rank",
      model.name, model.layers, model.experts, model.topk, model.hidden, model.ffn,
      name_of(device->dtype()), slots);
  outlook.routing =
      fmt::format("{}, {} tokens a step; planned on {} steps, {} measured", workload.label,
                  tokens_of_steps(workload.measured), workload.plan.steps, options.steps);
  const auto slowest = std::max_element(slowdown.begin(), slowdown.end());
  if (*slowest > 1) outlook.profile += fmt::format("; slowdown up to {:.3f}, emulated", *slowest);
  return options.format == "json" ? as_json(outlook) : as_table(outlook);
}

}  // namespace gembench
