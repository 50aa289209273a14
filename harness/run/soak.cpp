#include "harness/run/soak.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "harness/cli/device_kinds.hpp"
#include "harness/run/run_plan.hpp"
#include "harness/run/stop.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline run {
namespace {

constexpr double kWindow = 10;              // s
constexpr double kBetweenReadings = 0.05;   // s
constexpr double kBetweenJudgements = 0.2;  // s

bool reports(const std::optional<DeviceState>& state) {
  return state && !(std::isnan(state->temperature) && std::isnan(state->clock));
}

}  // namespace

double soak_limit(std::optional<double> asked, bool gpu, bool reports) {
  if (asked) return *asked;
  return gpu && reports ? kAutoSoak : 0;
}

SteadyRule steady_rule(double limit) {
  SteadyRule rule;
  rule.window = std::min(kWindow, limit / 4);
  return rule;
}

SoakRecord soak(Session& session, const Placement& placement, const std::string& kept) {
  const Comm& comm = session.comm;
  const bool told = comm.max(reports(session.device->state()) ? 1 : 0) > 0;
  const double limit =
      soak_limit(session.options.soak, device_kind(session.options.device).gpu, told);
  SoakRecord record;
  if (limit <= 0) return record;
  say(session, fmt::format("soaking: untimed steps until the devices are steady, for at most "
                           "{:g} s",
                           limit));
  MoeLayers& layers = *session.layers;
  const Trace& trace = session.workload.measured;
  layers.use(placement);
  std::vector<LayerReading> discarded(sz(session.model.layers));
  const double begin = wall_seconds();
  SteadyWatch watch(steady_rule(limit), begin);
  double read_at = -kBetweenReadings, judged_at = begin;
  int unsteady = SteadyWatch::kStepTime * SteadyWatch::kTooFew;
  bool over = false;
  for (record.steps = 0; !over; ++record.steps) {
    throw_if_stopped(comm, kept);
    const int step = static_cast<int>(record.steps % trace.steps);
    session.progress.enter(Phase::load);
    const TokenRange tokens = session.tokens_of(step);
    layers.load_step(session.workload.first_measured + step, tokens,
                     routed_ids(trace, step, session.options.seed, tokens));
    const double before = wall_seconds();
    const double seconds = layers.run_step(discarded);
    const double now = wall_seconds();
    // The host's time of a graph is mostly that of recording it; on cpu-time there is no other.
    watch.add_step(now, std::isfinite(seconds) ? seconds : now - before);
    if (now - read_at >= kBetweenReadings) {
      read_at = now;
      if (const auto state = session.device->state()) watch.add_state(now, *state);
    }
    // Each rank judges now and then; the last verdict holds until the next.
    if (now - judged_at >= kBetweenJudgements) {
      judged_at = now;
      unsteady = watch.unsteady(now);
    }
    const bool mine = unsteady == SteadyWatch::kNothing;
    record.steady = comm.min(mine ? 1 : 0) != 0 ? 1 : 0;
    over = record.steady == 1 || comm.max(now - begin) >= limit;
  }
  record.seconds = wall_seconds() - begin;
  if (record.steady == 0) {
    record.unsteady = words_of(comm.gather(std::span<const int>(&unsteady, 1)));
  }
  say(session, fmt::format("soaked for {:.1f} s, {} steps: {}", record.seconds, record.steps,
                           record.steady == 1 ? "steady" : "NOT steady: " + record.unsteady));
  return record;
}

}  // namespace gembench::inline run
