#include "harness/commands/dry_run_alone.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/cli/device_kinds.hpp"
#include "harness/cli/option_values.hpp"
#include "harness/cli/run_length.hpp"
#include "harness/run/devices.hpp"
#include "harness/run/layout.hpp"
#include "harness/run/placement_files.hpp"
#include "harness/run/profile_fit.hpp"
#include "harness/run/profile_source.hpp"
#include "harness/run/run_plan.hpp"
#include "harness/run/segments.hpp"
#include "harness/run/sizes.hpp"
#include "placement/base/error.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline commands {
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
  double load_seconds = 0;   ///< making or reading the loads took
  std::size_t loads = 0;     ///< bytes
  std::size_t maps = 0;      ///< bytes of all placements
  std::size_t rank = 0;      ///< bytes of weights and buffers
  std::size_t resident = 0;  ///< of them, where the experts of all placements stay; 0 = they do not
  std::string segments;      ///< how placements alternate
  std::size_t root = 0;      ///< bytes on rank 0 besides
  double file = 0;           ///< bytes
  double compute_seconds = 0;
  std::string end;  ///< when it may end before
};

double gib(double bytes) {
  return bytes / 0x1p30;
}

/// What is planned with where nothing is measured. A file's is taken as it is, as `run` takes it.
Profile stated_profile(const RunCommand& options, const Layout& layout, const Workload& workload,
                       DType dtype, std::string& source) {
  Profile profile =
      load_profile({RunCommand::kName, options.profile, options.ranks}, workload.measured, source);
  if (options.profile.empty() || options.profile.starts_with(kBuiltin)) {
    slow_down(profile, layout.slowdown, 0);
  } else {
    const std::string clock = options.clock == "auto" ? profile.clock : options.clock;
    require_own_profile(options, profile, layout.topology.ranks(), clock);
    require_profile_of(options.profile, profile, shape_name(options, dtype), layout.linear.slots);
  }
  return profile;
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
  return nlohmann::ordered_json{
             {"dry_run", true},
             {"ranks", o.shape.ranks},
             {"model", o.model},
             {"routing", o.routing},
             {"profile", o.profile},
             {"unit", "s"},
             {"placements", rows},
             {"load_seconds", o.load_seconds},
             {"seconds_to_barriers", o.compute_seconds},
             {"memory_bytes_per_rank", o.rank + o.loads + o.maps},
             {"memory_bytes_per_rank_all_resident",
              o.resident > 0 ? nlohmann::ordered_json(o.resident + o.loads + o.maps)
                             : nlohmann::ordered_json()},
             {"segments", o.segments},
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
  text += fmt::format("# {}", o.segments);
  if (o.resident > 0) {
    text += fmt::format(", where a rank has {:.2f} GiB; else in blocks",
                        gib(static_cast<double>(o.resident + o.loads + o.maps)));
  }
  return text + "\n" +
         fmt::format(
             "# time: at least {:.0f} s to the barriers of {} measured steps, as predicted{}; "
             "communication, warm-up and switches come on top\n"
             "# memory: {:.2f} GiB a rank (weights and buffers {:.2f}, loads {:.2f}, placements "
             "{:.3f}); rank 0 {:.2f} GiB\n"
             "# broadcast: {:.2f} GiB from rank 0 to every rank before the first step\n"
             "# file: at most {:.2f} GiB, before compression\n",
             o.compute_seconds, o.shape.steps * o.shape.placements, o.end, gib(total),
             gib(static_cast<double>(o.rank)), gib(static_cast<double>(o.loads)),
             gib(static_cast<double>(o.maps)), gib(total + static_cast<double>(o.root)),
             gib(static_cast<double>(o.loads + o.maps)), gib(o.file));
}

}  // namespace

std::string dry_run_alone(const Comm& comm, const RunCommand& options) {
  if (comm.size() > 1) {
    throw usage_error(
        fmt::format("--ranks stands for ranks that are not there and {} are: drop it, or start one",
                    comm.size()));
  }
  if (options.routing == "router") {
    throw usage_error(
        "the router's choices are known when it runs: drop --ranks, or take "
        "--routing synthetic");
  }
  // Everything is accepted or refused as Session and Run would, and planned by the same functions.
  const int ranks = *options.ranks;
  const Topology topology = options.ranks_per_node
                                ? Topology::in_groups_of(*options.ranks_per_node, ranks)
                                : Topology(std::vector<int>(static_cast<std::size_t>(ranks), 0));
  const Layout layout = make_layout(options, topology, placed_slots(options, ranks));
  const ModelShape& model = layout.model;
  const auto device = make_device(comm, options, model);
  require_dispatch(options, *device);
  Outlook outlook;
  double begin = wall_seconds();
  const Workload workload = make_workload(options, model);
  outlook.load_seconds = wall_seconds() - begin;
  const Profile profile =
      stated_profile(options, layout, workload, device->dtype(), outlook.profile);
  if (!options.profile.empty()) {
    for (const std::string& note :
         {other_model_note(options.profile, profile, workload.measured, layout.linear.slots),
          other_loads_note(options.profile, profile, workload.measured)}) {
      if (!note.empty()) outlook.profile += "; " + note;
    }
  }

  const int slots = layout.slots;
  const CostDecision chosen = decide_cost(options.cost, profile);
  const CostModel cost(profile, chosen.kind, layout.linear.slots);
  outlook.profile += fmt::format("; cost model '{}' ({})", name_of(chosen.kind), chosen.why);
  const TokenRule rule = token_rule(options.token_split, cost);
  const PlanOn on{options, layout, workload.plan, chosen.kind,
                  static_cast<std::size_t>(model.hidden) * size_of(device->dtype())};
  outlook.end = end_in_words(options);
  outlook.shape = {static_cast<int>(options.placements.size()),
                   options.steps,
                   model.layers,
                   ranks,
                   model.experts,
                   slots,
                   0};
  const std::string files =
      check_placement_files(options.placements, workload, profile.ranks, slots, options.in_sample);
  for (const std::string& name : options.placements) {
    begin = wall_seconds();
    const Placement placement = plan_first(on, profile, name);
    static_cast<void>(plan_later(on, profile, name));
    const double seconds = wall_seconds() - begin;
    outlook.placements.push_back(
        {name, seconds, score(workload.measured, placement, cost, nullptr, rule.spec())});
    outlook.maps += placement.slot_expert.size() * sizeof(placement.slot_expert[0]);
    outlook.compute_seconds += outlook.placements.back().score.step_mean * options.steps;
  }

  const ReceiveLimits limits = receive_limits(workload, slots);
  int tokens = 0;  // of the rank that has most
  for (int rank = 0; rank < ranks; ++rank) {
    tokens = std::max(tokens, share_of(options, workload.tokens, rank, ranks).count);
  }
  // Without the ranks nobody knows what fits: both are reported.
  const Alternation if_fits = alternation_of(options, true),
                    otherwise = alternation_of(options, false);
  const auto bytes = [&](std::size_t resident) {
    return rank_bytes(options, model, *device, workload, slots, limits, tokens, resident);
  };
  outlook.rank = bytes(otherwise.resident ? options.placements.size() : 1);
  if (if_fits.resident && !otherwise.resident) outlook.resident = bytes(options.placements.size());
  outlook.segments = describe(outlook.resident > 0 ? if_fits : otherwise);
  outlook.loads = load_bytes(workload);
  outlook.root = root_bytes(outlook.shape, std::min(2 * otherwise.block, options.steps));
  outlook.file = file_bytes(outlook.shape, device_kind(options.device).gpu);
  outlook.model = fmt::format(
      "{}: {} layers x {} experts, top-{}, hidden {}, ffn {}, {}; {} slots "
      "a rank",
      model.name, model.layers, model.experts, model.topk, model.hidden, model.ffn,
      name_of(device->dtype()), slots);
  outlook.routing =
      fmt::format("{}, {} tokens a step; planned on {} steps, {}{} measured", workload.label,
                  tokens_of_steps(workload.measured), workload.plan.steps,
                  may_end_early(options) ? "at most " : "", options.steps);
  if (!files.empty()) outlook.routing += "; " + files;
  const double slowest = *std::ranges::max_element(layout.slowdown);
  if (slowest > 1) outlook.profile += fmt::format("; slowdown up to {:.3f}, emulated", slowest);
  return options.format == "json" ? as_json(outlook) : as_table(outlook);
}

}  // namespace gembench::inline commands
