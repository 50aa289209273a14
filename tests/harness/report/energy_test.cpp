#include "harness/report/energy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/report/comparison.hpp"
#include "harness/report/gpu_findings.hpp"
#include "placement/base/random.hpp"
#include "results/run_writer.hpp"
#include "tests/results/example.hpp"

namespace gembench {
namespace {

/// The same, the plain way.
std::optional<double> joules_in(const std::vector<StateSample>& samples, double begin, double end,
                                std::size_t least) {
  std::vector<StateSample> counted, powered;
  for (const StateSample& one : samples) {
    if (one.time < begin || one.time > end) continue;
    if (!std::isnan(one.energy)) counted.push_back(one);
    if (!std::isnan(one.power)) powered.push_back(one);
  }
  bool falls = false;
  for (std::size_t i = 1; i < counted.size(); ++i) {
    falls = falls || counted[i].energy < counted[i - 1].energy;
  }
  const auto length = [](const auto& some) { return some.back().time - some.front().time; };
  if (counted.size() >= least && !falls) {
    return (counted.back().energy - counted.front().energy) / length(counted) * (end - begin);
  }
  if (powered.size() < least) return std::nullopt;
  double joules = 0;
  for (std::size_t i = 1; i < powered.size(); ++i) {
    joules +=
        (powered[i].power + powered[i - 1].power) * 0.5 * (powered[i].time - powered[i - 1].time);
  }
  return joules / length(powered) * (end - begin);
}

TEST(Energy, of_an_interval_is_as_by_hand) {
  int known = 0, counted = 0, unknown = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    std::vector<StateSample> samples;
    double time = 0, energy = 100;
    for (std::uint64_t i = 0; i < random.below(40); ++i) {
      time += 0.01 + 0.1 * random.uniform();
      energy += 30 * random.uniform();
      if (seed % 7 == 0 && random.below(20) == 0) energy = 0;  // the counter begins anew
      StateSample one{.time = time, .power = 100 + 500 * random.uniform(), .energy = energy};
      if (seed % 3 == 0) one.energy = NAN;
      if (random.below(10) == 0) one.power = NAN;
      samples.push_back(one);
    }
    const double begin = 2 * random.uniform() - 0.5, end = begin + 2 * random.uniform();
    for (const std::size_t least : {2U, 5U, 10U}) {
      const auto found = energy_in(samples, begin, end, least);
      const auto expected = joules_in(samples, begin, end, least);
      ASSERT_EQ(found.has_value(), expected.has_value()) << seed;
      known += found ? 1 : 0;
      unknown += found ? 0 : 1;
      counted += found && found->counted ? 1 : 0;
      if (found) {
        EXPECT_NEAR(found->joules, *expected, 1e-9 * *expected) << seed;
      }
    }
  }
  EXPECT_GT(known, 100);
  EXPECT_GT(unknown, 100);
  EXPECT_GT(counted, 50);
  EXPECT_LT(counted, known);
}

const RunShape kShape{
    .placements = 2, .steps = 8, .layers = 2, .ranks = 3, .experts = 8, .slots = 3};

/// Two GPUs for three ranks. GPU 0 draws 300 W under the first placement and 200 W under the other,
/// GPU 1 always 100 W, and both nothing between blocks, each of which lasts `block` s, a gap as
/// much. Clocks fall with the second placement, and rank 2's GPU is held down in every fourth
/// reading. With a `short_start` the last two blocks are another start's, without readings.
void write_run(const std::filesystem::path& path, double block, bool counter,
               bool short_start = false) {
  RunInfo info = example::info(kShape, 1, 2);
  info.adapts = false;
  info.gpu_before.assign(3, {1e9, 1e9, 100, 40, 0});
  info.rank_facts["gpu_uuid"] = {"GPU-0", "GPU-0", "GPU-1"};
  std::ranges::fill(info.expert_tokens, 10);
  info.model.topk = 2;
  RunWriter writer(path, true);
  writer.describe(info);
  double time = 0;
  for (int segment = 0; segment < info.shape.segments; ++segment) {
    SegmentRecord record = example::block(info, segment);
    const int placement = record.at.placement;
    record.notes.begin = time;
    record.notes.end = time + block;
    record.states.assign(3, {});
    static double used[2];
    if (segment == 0) used[0] = used[1] = 5;
    for (double now = time; now < time + 2 * block - 1e-9; now += 0.05) {
      const bool works = now < time + block;
      for (std::size_t rank = 0; rank < 3; ++rank) {
        const double power = !works ? 0 : rank == 2 ? 100 : placement == 0 ? 300 : 200;
        StateSample one{.time = now, .clock = placement == 0 ? 1.5e9 : 1.4e9, .power = power};
        if (counter) one.energy = used[rank / 2];
        one.throttle_reasons =
            rank == 2 && static_cast<int>(std::lround(now / 0.05)) % 4 == 0 ? 0x20 : 1;
        one.job = 0;
        record.states[rank].push_back(one);
      }
      used[0] += works ? 0.05 * (placement == 0 ? 300 : 200) : 0;
      used[1] += works ? 0.05 * 100 : 0;
    }
    for (double& seconds : record.step_time) seconds = block / 4;
    record.notes.job = 0;
    if (short_start && segment >= info.shape.segments - 2) {
      record.notes.job = 1;
      record.states.clear();
    }
    writer.write(record);
    time += 2 * block;
  }
  RunEnd end = example::end(info.shape, 2);
  end.states.clear();
  end.soak = {30, 100, 0, "clock of rank 1 still changed"};
  end.soak_profile = {};
  writer.finish(end);
}

TEST(Energy, of_a_run_is_attributed_to_its_placements) {
  const example::Folder folder;
  for (const bool counter : {true, false}) {
    write_run(folder / "r.h5", 2, counter);
    const RunReader file(folder / "r.h5");
    const ReducedRun run = reduce(file, 0.25);
    const RunEnergy& energy = run.energy;
    EXPECT_EQ(energy.gpus, 2);  // two ranks share one of them
    EXPECT_EQ(energy.counted, counter);
    // A step has 2 layers x 8 experts x 10 assignments; a token has 2 x 2 of them.
    const double assignments = 4 * 2 * 160, tokens = assignments / 4;
    ASSERT_EQ(energy.placements.size(), 2U);
    EXPECT_NEAR(energy.placements[0].per_token, 4 * 2 * 400 / tokens, 0.02 * 10);
    EXPECT_NEAR(energy.placements[1].per_token, 4 * 2 * 300 / tokens, 0.02 * 7.5);
    EXPECT_NEAR(energy.placements[1].per_assignment, 4 * 2 * 300 / assignments, 0.02 * 1.9);
    EXPECT_EQ(run.placements[1]["energy_per_token"], energy.placements[1].per_token);
    // All of it, from the first block to the last, with the gaps.
    EXPECT_NEAR(energy.all.seconds, 8 * 2 + 7 * 2, 1e-9);
    EXPECT_NEAR(energy.all.joules, 4 * 2 * 700, 0.02 * 5600);
    EXPECT_NEAR(energy.all.per_token, 4 * 2 * 700 / (2 * tokens), 0.02 * 8.75);
    EXPECT_NEAR(energy.all.step_seconds, 8, 1e-3);
    const std::string line = energy_line(file, energy);
    EXPECT_NE(line.find(counter ? "by the counter of 2 GPUs" : "integral of the power of 2 GPUs"),
              std::string::npos)
        << line;
    EXPECT_NE(line.find("of which 73 % is outside of measured steps"), std::string::npos) << line;
    EXPECT_NE(line.find("linear#0 10"), std::string::npos) << line;
  }
}

TEST(Energy, of_placements_is_left_out_where_blocks_are_too_short) {
  const example::Folder folder;
  write_run(folder / "r.h5", 0.3, true);  // 6 readings
  const RunReader file(folder / "r.h5");
  const RunEnergy energy = reduce(file, 0).energy;
  EXPECT_FALSE(energy.placements[0].known());
  EXPECT_FALSE(energy.placements[1].known());
  EXPECT_TRUE(energy.all.known());
  EXPECT_NE(
      energy_line(file, energy)
          .find(
              "by placement not known: too few blocks have 10 kept readings (a block takes 0.3 s)"),
      std::string::npos);
}

TEST(Energy, of_a_start_that_is_too_short_is_left_out_and_said) {
  const example::Folder folder;
  write_run(folder / "r.h5", 2, true, true);
  const RunReader file(folder / "r.h5");
  const RunEnergy energy = reduce(file, 0).energy;
  EXPECT_NEAR(energy.covered, 0.75, 1e-12);
  EXPECT_NEAR(energy.all.seconds, 6 * 2 + 5 * 2, 1e-9);
  EXPECT_NEAR(energy.all.joules, 3 * 2 * 700, 0.02 * 4200);
  EXPECT_NEAR(energy.placements[0].unsure, 2.0 / 41, 0.002);
  EXPECT_NE(energy_line(file, energy)
                .find("known of 75 % of the tokens; by placement, of its "
                      "blocks alone, right within"),
            std::string::npos)
      << energy_line(file, energy);
}

TEST(Energy, is_unknown_without_gpus) {
  const example::Folder folder;
  RunInfo info = example::info(kShape, 1, 2);
  info.gpu_before.clear();
  {
    RunWriter writer(folder / "r.h5", true);
    writer.describe(info);
    for (int i = 0; i < info.shape.segments; ++i) writer.write(example::block(info, i));
    RunEnd end = example::end(info.shape, 2);
    end.gpu_after.clear();
    end.gpu_during.clear();
    end.soak = end.soak_profile = {};
    writer.finish(end);
  }
  const RunReader file(folder / "r.h5");
  const RunEnergy energy = reduce(file, 0).energy;
  EXPECT_FALSE(energy.all.known());
  EXPECT_EQ(energy_line(file, energy), "");
  EXPECT_TRUE(gpu_findings(file).empty());
}

TEST(GpuFindings, name_the_gpu_the_reason_and_the_share) {
  const example::Folder folder;
  write_run(folder / "r.h5", 2, true);
  const auto found = gpu_findings(RunReader(folder / "r.h5"));
  ASSERT_EQ(found.size(), 4U);  // of two GPUs, which three ranks have
  EXPECT_EQ(found[0],
            "the devices were not known to be steady before the first step, after 30 s of soaking: "
            "clock of "
            "rank 1 still changed: give a longer --soak, or look for what changes");
  EXPECT_EQ(found[1],
            "the clock of rank 2's GPU on node-2 was held down in 25.0 % of 640 readings "
            "(temperature in 25.0 %): compare its clock with the others', or lock all with "
            "--lock-clocks");
  EXPECT_EQ(found[2],
            "the clock of rank 0's GPU on node-0 differed between placements: 1500 MHz under "
            "linear#0, 1400 under gem#1 (-6.7 %), which is in their difference: use smaller "
            "--block or --lock-clocks, or a longer --soak");
}

TEST(GpuFindings, tell_no_clocks_of_blocks_that_are_too_short) {
  const example::Folder folder;
  write_run(folder / "r.h5", 0.3, true);  // 6 readings a block, 24 a placement
  for (const std::string& sentence : gpu_findings(RunReader(folder / "r.h5"))) {
    EXPECT_EQ(sentence.find("differed between placements"), std::string::npos) << sentence;
  }
}

}  // namespace
}  // namespace gembench
