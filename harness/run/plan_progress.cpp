#include "harness/run/plan_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/cli/printing.hpp"
#include "harness/run/stop.hpp"
#include "moe_layer/mpi/launch.hpp"
#include "placement/exchange/plan_by_name.hpp"

namespace gembench::inline run {
namespace {

constexpr double kFirst = 2, kEvery = 5;  // s, of lines

}  // namespace

PlanProgress::PlanProgress(std::string what, bool quiet, std::string kept)
    : what_(std::move(what)),
      kept_(std::move(kept)),
      quiet_(quiet || launched_as().rank != 0),
      next_(begin_ + (draws_progress() ? 0 : kFirst)) {}

PlanProgress::~PlanProgress() {
  if (!quiet_) clear_progress();
}

void PlanProgress::at(const PlanStage& stage) {
  const auto where = [&] {
    return fmt::format("planning {}{}{}", what_, stage.part.empty() ? "" : ", ", stage.part);
  };
  if (must_stop()) {
    throw_stopped(fmt::format("while {}, layer {} of {} ({} done)", where(), stage.layer + 1,
                              stage.layers, stage.done),
                  kept_);
  }
  if (quiet_) return;
  const double now = wall_seconds(), every = draws_progress() ? kRedraw : kEvery;
  double next = next_.load(std::memory_order_relaxed);
  if (now < next || !next_.compare_exchange_strong(next, now + every)) return;
  if (draws_progress()) {
    draw_progress({where(), static_cast<double>(stage.done) / std::max(1, stage.layers),
                   fmt::format("{} of {} layers", stage.done, stage.layers)});
    return;
  }
  tell(fmt::format("{}: {} of {} layers after {:.0f} s", where(), stage.done, stage.layers,
                   now - begin_));
}

void PlanProgress::finished() const {
  if (must_stop()) throw_stopped(fmt::format("after planning {}", what_), kept_);
}

Placement plan_aloud(const std::string& name, PlanInput input, bool quiet,
                     const std::string& kept) {
  PlanProgress progress(name, quiet, kept);
  input.watch = progress.watch();
  Placement placement = plan_by_name(name, input);
  progress.finished();
  return placement;
}

}  // namespace gembench::inline run
