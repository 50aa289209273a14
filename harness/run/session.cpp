#include "harness/run/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/device_kinds.hpp"
#include "harness/cli/version.hpp"
#include "harness/run/broadcast.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/cpu_turns.hpp"
#include "harness/run/devices.hpp"
#include "harness/run/memory.hpp"
#include "harness/run/profiled_weights.hpp"
#include "harness/run/progress_lines.hpp"
#include "harness/run/sizes.hpp"
#include "harness/run/stop.hpp"
#include "moe_layer/profiler/received_load.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/cost_choice.hpp"

namespace gembench::inline run {
namespace {

constexpr std::size_t kMostLoadRounds = 8192;  // of a single load
constexpr int kRoutedLoads = 8;  // of a profile; as long to measure as its sweeps, about

}  // namespace

Session::Session(const Comm& the_comm, const SessionOptions& the_options, Progress& the_progress,
                 int placed_slots, std::optional<bool> earlier_resident,
                 const std::string& earlier_products)
    : comm(the_comm),
      options(the_options),
      progress(the_progress),
      place(place_of_this_rank()),
      profile_source(options.profile.empty() ? "measured in this run" : options.profile) {
  const Topology nodes = options.ranks_per_node
                             ? Topology::in_groups_of(*options.ranks_per_node, comm.size())
                             : Topology(comm.node_of());
  on_every_rank(comm,
                [&] { static_cast<Layout&>(*this) = make_layout(options, nodes, placed_slots); });
  device = make_device(comm, options, model, earlier_products);
  require_dispatch(options, *device);
  choose_clock();
  load_workload();
  require_memory(earlier_resident);
  if (comm.is_simulated()) return;
  make_layers();
  if (options.routing == "router") {
    record_router(earlier_resident ? "nothing more was measured" : "nothing was measured yet");
  }
  progress.enter(Phase::prepare);
}

void Session::make_layers() {
  on_every_rank(comm, [&] {
    store = std::make_unique<ExpertStore>(
        comm, *device, model, std::min(options.weight_layers.value_or(model.layers), model.layers),
        options.seed);
    layers = std::make_unique<MoeLayers>(comm, *device, model, *store, layer_options());
  });
  const Placement* first = &linear;
  static_cast<void>(store->hold({&first, 1}));
  layers->use(linear);
  layers->rehearse();
}

TokenRange Session::tokens_of(int measured_step, int rank) const {
  return share_of(options, workload.measured.tokens_in_step(measured_step), rank, comm.size());
}

int Session::most_tokens() const {
  if (comm.is_simulated()) {  // of any rank
    int most = 0;
    for (int rank = 0; rank < comm.size(); ++rank) {
      most = std::max(most, share_of(options, workload.tokens, rank, comm.size()).count);
    }
    return most;
  }
  int most = share_of(options, workload.tokens, comm.rank(), comm.size()).count;
  for (int step = 0; step < workload.measured.steps; ++step) {
    most = std::max(most, tokens_of(step).count);
  }
  return most;
}

LayerOptions Session::layer_options() {
  return {.clock = host_clock(),
          .slowdown = slowdown[sz(comm.rank())],
          .whole_steps = options.whole_steps,
          .graph = clock == Clock::gpu_stamps,
          .seed = options.seed,
          .max_tokens = most_tokens(),
          .receive = limits_,
          .topology = topology,
          .hierarchical = options.dispatch == "hierarchical",
          .progress = &progress};
}

void require_same_start(const Comm& comm, const std::string& options) {
  require_same(comm, fmt::format("{}, {}", program_version(), build_description()),
               "rank {0} runs {1} and rank 0 {2}: install one build on all nodes");
  require_same(comm, options,
               "rank {0} was started with other options than rank 0: give all ranks one command "
               "line");
}

void Session::choose_clock() {
  constexpr const char* kSharedGpus = "RANKS SHARE A GPU: no time is a rank's own";
  const bool shared = gpus_are_shared(comm, *device);
  if (options.launch == "graph") {
    clock = Clock::gpu_stamps;
    clock_reason = shared ? kSharedGpus : "by --launch graph";
    return;
  }
  if (!device_kind(options.device).shows_cpu_time) {
    clock = Clock::wall;
    clock_reason = shared ? kSharedGpus : "every rank has a GPU of its own";
    return;
  }
  if (!comm.is_simulated()) sharing = sharing_of_all(comm, place);
  const ClockChoice choice = clock_for(options.clock, sharing);
  clock = choice.clock;
  clock_reason = comm.is_simulated() && options.clock == "auto"
                     ? "as if every rank had a CPU of its own"
                     : choice.reason;
  if (options.whole_steps && clock == Clock::cpu_time) {
    throw AgreedError(
        ExitCode::usage,
        sharing == Sharing::nothing
            ? std::string("--whole-steps needs the wall clock: drop --clock cpu-time")
            : fmt::format("--whole-steps needs the wall clock, and ranks share {}: give every rank "
                          "a core of its own, or add --clock wall",
                          name_of(sharing)));
  }
}

void Session::load_workload() {
  if (options.routing == "router") {
    // Nothing is known yet: a rank may get every token for each of its experts.
    const int tokens = tokens_per_step(options);
    workload.tokens = tokens;
    limits_.pairs = std::int64_t{tokens} * std::min(slots, model.topk);
    limits_.rows = std::min<std::int64_t>(limits_.pairs, tokens);
  } else {
    const double begin = wall_seconds();
    on_root(comm, [&] { workload = make_workload(options, model, comm.size()); });
    load_seconds = wall_seconds() - begin;
    broadcast(comm, workload.plan);
    broadcast(comm, workload.measured);
    std::vector<int> numbers{workload.first_measured, workload.tokens};
    comm.broadcast(numbers);
    workload.first_measured = numbers[0];
    workload.tokens = numbers[1];
    comm.broadcast(workload.label);
    limits_ = receive_limits(workload, slots);
  }
}

void Session::require_memory(std::optional<bool> earlier_resident) {
  constexpr double kShare = 0.8;  // of what is left may fill up unasked
  const auto most_everywhere = static_cast<int>(comm.max(most_tokens()));
  ForwardLimits forwarded;
  if (options.dispatch == "hierarchical") {
    forwarded = forwarded_at_most(topology, comm.rank(), most_everywhere, model.topk);
  }
  const auto needed = [&](std::size_t resident) {
    return rank_bytes(options, model, *device, workload, slots, limits_, most_tokens(), resident,
                      forwarded);
  };
  struct Room {
    std::string who;
    std::size_t sharers, left;  // left: 0 = not known
  };
  std::vector<Room> rooms;
  if (comm.is_simulated()) {
    // Nobody knows what the ranks will have.
  } else if (const std::size_t left = device->memory_left(); left > 0) {
    rooms = {{fmt::format("rank {} and its GPU", comm.rank()), 1, left}};
  } else {
    rooms = {{fmt::format("{} ranks", comm.node_size()), sz(comm.node_size()), node_memory_left()},
             {fmt::format("rank {}, whose address space is limited,", comm.rank()), 1,
              own_memory_left()}};
  }
  memory_resident = needed(options.placements.size());
  memory_moving = needed(1);
  const bool fits_here = std::ranges::all_of(rooms, [&](const Room& room) {
    return room.left == 0 || static_cast<double>(memory_resident * room.sharers) <=
                                 kShare * static_cast<double>(room.left);
  });
  const bool fits = comm.max(fits_here ? 0 : 1) == 0;
  alternation = alternation_of(options, earlier_resident.value_or(fits));
  memory_needed = alternation.resident ? memory_resident : memory_moving;
  on_every_rank(comm, [&] {
    for (const Room& room : rooms) {
      if (room.left == 0 || memory_needed * room.sharers <= room.left) continue;
      throw Error(ExitCode::environment,
                  fmt::format("{} on {} need {:.1f} GiB of memory and {:.1f} are left: use a "
                              "larger --scale, fewer --layers or --tokens, {}or --weight-layers",
                              room.who, place.host,
                              static_cast<double>(memory_needed * room.sharers) / 0x1p30,
                              static_cast<double>(room.left) / 0x1p30,
                              options.resident ? "no --resident, " : ""));
    }
  });
}

/// The router decides once, under linear; every placement then replays what it chose.
void Session::record_router(const char* kept) {
  const int plan = options.in_sample ? 0 : options.plan_steps.value_or(kRouterPlanSteps);
  Trace whole;
  whole.steps = plan + options.steps;
  whole.layers = model.layers;
  whole.experts = model.experts;
  whole.topk = model.topk;
  const TokenRange tokens = share_of(options, workload.tokens, comm.rank(), comm.size());
  const std::size_t per_token = sz(model.layers) * sz(model.topk);
  const std::size_t k = sz(model.topk);
  // Every rank fills in its tokens; the sum over ranks puts them together.
  std::vector<std::int64_t> step_ids(sz(workload.tokens) * per_token);
  for (int step = 0; step < whole.steps; ++step) {
    throw_if_stopped(comm, kept);
    layers->load_step(step, tokens, {});
    std::fill(step_ids.begin(), step_ids.end(), 0);
    for (int layer = 0; layer < model.layers; ++layer) {
      static_cast<void>(layers->run_layer(layer));
      const auto ids = layers->last_ids();
      for (std::size_t i = 0; i < ids.size(); ++i) {
        step_ids[(sz(tokens.first) + i / k) * per_token + sz(layer) * k + i % k] = ids[i];
      }
    }
    comm.sum_in_place(step_ids);
    for (const auto id : step_ids) whole.topk_ids.push_back(static_cast<std::uint16_t>(id));
  }
  count_tokens(whole, workload.tokens);
  whole.source = fmt::format("router of {}, seed {}", model.name, options.seed);
  workload = split_workload(whole, plan, options.steps, options.in_sample);
  if (comm.rank() == 0) workload.digests = digests_of(whole);
  workload.label = "router (decided once under linear, replayed for every placement)";
}

ProfileOptions Session::profile_options(const std::vector<std::int64_t>& load_points) {
  const RoutedLoads routed(workload.plan, linear, kRoutedLoads, options.seed);
  std::vector<ReceivedLoad> loads;
  for (std::size_t i = 0; load_points.empty() && i < routed.count(); ++i) {
    loads.push_back(routed.of(comm.rank(), i));
  }
  return {.clock = host_clock(),
          .slowdown = slowdown[sz(comm.rank())],
          .max_load = limits_.pairs,
          .max_rows = limits_.rows,
          .slots = profiled.slots,
          .rows_per_pair = routed.rows_per_pair(),
          .step = workload.first_measured,
          .routed = std::move(loads),
          .budget_seconds = options.profile_seconds,
          .load_points = load_points,
          .seed = options.seed,
          .before_round = {},
          .progress = &progress};
}

MeasuredProfile Session::measure_profile(const std::string& kept,
                                         const std::vector<std::int64_t>& load_points) {
  return measure(kept, profile_options(load_points));
}

MeasuredProfile Session::measure_load(const std::string& kept, std::int64_t load) {
  ProfileOptions how = profile_options({0, load});
  how.tolerance = 0;
  how.most_rounds = kMostLoadRounds;
  const bool on_cpus = device_kind(options.device).shows_cpu_time;
  CpuTurns turns(on_cpus ? place.cpus : std::vector<int>(), comm.node_rank(), comm.node_size());
  how.before_round = [&turns] { turns.next(); };
  return measure(kept, std::move(how));
}

MeasuredProfile Session::measure(const std::string& kept, ProfileOptions how) {
  const Trace& trace = workload.measured;
  const TokenRange tokens = tokens_of(0);
  // Nodes may have different numbers of ranks, and all ranks must hold as many sets.
  const auto sharers = static_cast<std::int64_t>(comm.max(comm.node_size()));
  const std::size_t set_bytes =
      sz(sharers) * sz(profiled.slots) * sz(store->weight_layers()) * device->expert_bytes();
  const std::vector<Placement> sets = profiled_weights(
      profiled, alternation.resident ? static_cast<int>(options.placements.size()) : 1, set_bytes);
  std::vector<const Placement*> held;
  for (const Placement& set : sets) held.push_back(&set);
  static_cast<void>(store->hold(held));
  layers->use(profiled);
  layers->load_step(workload.first_measured, tokens, routed_ids(trace, 0, options.seed, tokens));
  ProfileLines lines(comm.rank() == 0 && !options.quiet, how.budget_seconds);
  how.before_round = [&, own = std::move(how.before_round)] {
    if (own) own();
    if (!kept.empty()) throw_if_stopped(comm, kept);
    lines.at_round();
  };
  layers->set_slowdown(how.slowdown);
  auto measured = gembench::measure_profile(comm, *device, model, *layers, *store, sets, how);
  layers->use(linear);  // whose experts are there
  progress.enter(Phase::prepare);
  measured.profile.model = shape_name();
  return measured;
}

void Session::choose_cost(const Profile& profile, const std::vector<std::string>& earlier) {
  std::string kind, why;
  on_root(comm, [&] {
    if (earlier.empty()) {
      const CostDecision chosen = decide_cost(options.cost, profile, linear.slots);
      kind = name_of(chosen.kind);
      why = chosen.why;
    } else {
      kind = earlier[0];
      why = earlier[1];
    }
  });
  comm.broadcast(kind);
  comm.broadcast(why);
  cost = cost_kind(kind);
  cost_reason = why;
}

std::size_t Session::row_bytes() const {
  return sz(model.hidden) * size_of(device->dtype());
}

std::string Session::shape_name() const {
  return gembench::shape_name(options, device->dtype());
}

std::string Session::describe_model() const {
  std::string text = fmt::format("{}: {} layers x {} experts{}, top-{}, hidden {}, ffn {}, {}",
                                 model.name, model.layers, model.experts,
                                 model.shared > 0 ? fmt::format(" + {} shared", model.shared) : "",
                                 model.topk, model.hidden, model.ffn, name_of(device->dtype()));
  if (options.dtype == "auto" && device->dtype() == DType::f32) {
    text += " (this CPU has no AVX-512 BF16)";
  }
  if (options.weight_layers && *options.weight_layers < model.layers) {
    text += fmt::format(", layers share {} sets of weights", *options.weight_layers);
  }
  if (!options.taken_from_trace.empty()) {
    text += fmt::format("; as the trace has them: {}", options.taken_from_trace);
  }
  if (!model.note.empty()) text += "; " + model.note;
  return text;
}

}  // namespace gembench::inline run
