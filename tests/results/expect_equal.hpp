#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "results/run_reader.hpp"

/// Field by field; NaN equals NaN.
namespace gembench::example {

inline bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b;
}

inline void expect_same(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_PRED2(same, a[i], b[i]) << "at " << i;
}

inline void expect_equal(const SegmentNotes& a, const SegmentNotes& b) {
  EXPECT_EQ(a.experts_moved, b.experts_moved);
  EXPECT_EQ(a.bytes_moved, b.bytes_moved);
  EXPECT_PRED2(same, a.move_seconds, b.move_seconds);
  EXPECT_EQ(a.checked_tokens, b.checked_tokens);
  EXPECT_PRED2(same, a.check_error, b.check_error);
  EXPECT_EQ(a.check_passed, b.check_passed);
  EXPECT_EQ(a.replan.reason, b.replan.reason);
  EXPECT_EQ(a.replan.experts_moved, b.replan.experts_moved);
  EXPECT_EQ(a.replan.bytes_moved, b.replan.bytes_moved);
  EXPECT_PRED2(same, a.replan.move_seconds, b.replan.move_seconds);
  EXPECT_PRED2(same, a.replan.planning_seconds, b.replan.planning_seconds);
  EXPECT_PRED2(same, a.replan.predicted_gain, b.replan.predicted_gain);
  EXPECT_PRED2(same, a.begin, b.begin);
  EXPECT_PRED2(same, a.end, b.end);
  EXPECT_EQ(a.job, b.job);
}

inline void expect_equal(const Segment& a, const Segment& b) {
  EXPECT_EQ(a.placement, b.placement);
  EXPECT_EQ(a.first_step, b.first_step);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.block, b.block);
}

inline void expect_equal(const SegmentRecord& a, const SegmentRecord& b) {
  EXPECT_EQ(a.segment, b.segment);
  expect_equal(a.at, b.at);
  for (std::size_t i = 0; i < kTimes.size(); ++i) expect_same(a.time[i], b.time[i]);
  for (std::size_t i = 0; i < kGpuTimes.size(); ++i) expect_same(a.gpu_time[i], b.gpu_time[i]);
  EXPECT_EQ(a.count, b.count);
  expect_same(a.step_time, b.step_time);
  EXPECT_EQ(a.order, b.order);
  EXPECT_EQ(a.slots, b.slots);
  expect_equal(a.notes, b.notes);
}

inline void expect_equal(const Profile& a, const Profile& b) {
  EXPECT_EQ(a.ranks, b.ranks);
  EXPECT_EQ(a.load_points, b.load_points);
  EXPECT_EQ(a.latency, b.latency);
  EXPECT_EQ(a.spread, b.spread);
  EXPECT_EQ(a.overhead, b.overhead);
  EXPECT_EQ(a.slowdown, b.slowdown);
  EXPECT_EQ(a.slots, b.slots);
  EXPECT_EQ(a.active.loads, b.active.loads);
  EXPECT_EQ(a.active.active, b.active.active);
  EXPECT_EQ(a.active.latency, b.active.latency);
  EXPECT_EQ(a.routed.points, b.routed.points);
  EXPECT_EQ(a.routed.tokens, b.routed.tokens);
  EXPECT_EQ(a.routed.latency, b.routed.latency);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.device, b.device);
  EXPECT_EQ(a.clock, b.clock);
}

inline void expect_equal(const std::vector<GpuReading>& a, const std::vector<GpuReading>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_PRED2(same, a[i].clock, b[i].clock);
    EXPECT_PRED2(same, a[i].memory_clock, b[i].memory_clock);
    EXPECT_PRED2(same, a[i].power, b[i].power);
    EXPECT_PRED2(same, a[i].temperature, b[i].temperature);
    EXPECT_EQ(a[i].throttle_reasons, b[i].throttle_reasons);
  }
}

inline void expect_equal(const std::vector<GpuUse>& a, const std::vector<GpuUse>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (double GpuUse::*member :
         {&GpuUse::clock_min, &GpuUse::clock_mean, &GpuUse::clock_max, &GpuUse::power_min,
          &GpuUse::power_mean, &GpuUse::power_max, &GpuUse::temperature_min,
          &GpuUse::temperature_mean, &GpuUse::temperature_max, &GpuUse::energy, &GpuUse::seconds}) {
      EXPECT_PRED2(same, a[i].*member, b[i].*member);
    }
    EXPECT_EQ(a[i].readings, b[i].readings);
    EXPECT_EQ(a[i].throttle_reasons, b[i].throttle_reasons);
  }
}

inline void expect_equal(const StateSample& a, const StateSample& b) {
  for (double StateSample::*member :
       {&StateSample::time, &StateSample::took, &StateSample::clock, &StateSample::memory_clock,
        &StateSample::power, &StateSample::temperature, &StateSample::energy}) {
    EXPECT_PRED2(same, a.*member, b.*member);
  }
  EXPECT_EQ(a.throttle_reasons, b.throttle_reasons);
  EXPECT_EQ(a.job, b.job);
}

inline void expect_equal(const std::vector<StateSample>& a, const std::vector<StateSample>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) expect_equal(a[i], b[i]);
}

inline void expect_equal(const SoakRecord& a, const SoakRecord& b) {
  EXPECT_PRED2(same, a.seconds, b.seconds);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.steady, b.steady);
  EXPECT_EQ(a.unsteady, b.unsteady);
}

inline void expect_equal(const QuietState& a, const QuietState& b) {
  ASSERT_EQ(a.ranks.size(), b.ranks.size());
  for (std::size_t i = 0; i < a.ranks.size(); ++i) {
    EXPECT_PRED2(same, a.ranks[i].quantum, b.ranks[i].quantum);
    EXPECT_PRED2(same, a.ranks[i].lost, b.ranks[i].lost);
    EXPECT_PRED2(same, a.ranks[i].lost_cpu, b.ranks[i].lost_cpu);
    EXPECT_PRED2(same, a.ranks[i].longest_pause, b.ranks[i].longest_pause);
  }
  EXPECT_PRED2(same, a.barrier_skew_median, b.barrier_skew_median);
  EXPECT_PRED2(same, a.barrier_skew_p99, b.barrier_skew_p99);
}

inline void expect_equal(const std::vector<QuietUse>& a, const std::vector<QuietUse>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_PRED2(same, a[i].switches, b[i].switches);
    EXPECT_PRED2(same, a[i].steal, b[i].steal);
    EXPECT_PRED2(same, a[i].other_work, b[i].other_work);
    EXPECT_PRED2(same, a[i].pressure, b[i].pressure);
  }
}

inline void expect_equal(const RunInfo& a, const RunInfo& b) {
  EXPECT_EQ(a.shape.placements, b.shape.placements);
  EXPECT_EQ(a.shape.steps, b.shape.steps);
  EXPECT_EQ(a.shape.layers, b.shape.layers);
  EXPECT_EQ(a.shape.ranks, b.shape.ranks);
  EXPECT_EQ(a.shape.experts, b.shape.experts);
  EXPECT_EQ(a.shape.slots, b.shape.slots);
  EXPECT_EQ(a.shape.segments, b.shape.segments);
  EXPECT_EQ(a.model.topk, b.model.topk);
  EXPECT_EQ(a.model.shared, b.model.shared);
  EXPECT_EQ(a.model.hidden, b.model.hidden);
  EXPECT_EQ(a.model.ffn, b.model.ffn);
  EXPECT_EQ(a.model.row_bytes, b.model.row_bytes);
  ASSERT_EQ(a.segments.size(), b.segments.size());
  for (std::size_t i = 0; i < a.segments.size(); ++i) expect_equal(a.segments[i], b.segments[i]);
  EXPECT_EQ(a.labels, b.labels);
  ASSERT_EQ(a.placements.size(), b.placements.size());
  for (std::size_t p = 0; p < a.placements.size(); ++p) {
    EXPECT_EQ(a.placements[p].slot_expert, b.placements[p].slot_expert);
    EXPECT_EQ(a.placements[p].strategy, b.placements[p].strategy);
    EXPECT_EQ(a.placements[p].slots, b.placements[p].slots);
    EXPECT_EQ(a.placements[p].experts, b.placements[p].experts);
  }
  expect_same(a.predicted_layer_time, b.predicted_layer_time);
  EXPECT_EQ(a.expert_tokens, b.expert_tokens);
  expect_equal(a.profile, b.profile);
  EXPECT_EQ(a.slowdown, b.slowdown);
  EXPECT_EQ(a.slowdown_by_step, b.slowdown_by_step);
  EXPECT_EQ(a.adapts, b.adapts);
  EXPECT_EQ(a.clock, b.clock);
  EXPECT_EQ(a.config, b.config);
  EXPECT_EQ(a.command_line, b.command_line);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.facts, b.facts);
  EXPECT_EQ(a.rank_facts, b.rank_facts);
  ASSERT_EQ(a.topology.size(), b.topology.size());
  for (std::size_t i = 0; i < a.topology.size(); ++i) {
    EXPECT_EQ(a.topology[i].node, b.topology[i].node);
    EXPECT_EQ(a.topology[i].local_rank, b.topology[i].local_rank);
  }
  expect_equal(a.gpu_before, b.gpu_before);
  expect_equal(a.quiet_before, b.quiet_before);
}

inline void expect_equal(const std::vector<ClockReading>& a, const std::vector<ClockReading>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].offset, b[i].offset);
    EXPECT_EQ(a[i].error, b[i].error);
  }
}

inline void expect_equal(const RunEnd& a, const RunEnd& b) {
  EXPECT_EQ(a.bytes_pair, b.bytes_pair);
  EXPECT_EQ(a.check.mode, b.check.mode);
  EXPECT_EQ(a.check.checked_tokens, b.check.checked_tokens);
  EXPECT_EQ(a.check.worst_error, b.check.worst_error);
  EXPECT_EQ(a.check.tolerance, b.check.tolerance);
  EXPECT_EQ(a.check.passed, b.check.passed);
  EXPECT_EQ(a.check.message, b.check.message);
  EXPECT_EQ(a.profile_after, b.profile_after);
  expect_equal(a.clocks_before, b.clocks_before);
  expect_equal(a.clocks_after, b.clocks_after);
  expect_equal(a.gpu_after, b.gpu_after);
  expect_equal(a.gpu_during, b.gpu_during);
  expect_equal(a.quiet_after, b.quiet_after);
  expect_equal(a.quiet_during, b.quiet_during);
  expect_equal(a.soak, b.soak);
  expect_equal(a.soak_profile, b.soak_profile);
  EXPECT_EQ(a.stopped, b.stopped);
  EXPECT_EQ(a.seconds, b.seconds);
}

inline void expect_equal(const RunSummary& a, const RunSummary& b) {
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    expect_same(a.values[i], b.values[i]);
    expect_same(a.low[i], b.low[i]);
    expect_same(a.high[i], b.high[i]);
  }
  expect_same(a.last_share, b.last_share);
  EXPECT_PRED2(same, a.run_energy_per_token, b.run_energy_per_token);
  EXPECT_PRED2(same, a.run_energy_per_assignment, b.run_energy_per_assignment);
  ASSERT_EQ(a.differences.size(), b.differences.size());
  for (std::size_t i = 0; i < a.differences.size(); ++i) {
    const StoredDifference &x = a.differences[i], &y = b.differences[i];
    expect_same({x.typical, x.low, x.high, x.mean, x.blocks},
                {y.typical, y.low, y.high, y.mean, y.blocks});
  }
}

/// Everything a reader gives, measured or not.
inline void expect_equal(const RunReader& a, const RunReader& b) {
  EXPECT_EQ(a.completed(), b.completed());
  expect_equal(a.info(), b.info());
  expect_equal(a.end(), b.end());
  const auto& shape = b.info().shape;
  ASSERT_EQ(a.notes().size(), b.notes().size());
  for (int segment = 0; segment < shape.segments; ++segment) {
    EXPECT_EQ(a.measured(segment), b.measured(segment));
    expect_equal(a.read_segment(segment), b.read_segment(segment));
  }
  for (int rank = 0; rank < shape.ranks; ++rank) expect_equal(a.series(rank), b.series(rank));
  for (int p = 0; p < shape.placements; ++p) {
    EXPECT_EQ(a.blocks(p), b.blocks(p));
    expect_equal(a.read(p, 0, shape.steps), b.read(p, 0, shape.steps));
  }
}

}  // namespace gembench::example
