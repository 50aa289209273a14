#include "harness/run/measure.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "harness/run/collective_errors.hpp"
#include "harness/run/session.hpp"

namespace gembench {
namespace {

RunCommand small_run() {
  RunCommand options;
  options.scale = 32;
  options.layers = 2;
  options.tokens = 96;
  options.plan_steps = 4;
  options.steps = 8;
  options.block = 4;
  options.check = "all";
  options.quiet = true;
  return options;
}

TEST(Measure, gives_every_block_of_every_placement_to_the_root) {
  const Comm comm = Comm::world();
  const RunCommand options = small_run();
  Progress progress;
  Session session(comm, options, progress);
  const std::vector<Placement> placements{session.linear, session.linear};
  std::vector<SegmentRecord> kept;
  const auto schedule = make_schedule(options.steps, *options.block, 2, options.seed);
  const RunEnd end = measure(session, {placements}, schedule, {},
                             {[&](const SegmentRecord& block) { kept.push_back(block); }});
  EXPECT_TRUE(end.check.passed) << end.check.message;
  EXPECT_EQ(end.check.checked_tokens, 2 * 8 * 2 * comm.size())
      << "placements, steps, layers, ranks";
  if (comm.rank() != 0) {
    EXPECT_TRUE(kept.empty());
    return;
  }
  ASSERT_EQ(kept.size(), 4U);
  std::int64_t next = 0;
  for (const SegmentRecord& block : kept) {
    EXPECT_EQ(block.at.steps, 4);
    EXPECT_GE(block.notes.experts_moved, 0);
    EXPECT_EQ(block.notes.check_passed, 1);
    for (const auto order : block.order) EXPECT_EQ(order, next++);
    for (const double seconds : block.step_time) EXPECT_GT(seconds, 0);
    for (const double seconds : block.time[time_at("barrier_wait")]) {
      EXPECT_GE(seconds, 0);
    }
  }
  // Rows between ranks: every token reaches at least one rank, none a rank twice.
  const std::int64_t row = static_cast<std::int64_t>(session.layers->row_bytes());
  std::int64_t bytes = 0;
  for (const auto pair : end.bytes_pair) bytes += pair;
  EXPECT_GE(bytes, 2 * 8 * 2 * 96 * row);
  EXPECT_LE(bytes, 2 * 8 * 2 * 96 * row * std::min(4, comm.size()));
}

/// Of a run with a placement that has to be moved to, its segments and whether it was steady.
std::pair<std::vector<SegmentRecord>, SoakRecord> run_soaked(const Comm& comm, double seconds,
                                                             bool resident) {
  RunCommand options = small_run();
  options.soak = seconds;
  options.resident = resident;
  options.placements = {"linear", "other"};
  Progress progress;
  Session session(comm, options, progress);
  Placement other = session.linear;
  other.strategy = "other";
  for (int layer = 0; layer < other.layers; ++layer) {  // of each layer by itself
    const auto size = static_cast<std::ptrdiff_t>(other.slot_expert.size()) / other.layers;
    std::reverse(other.slot_expert.begin() + layer * size,
                 other.slot_expert.begin() + (layer + 1) * size);
  }
  std::vector<SegmentRecord> kept;
  const auto schedule = make_schedule(options.steps, *options.block, 2, options.seed);
  const RunEnd end = measure(session, {{other, session.linear}}, schedule, {},
                             {[&](const SegmentRecord& block) { kept.push_back(block); }});
  EXPECT_TRUE(end.check.passed) << end.check.message;
  return {kept, end.soak};
}

TEST(Measure, a_soak_takes_its_time_and_changes_nothing) {
  const Comm comm = Comm::world();
  for (const bool resident : {false, true}) {
    const auto [plain, none] = run_soaked(comm, 0, resident);
    const auto [soaked, soak] = run_soaked(comm, 0.2, resident);
    EXPECT_EQ(none.steps, -1);
    EXPECT_TRUE(std::isnan(none.seconds));
    EXPECT_GE(soak.steps, 1);
    EXPECT_GE(soak.seconds, 0.05);  // a window, at least
    EXPECT_GE(soak.steady, 0);
    if (comm.rank() == 0) {
      EXPECT_EQ(soak.unsteady.empty(), soak.steady == 1) << soak.unsteady;
    }
    ASSERT_EQ(plain.size(), soaked.size());
    double before = 0;
    for (std::size_t i = 0; i < plain.size(); ++i) {
      EXPECT_EQ(plain[i].count, soaked[i].count);
      EXPECT_EQ(plain[i].order, soaked[i].order);
      EXPECT_EQ(plain[i].notes.experts_moved, soaked[i].notes.experts_moved);
      EXPECT_EQ(plain[i].notes.bytes_moved, soaked[i].notes.bytes_moved);
      EXPECT_EQ(plain[i].notes.checked_tokens, soaked[i].notes.checked_tokens);
      EXPECT_EQ(plain[i].notes.check_error, soaked[i].notes.check_error);
      EXPECT_TRUE(soaked[i].states.empty());  // a CPU
      EXPECT_EQ(soaked[i].notes.job, 0);
      EXPECT_GE(soaked[i].notes.begin, before);
      EXPECT_GT(soaked[i].notes.end, soaked[i].notes.begin);
      before = soaked[i].notes.end;
    }
  }
}

TEST(Measure, a_wrong_weight_fails_the_check_and_names_placement_step_layer_and_token) {
  const Comm comm = Comm::world();
  const RunCommand options = small_run();
  Progress progress;
  Session session(comm, options, progress);
  for (const int expert : session.linear.on_rank(0, comm.rank())) {
    Buffer& weights = session.store->held(0, expert);
    std::memset(weights.as<char>(), 0, weights.bytes());
  }
  const RunEnd end = measure(session, {{session.linear}},
                             make_schedule(options.steps, *options.block, 1, options.seed), {},
                             {[](const SegmentRecord&) {}});
  EXPECT_FALSE(end.check.passed);
  EXPECT_EQ(end.check.message.find("linear step 0 layer 0 token "), 0U) << end.check.message;
}

TEST(Measure, a_value_that_is_not_finite_ends_the_run_before_its_segment_is_kept) {
  const Comm comm = Comm::world();
  RunCommand options = small_run();
  options.check = "none";
  Progress progress;
  Session session(comm, options, progress);
  const int last = comm.size() - 1;
  if (comm.rank() == last) {
    const int expert = session.linear.on_rank(1, last).front();
    Buffer& weights = session.store->held(1, expert);
    std::memset(weights.as<char>(), 0xff, weights.bytes());  // NaN in f32 and in bf16
  }
  int kept = 0;
  try {
    static_cast<void>(measure(session, {{session.linear}},
                              make_schedule(options.steps, *options.block, 1, options.seed), {},
                              {[&](const SegmentRecord&) { ++kept; }}));
    FAIL() << "NaN went unnoticed";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::failed);
    EXPECT_NE(std::string(error.what()).find("NaN or infinite after step 3 under linear"),
              std::string::npos)
        << error.what();
  }
  EXPECT_EQ(kept, 0);
}

void finished_segments_are_not_run_again_but_counted(const char* dispatch, int ranks_per_node) {
  const Comm comm = Comm::world();
  RunCommand options = small_run();
  options.dispatch = dispatch;
  options.ranks_per_node = ranks_per_node;
  Progress progress;
  Session session(comm, options, progress);
  const std::vector<Placement> placements{session.linear, session.linear};
  const auto schedule = make_schedule(options.steps, *options.block, 2, options.seed);
  std::vector<SegmentRecord> all;
  const RunEnd whole = measure(session, {placements}, schedule, {},
                               {[&](const SegmentRecord& block) { all.push_back(block); }});

  FinishedSegments finished;
  finished.done = {1, 0, 1, 0};
  finished.notes.resize(4);
  for (const std::size_t segment : {0U, 2U}) {
    finished.notes[segment].checked_tokens = 4 * 2 * comm.size();
    finished.notes[segment].check_error = segment == 0 ? 0.5 : 0.25;
    finished.notes[segment].check_passed = 1;
  }
  std::vector<SegmentRecord> kept;
  RunEnd end = measure(session, {placements}, schedule, finished,
                       {[&](const SegmentRecord& block) { kept.push_back(block); }});
  EXPECT_EQ(end.bytes_pair, whole.bytes_pair)
      << "payload of finished segments is counted from routing";
  EXPECT_EQ(end.check.checked_tokens, whole.check.checked_tokens);
  EXPECT_EQ(end.check.worst_error, 0.5) << "the verdict covers both runs";
  EXPECT_TRUE(end.check.passed);
  if (comm.rank() == 0) {
    ASSERT_EQ(kept.size(), 2U);
    for (const std::size_t i : {0U, 1U}) {
      const SegmentRecord &now = kept[i], &before = all[2 * i + 1];
      EXPECT_EQ(now.segment, before.segment);
      EXPECT_EQ(now.order, before.order);
      EXPECT_EQ(now.count, before.count);
    }
  }

  finished.notes[2].check_passed = 0;
  end = measure(session, {placements}, schedule, finished, {[](const SegmentRecord&) {}});
  EXPECT_FALSE(end.check.passed);
  EXPECT_NE(end.check.message, "");

  // A start of the run by itself, also after those that do not say which they were.
  for (const auto& [before, now] : {std::pair(0, 1), std::pair(3, 4), std::pair(-1, 1)}) {
    for (SegmentNotes& notes : finished.notes) notes.job = before;
    kept.clear();
    static_cast<void>(measure(session, {placements}, schedule, finished,
                              {[&](const SegmentRecord& block) { kept.push_back(block); }}));
    for (const SegmentRecord& block : kept) EXPECT_EQ(block.notes.job, now);
  }
}

TEST(Measure, what_an_earlier_run_has_finished_is_not_run_again_but_counted) {
  finished_segments_are_not_run_again_but_counted("flat", 1);
  finished_segments_are_not_run_again_but_counted("hierarchical", 2);
  finished_segments_are_not_run_again_but_counted("hierarchical", 3);
}

TEST(Measure, starts_on_all_ranks_lie_together_on_the_clock_of_rank_0) {
  const Comm comm = Comm::world();
  RunCommand options = small_run();
  options.clock = "wall";
  options.ranks_per_node = 1;  // so that clocks are asked for
  options.placements = {"linear"};
  Progress progress;
  Session session(comm, options, progress);
  std::vector<SegmentRecord> kept;
  const RunEnd end = measure(session, {{session.linear}},
                             make_schedule(options.steps, *options.block, 1, options.seed), {},
                             {[&](const SegmentRecord& block) { kept.push_back(block); }});
  if (comm.rank() != 0) return;
  for (const auto* clocks : {&end.clocks_before, &end.clocks_after}) {
    ASSERT_EQ(clocks->size(), static_cast<std::size_t>(comm.size()));
    // All ranks left the barrier before the epoch within the time of a scheduler's segment.
    for (const ClockReading& clock : *clocks) EXPECT_LT(std::abs(clock.offset), 1 + clock.error);
    EXPECT_EQ(clocks->front().offset, 0);
  }
  // Every rank starts a layer after all have ended the one before: t0 plus the layer's own parts.
  const auto& start = kept[0].time[time_at("start_time")];
  const auto& length = kept[0].time[time_at("layer_time")];
  const auto ranks = static_cast<std::size_t>(comm.size());
  for (std::size_t first = 0; first + 2 * ranks <= start.size(); first += ranks) {
    for (std::size_t a = 0; a < ranks; ++a) {
      for (std::size_t b = 0; b < ranks; ++b) {
        const ClockReading &of_a = end.clocks_before[a], &of_b = end.clocks_before[b];
        const double ended = start[first + a] + length[first + a] + of_a.offset;
        const double begun = start[first + ranks + b] + of_b.offset;
        EXPECT_LE(ended, begun + of_a.error + of_b.error + 1e-6) << "barrier broken by the clocks";
      }
    }
  }
}

TEST(Measure, tokens_are_split_as_asked) {
  const Comm comm = Comm::world();
  RunCommand options = small_run();
  for (int rank = 0; rank < comm.size(); ++rank) options.tokens_per_rank.push_back(rank * 10 + 7);
  options.tokens.reset();
  Progress progress;
  Session session(comm, options, progress);
  EXPECT_EQ(session.tokens_of(0).count, comm.rank() * 10 + 7);
  const RunEnd end = measure(session, {{session.linear}},
                             make_schedule(options.steps, *options.block, 1, options.seed), {},
                             {[](const SegmentRecord&) {}});
  EXPECT_TRUE(end.check.passed) << end.check.message;
}

/// Alternates step by step, as where all experts fit, and ends at the first look at intervals.
RunCommand run_that_ends_early() {
  RunCommand options = small_run();
  options.steps = 40;
  options.block = 1;
  options.warmup = 0;
  options.resident = true;
  options.check = "last";
  options.precision = 1e6;  // met at the first look, however noisy the machine
  return options;
}

TEST(Measure, ends_where_intervals_are_narrow_enough_and_checks_what_ran_last) {
  const Comm comm = Comm::world();
  const RunCommand options = run_that_ends_early();
  Progress progress;
  Session session(comm, options, progress);
  const std::vector<Placement> placements{session.linear, session.linear};
  const auto schedule = make_schedule(options.steps, 1, 2, options.seed);
  std::vector<SegmentRecord> kept;
  std::map<int, SegmentNotes> checked;
  const RunEnd end =
      measure(session, {placements}, schedule, {},
              {[&](const SegmentRecord& block) { kept.push_back(block); },
               [&](int segment, const SegmentNotes& notes) { checked[segment] = notes; }});
  EXPECT_TRUE(end.check.passed) << end.check.message;
  EXPECT_EQ(end.check.checked_tokens, 2 * 2 * comm.size()) << "placements, layers, ranks";
  EXPECT_NE(end.stopped.find("--precision 1e+06 asks"), std::string::npos) << end.stopped;
  if (comm.rank() != 0) return;
  ASSERT_EQ(kept.size(), 48U) << "24 of 40 steps";
  ASSERT_EQ(checked.size(), 2U);
  for (const auto& [segment, notes] : checked) {
    EXPECT_GE(segment, 46);
    EXPECT_EQ(notes.check_passed, 1);
  }
  for (const SegmentRecord& block : kept) {
    EXPECT_EQ(block.notes.experts_moved >= 0, block.at.block == 0)
        << "what a switch takes is told with the first segments alone";
  }
}

TEST(Measure, a_run_that_goes_on_counts_what_is_finished_and_checks_what_is_not) {
  const Comm comm = Comm::world();
  const RunCommand options = run_that_ends_early();
  Progress progress;
  Session session(comm, options, progress);
  const std::vector<Placement> placements{session.linear, session.linear};
  const auto schedule = make_schedule(options.steps, 1, 2, options.seed);
  FinishedSegments finished;  // all that it takes, but the run was cut off before the check
  finished.done.assign(schedule.size(), 0);
  finished.notes.resize(schedule.size());
  finished.step_time.resize(schedule.size());
  for (std::size_t i = 0; i < 48; ++i) {
    finished.done[i] = 1;
    finished.step_time[i].assign(static_cast<std::size_t>(comm.size()),
                                 1 + 0.01 * static_cast<double>(i % 7));
  }
  finished.notes[47].check_passed = 1;  // one placement was checked
  finished.notes[47].checked_tokens = 5;
  int kept = 0, checked = 0;
  const RunEnd end = measure(session, {placements}, schedule, finished,
                             {[&](const SegmentRecord&) { ++kept; },
                              [&](int segment, const SegmentNotes&) { checked += segment; }});
  EXPECT_EQ(kept, 0) << "the intervals were narrow enough before";
  EXPECT_EQ(end.check.checked_tokens, 5 + 2 * comm.size());
  EXPECT_EQ(checked, comm.rank() == 0 ? 46 : 0);
}

}  // namespace
}  // namespace gembench
