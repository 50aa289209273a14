#include "harness/run/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "harness/cli/run_length.hpp"
#include "harness/run/adaptation.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/progress_lines.hpp"
#include "harness/run/rows_sent.hpp"
#include "harness/run/soak.hpp"
#include "harness/run/state_sampler.hpp"
#include "harness/run/stop.hpp"
#include "harness/run/stop_rule.hpp"
#include "moe_layer/machine_state.hpp"
#include "moe_layer/mpi/clock_offset.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline run {
namespace {

/// Which start of the run this is, 0 = the first, after segments of earlier ones; those of files
/// before 2.10.0 do not say.
int job_after(const FinishedSegments& finished) {
  int last = -1;
  for (std::size_t i = 0; i < finished.done.size(); ++i) {
    if (finished.done[i] != 0) last = std::max({last, 0, finished.notes[i].job});
  }
  return last + 1;
}

/// The loop over segments, with its sums.
class Measurement {
 public:
  /// `job`: which start of the run this is, in the first nothing was measured before. `kept`: what
  /// an end would leave.
  Measurement(Session& session, const Candidates& candidates, int job, std::string kept)
      : session_(session),
        sampler_([&device = *session.device] { return device.state(); }),
        job_(job),
        candidates_(candidates),
        now_(candidates.placements),
        adaptations_(candidates.placements.size()),
        options_(session.options),
        how_(session.alternation),
        trace_(session.workload.measured),
        shape_{static_cast<int>(candidates.placements.size()),
               trace_.steps,
               session.model.layers,
               session.comm.size(),
               session.model.experts,
               0,
               0},
        discarded_(sz(session.model.layers)),
        rows_to_(candidates.placements.size(),
                 std::vector<std::int64_t>(sz(shape_.layers) * sz(shape_.ranks), 0)),
        moves_(candidates.placements.size()),
        kept_(std::move(kept)) {
    end_.check.mode = options_.check;
    for (const Placement& placement : now_) all_.push_back(&placement);
    for (std::size_t p = 0; p < candidates.adaptive.size(); ++p) {
      if (candidates.adaptive[p].adapts && session.comm.rank() == 0) prepare_to_adapt(p);
    }
    if (how_.resident && job == 0) time_moves();
    if (how_.resident) static_cast<void>(session.store->hold(all_));
    end_.soak = soak(session, how_.resident ? *all_[0] : session.linear, kept_);
    session.comm.barrier();
    epoch_ = wall_seconds();
    sampler_.begin();
    end_.clocks_before = clocks();
  }

  /// One segment from the switch to its readings, gathered on rank 0; `order` as in
  /// gather_segment().
  SegmentRecord run(const Segment& segment, std::int64_t order) {
    stop_if_asked();
    session_.progress.enter(Phase::move);
    SegmentNotes notes;
    const Placement* placement = &begin_of(segment);
    std::optional<MoveReport> moved = std::exchange(moves_[sz(segment.placement)], std::nullopt);
    if (!how_.resident) moved = session_.store->hold({&placement, 1});
    if (moved) {
      notes.experts_moved = moved->experts_moved;
      notes.bytes_moved = moved->bytes;
      notes.move_seconds = moved->seconds;
    }
    MoeLayers& layers = *session_.layers;
    layers.use(*placement, candidates_.split);
    for (int i = 0; i < how_.warmup; ++i) {
      stop_if_asked();
      // The steps before the block, so that the block's own data are not warm either.
      load(((segment.first_step - how_.warmup + i) % trace_.steps + trace_.steps) % trace_.steps);
      static_cast<void>(layers.run_step(discarded_));
    }
    readings_.layers.assign(sz(segment.steps) * sz(shape_.layers), {});
    readings_.step_time.assign(sz(segment.steps), 0);
    layers.clear_rows_to();
    around_steps_.clear();
    const long switches_before = involuntary_switches();
    notes.job = job_;
    notes.begin = wall_seconds() - epoch_;
    for (int i = 0; i < segment.steps; ++i) {
      stop_if_asked();
      load(segment.first_step + i);
      if (session_.clock == Clock::gpu_stamps) add_step_clocks();
      readings_.step_time[sz(i)] = layers.run_step(
          std::span(readings_.layers).subspan(sz(i) * sz(shape_.layers), sz(shape_.layers)));
    }
    notes.end = wall_seconds() - epoch_;
    if (session_.clock == Clock::gpu_stamps) add_step_clocks();
    switches_ += static_cast<double>(involuntary_switches() - switches_before);
    steps_ += segment.steps;
    session_.progress.enter(Phase::gather);
    require_finite(segment);
    add_rows(segment, layers.rows_to());
    const double begin = wall_seconds();
    SegmentRecord block = gather_segment(session_.comm, segment, readings_, epoch_, order);
    end_.seconds["gather"] += wall_seconds() - begin;
    block.notes = notes;
    block.states = states();
    if (adapts()) block.slots = placement->slot_expert;
    return block;
  }

  /// Collective: lets an adaptive placement change after a segment; records the cost.
  void adapt(const Segment& segment, SegmentRecord& block) {
    const std::size_t p = sz(segment.placement);  // a block is rank 0's alone
    if (candidates_.adaptive.empty() || !candidates_.adaptive[p].adapts) return;
    std::optional<Change> change;
    std::vector<std::int32_t> slots;  // of the placement to change to; empty: it stays
    on_root(session_.comm, [&] {
      change = adaptations_[p]->observe(block, shape_, trace_);
      if (change) slots = adaptations_[p]->placement().slot_expert;
    });
    session_.comm.broadcast(slots);
    if (slots.empty()) return;
    now_[p].slot_expert = slots;
    session_.progress.enter(Phase::move);
    const Placement* one = &now_[p];
    const MoveReport moved =
        how_.resident ? session_.store->hold(all_) : session_.store->hold({&one, 1});
    if (!change) return;
    block.notes.replan = {change->reason, moved.experts_moved,      moved.bytes,
                          moved.seconds,  change->planning_seconds, change->predicted_gain};
  }

  /// Collective: what was read from the devices since the last call, [rank] on rank 0; empty if
  /// they report nothing.
  std::vector<std::vector<StateSample>> states() {
    std::vector<std::vector<StateSample>> all;
    if (!sampler_.reports()) return all;
    std::vector<StateSample> mine = sampler_.take();
    for (StateSample& sample : mine) {
      sample.time -= epoch_;
      sample.job = job_;
    }
    return gather_samples(session_.comm, std::move(mine));
  }

  /// Notes what an end would leave from now on.
  void keeps(const std::string& kept) { kept_ = kept; }

  /// Compares the segment's last `steps` steps with a reference.
  void check(const Segment& segment, int steps, SegmentNotes& notes) {
    if (steps == 0) return;
    const Placement& placement = *all_[sz(segment.placement)];
    notes.checked_tokens = 0;
    notes.check_error = 0;
    notes.check_passed = 1;
    for (int step = segment.first_step + segment.steps - steps;
         step < segment.first_step + segment.steps; ++step) {
      std::vector<float> of_graph;
      if (session_.clock == Clock::gpu_stamps) {
        load(step);
        static_cast<void>(session_.layers->run_step(discarded_));
        of_graph = session_.layers->hidden_states();
      }
      load(step);
      session_.progress.enter(Phase::check);
      CheckOutcome outcome =
          check_step(session_.comm, *session_.device, session_.model, *session_.store,
                     *session_.layers, placement, options_.seed);
      if (session_.clock == Clock::gpu_stamps) {
        check_graph(session_.comm, of_graph, session_.layers->hidden_states(), outcome);
      }
      notes.checked_tokens += outcome.tokens;
      notes.check_error = std::max(notes.check_error, outcome.worst_error);
      end_.check.tolerance = outcome.tolerance;
      if (outcome.passed) continue;
      notes.check_passed = 0;
      if (end_.check.message.empty()) {
        end_.check.message =
            fmt::format("{} step {} {}", placement.strategy, step, outcome.message);
      }
    }
  }

  /// Collective: compares the last step of every placement that has not been, which `segments`
  /// hold.
  void check_last(std::span<const Segment> segments, const FinishedSegments& finished,
                  const RunSink& sink) {
    std::map<int, std::size_t> last;
    for (std::size_t i = 0; i < segments.size(); ++i) last[segments[i].placement] = i;
    for (const auto& [p, i] : last) {
      if (i < finished.done.size() && finished.done[i] != 0 && finished.notes[i].check_passed >= 0)
        continue;
      const Placement* placement = &begin_of(segments[i]);
      session_.progress.enter(Phase::move);
      if (!how_.resident) static_cast<void>(session_.store->hold({&placement, 1}));
      session_.layers->use(*placement, candidates_.split);
      SegmentNotes notes;
      check(segments[i], 1, notes);
      add(notes);
      session_.progress.enter(Phase::write);
      on_root(session_.comm, [&, segment = static_cast<int>(i)] { sink.check(segment, notes); });
    }
  }

  /// A segment that an earlier run has measured: only its sums are updated.
  void skip(const Segment& segment) {
    const Placement& placement = begin_of(segment);
    for (int step = segment.first_step; step < segment.first_step + segment.steps; ++step) {
      add_rows(segment, rows_sent(session_, step, placement, candidates_.split));
    }
  }

  void add(const SegmentNotes& notes) {
    if (notes.check_passed < 0) return;
    end_.check.checked_tokens += notes.checked_tokens;
    end_.check.worst_error = std::max(end_.check.worst_error, notes.check_error);
    end_.check.passed = end_.check.passed && notes.check_passed == 1;
  }

  RunEnd finish() {
    end_.clocks_after = clocks();
    raise_errors(end_.clocks_after, worst_);
    end_.states = states();
    if (const auto use = sampler_.finish()) {  // all ranks have one kind of device
      end_.gpu_during = session_.comm.gather(std::span<const GpuUse>(&*use, 1));
    }
    const double switches = switches_ / steps_;  // NaN when nothing was left to measure
    for (const double one : session_.comm.gather(std::span<const double>(&switches, 1))) {
      end_.quiet_during.push_back({.switches = one});
    }
    const std::size_t layers = sz(shape_.layers), ranks = sz(shape_.ranks);
    end_.bytes_pair.assign(sz(shape_.placements) * layers * ranks * ranks, 0);
    for (std::size_t p = 0; p < rows_to_.size(); ++p) {
      const auto gathered = session_.comm.gather(std::span<const std::int64_t>(rows_to_[p]));
      for (std::size_t i = 0; i < gathered.size(); ++i) {
        const std::size_t source = i / (layers * ranks), layer = i / ranks % layers, to = i % ranks;
        end_.bytes_pair[((p * layers + layer) * ranks + source) * ranks + to] =
            gathered[i] * static_cast<std::int64_t>(session_.layers->row_bytes());
      }
    }
    if (!end_.check.passed && end_.check.message.empty()) {
      end_.check.message = "in a segment before --resume, see check_passed in its file";
    }
    return end_;
  }

  /// On rank 0: what can be told only when the readings of all ranks are together.
  void complete(SegmentRecord& block) {
    if (session_.clock == Clock::cpu_time) complete_cpu_time(block, shape_);
    if (session_.clock != Clock::gpu_stamps) return;
    const auto used = clocks_in_steps(around_steps_, shape_.ranks);
    complete_stamps(block, shape_, used);
    worst_.resize(sz(shape_.ranks));
    raise_errors(worst_, used);
  }

  void stopped(const std::string& why) { end_.stopped = why; }
  [[nodiscard]] const RunShape& shape() const { return shape_; }
  [[nodiscard]] const SoakRecord& soaked() const { return end_.soak; }
  double& seconds(const char* part) { return end_.seconds[part]; }

 private:
  /// Collective: [rank] on rank 0, the offset from a start_time to rank 0's clock.
  [[nodiscard]] std::vector<ClockReading> clocks(int rounds = 50) const {
    const auto offsets = clock_offsets(session_.comm, session_.topology, rounds);
    const double stamped = session_.layers->stamp_error();
    const auto epochs = session_.comm.gather(std::span<const double>(&epoch_, 1));
    const auto errors = session_.comm.gather(std::span<const double>(&stamped, 1));
    std::vector<ClockReading> clocks;
    for (std::size_t rank = 0; rank < offsets.size(); ++rank) {
      clocks.push_back(
          {offsets[rank].seconds + epochs[rank] - epochs[0], offsets[rank].error + errors[rank]});
    }
    return clocks;
  }
  /// Collective: clocks of different nodes drift apart by microseconds in seconds.
  void add_step_clocks() {
    constexpr int kRounds = 10;
    const auto now = clocks(kRounds);
    around_steps_.insert(around_steps_.end(), now.begin(), now.end());
  }
  /// For segments that move nothing: measures a switch from the first placement to each of the
  /// others and back.
  void time_moves() {
    static_cast<void>(session_.store->hold({&all_[0], 1}));
    for (std::size_t p = 1; p < all_.size(); ++p) {
      session_.progress.enter(Phase::move);
      stop_if_asked();
      moves_[p] = session_.store->hold({&all_[p], 1});
      moves_[0] = session_.store->hold({&all_[0], 1});
    }
  }
  /// Between any two steps, measured or not: a launcher that was asked to stop kills ranks soon.
  void stop_if_asked() const { throw_if_stopped(session_.comm, kept_); }
  /// Collective: checks the results of the segment's last step. Untimed.
  void require_finite(const Segment& segment) const {
    const std::int64_t wrong = session_.layers->count_not_finite();
    on_every_rank(session_.comm, [&] {
      if (wrong == 0) return;
      throw Error(
          ExitCode::failed,
          fmt::format("{} values of rank {} on {} are NaN or infinite after step {} under "
                      "{}: look at that rank's device and memory (ECC errors, overclocking)",
                      wrong, session_.comm.rank(), session_.place.host,
                      segment.first_step + segment.steps - 1,
                      all_[sz(segment.placement)]->strategy));
    });
  }
  void load(int step) {
    session_.progress.at_step(step);
    if (!session_.drifts.empty()) {
      const auto slowdown = slowdown_at(session_.slowdown, session_.drifts, step);
      session_.layers->set_slowdown(slowdown[sz(session_.comm.rank())]);
    }
    session_.progress.enter(Phase::load);
    const TokenRange tokens = session_.tokens_of(step);
    session_.layers->load_step(session_.workload.first_measured + step, tokens,
                               routed_ids(trace_, step, options_.seed, tokens));
  }
  [[nodiscard]] bool adapts() const {
    return std::ranges::any_of(candidates_.adaptive, &AdaptivePlacement::adapts);
  }
  void prepare_to_adapt(std::size_t p) {
    adaptations_[p] =
        std::make_unique<Adaptation>(now_[p], *candidates_.profile, session_.workload.plan,
                                     AdaptationOptions{.cost = session_.cost,
                                                       .profile_slots = session_.linear.slots,
                                                       .token_split = options_.token_split,
                                                       .segment_steps = how_.block,
                                                       .replan = options_.replan});
  }
  /// The placement that a segment runs under.
  const Placement& begin_of(const Segment& segment) {
    const std::size_t p = sz(segment.placement);
    if (!candidates_.adaptive.empty() && !candidates_.adaptive[p].later.empty()) {
      now_[p] = in_force(candidates_.placements[p], candidates_.adaptive[p], segment.first_step);
      if (how_.resident) static_cast<void>(session_.store->hold(all_));
    }
    return now_[p];
  }
  void add_rows(const Segment& segment, std::span<const std::int64_t> rows) {
    auto& sum = rows_to_[sz(segment.placement)];
    std::transform(rows.begin(), rows.end(), sum.begin(), sum.begin(), std::plus<>());
  }

  Session& session_;
  StateSampler sampler_;
  int job_;
  const Candidates& candidates_;
  std::vector<Placement> now_;                            // [placement] in force
  std::vector<std::unique_ptr<Adaptation>> adaptations_;  // [placement], rank 0's
  const SessionOptions& options_;
  const Alternation& how_;
  const Trace& trace_;
  std::vector<const Placement*> all_;
  RunShape shape_;
  double epoch_ = 0;
  std::vector<LayerReading> discarded_;
  SegmentReadings readings_;
  // On rank 0: clocks() before every step of the segment and after the last, [step + 1][rank]; and
  // [rank] the largest error of those that stamps were compared with; empty: none were.
  std::vector<ClockReading> around_steps_, worst_;
  std::vector<std::vector<std::int64_t>> rows_to_;  // [placement][layer * destination]
  std::vector<std::optional<MoveReport>> moves_;    // [placement] a switch to it, to be stored
  std::string kept_;                                // what an end would leave
  double switches_ = 0, steps_ = 0;  // involuntary, of this rank in measured steps; those steps
  RunEnd end_;
};

}  // namespace

RunEnd measure(Session& session, const Candidates& candidates, const std::vector<Segment>& schedule,
               const FinishedSegments& finished, const RunSink& sink) {
  const Comm& comm = session.comm;
  const SessionOptions& options = session.options;
  const auto kept_before = static_cast<std::size_t>(std::ranges::count(finished.done, 1));
  const auto is_finished = [&](std::size_t i) {
    return i < finished.done.size() && finished.done[i] != 0;
  };
  const auto kept_now = [&](std::size_t segments) {
    return fmt::format("{} of {} segments are kept in {}", segments, schedule.size(), sink.kept_in);
  };
  Measurement measurement(session, candidates, job_after(finished), kept_now(kept_before));
  on_root(comm, [&] { sink.soaked(measurement.soaked()); });
  const double begin = wall_seconds();
  StopWatch watch(stop_rule(options), static_cast<int>(candidates.placements.size()));
  ProgressLines progress(comm.rank() == 0 && !options.quiet, schedule.size(),
                         stop_rule(options).max_seconds);
  std::int64_t order = 0;
  std::size_t kept = kept_before, next = 0;
  std::string stopped;
  while (next < schedule.size() && stopped.empty()) {
    const std::size_t i = next++;
    const Segment& segment = schedule[i];
    if (is_finished(i)) {
      measurement.skip(segment);
      measurement.add(finished.notes[i]);
      progress.skip();
      if (comm.rank() == 0 && may_end_early(options)) {
        watch.add(segment, finished.step_time[i], comm.size());
      }
    } else {
      SegmentRecord block = measurement.run(segment, order);
      measurement.check(segment, options.check == "all" ? segment.steps : 0, block.notes);
      measurement.add(block.notes);
      measurement.adapt(segment, block);
      session.progress.enter(Phase::write);
      on_root(comm, [&] {
        block.segment = static_cast<int>(i);
        require_all_tokens(block, measurement.shape(), session.workload.measured,
                           candidates.placements[sz(segment.placement)].strategy);
        measurement.complete(block);
        watch.add(segment, block.step_time, comm.size());
        const double before = wall_seconds();
        sink.segment(block);
        measurement.seconds("write") += wall_seconds() - before;
      });
      measurement.keeps(kept_now(++kept));
      progress.done(fmt::format(
          "{}, block {}", candidates.placements[sz(segment.placement)].strategy, segment.block));
    }
    order += segment.steps;
    const bool all_ran = next == schedule.size() || schedule[next].block != segment.block;
    if (all_ran && may_end_early(options)) {
      if (comm.rank() == 0) {
        stopped =
            watch.ends(segment.first_step + segment.steps, wall_seconds() - begin).value_or("");
      }
      comm.broadcast(stopped);
    }
  }
  if (options.check == "last") {
    measurement.check_last(std::span(schedule).first(next), finished, sink);
  }
  measurement.stopped(stopped.empty() ? at_last_step(options) : stopped);
  return measurement.finish();
}

}  // namespace gembench::inline run
