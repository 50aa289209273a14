#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <functional>

#include "results/run_reader.hpp"
#include "results/run_series.hpp"
#include "results/run_writer.hpp"
#include "tests/results/example.hpp"
#include "tests/results/expect_equal.hpp"

namespace gembench {
namespace {

namespace fs = std::filesystem;
const RunShape kShape{
    .placements = 3, .steps = 21, .layers = 2, .ranks = 4, .experts = 8, .slots = 3};

ExitCode code_of(const std::function<void()>& action, std::string* sentence = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (sentence != nullptr) *sentence = error.what();
    return error.code();
  }
  return ExitCode::ok;
}

TEST(RunFile, RoundTripOfEveryFieldWithBlocksOutOfOrder) {
  const example::Folder folder;
  const auto info = example::info(kShape, 1);
  const auto end = example::end(kShape, 2);
  RunWriter writer(folder / "r.h5", false);
  EXPECT_TRUE(fs::exists(folder / "r.h5.partial.new"));
  writer.describe(info);
  ASSERT_EQ(info.shape.segments, 9);
  for (int segment : {8, 6, 7, 2, 0, 1, 5, 3, 4}) writer.write(example::block(info, segment));
  writer.finish(end);
  EXPECT_FALSE(fs::exists(folder / "r.h5.partial"));

  const RunReader reader(folder / "r.h5");
  EXPECT_TRUE(reader.completed());
  example::expect_equal(reader.info(), info);
  ASSERT_EQ(reader.notes().size(), 9u);
  for (int segment = 0; segment < 9; ++segment) {
    auto block = example::block(info, segment);
    EXPECT_TRUE(reader.measured(segment));
    example::expect_equal(reader.read_segment(segment), block);
    example::expect_equal(reader.notes().at(static_cast<std::size_t>(segment)), block.notes);
    block.segment = 0;
    block.notes = {};
    block.slots = {};
    example::expect_equal(reader.read(block.at.placement, block.at.first_step, block.at.steps),
                          block);
  }
  for (int p = 0; p < 3; ++p) {
    const auto blocks = reader.blocks(p);
    EXPECT_EQ(blocks.front(), 0);
    EXPECT_EQ(blocks.back(), 2);
  }
  EXPECT_EQ(reader.read(1, 0, 21).step_time.size(), 21u * 4u);
  EXPECT_THROW((void)reader.read(1, 0, 22), std::out_of_range);
  EXPECT_THROW((void)reader.read(3, 0, 1), std::out_of_range);
  EXPECT_THROW((void)reader.blocks(3), std::out_of_range);
  for (int segment : {-1, 9}) {
    EXPECT_THROW((void)reader.measured(segment), std::out_of_range);
    EXPECT_THROW((void)reader.read_segment(segment), std::out_of_range);
  }
  example::expect_equal(reader.end(), end);
  for (int rank = 0; rank < 4; ++rank) {  // in order of time, however they came
    std::vector<StateSample> samples;
    for (int segment : {1, 3, 5, 7}) {
      const auto states = example::block(info, segment).states.at(static_cast<std::size_t>(rank));
      samples.insert(samples.end(), states.begin(), states.end());
    }
    const auto& last = end.states.at(static_cast<std::size_t>(rank));
    samples.insert(samples.end(), last.begin(), last.end());
    example::expect_equal(reader.series(rank), samples);
  }
  EXPECT_THROW((void)reader.series(4), std::out_of_range);
}

/// A series longer than its room: what is kept is spread over all of it, and of no two samples.
TEST(RunFile, ALongSeriesIsThinned) {
  const example::Folder folder;
  const auto info = example::info(kShape, 1);
  const auto value_of = [](double time) { return std::floor(time * 8); };
  RunWriter writer(folder / "r.h5", false);
  writer.describe(info);
  auto block = example::block(info, 0);
  double time = 0;
  for (const std::uint64_t count : {kSeriesRows - 3, std::uint64_t{500}, std::uint64_t{501}}) {
    block.states.assign(4, {});
    for (std::uint64_t i = 0; i < count; ++i, time += 0.125) {
      block.states[2].push_back({.time = time, .power = value_of(time), .job = 0});
    }
    writer.write(block);
  }
  writer.finish(example::end(kShape, 2));
  const auto kept = RunReader(folder / "r.h5").series(2);
  ASSERT_EQ(kept.size(), kSeriesRows);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i].time >= 1e4) continue;  // of finish()
    ASSERT_EQ(kept[i].power, value_of(kept[i].time));
    if (i == 0) continue;
    ASSERT_GT(kept[i].time, kept[i - 1].time);
    ASSERT_LE(kept[i].time, kept[i - 1].time + 2 * 0.125);
  }
}

/// Readings after a resume are thinned as those before it were, or they would soon replace them.
TEST(RunFile, AResumeKeepsTheSeriesOfTheEarlierStart) {
  const example::Folder folder;
  const auto info = example::info(kShape, 1);
  const auto write = [&](RunWriter& writer, int job, std::uint64_t count) {
    auto block = example::block(info, 0);
    block.states.assign(4, {});
    for (std::uint64_t i = 0; i < count; ++i) {
      block.states[2].push_back({.time = 0.125 * static_cast<double>(i), .job = job});
    }
    writer.write(block);
  };
  const auto kept_of = [&](int job) {
    const auto series = RunReader(folder / "r.h5.partial").series(2);
    return std::ranges::count(series, job, &StateSample::job);
  };
  {
    RunWriter writer(folder / "r.h5", false);
    writer.describe(info);
    write(writer, 0, 5 * kSeriesRows / 2);
  }
  EXPECT_EQ(kept_of(0), static_cast<std::int64_t>(kSeriesRows));
  {
    const RunReader earlier(folder / "r.h5.partial");
    EXPECT_EQ(earlier.series_stride(), 4U);
    RunWriter writer(folder / "r.h5", earlier, {});
    write(writer, 1, kSeriesRows / 8);
  }
  const auto more = static_cast<std::int64_t>(kSeriesRows / 64);  // one in 8
  EXPECT_NEAR(static_cast<double>(kept_of(1)), static_cast<double>(more), 2);
  EXPECT_EQ(kept_of(0), static_cast<std::int64_t>(kSeriesRows) - kept_of(1));
}

TEST(RunFile, TheSummaryIsOfWhatTheFileHolds) {
  const example::Folder folder;
  const auto info = example::info(kShape, 1);
  const auto stored = example::summary(kShape, 3);
  {
    RunWriter writer(folder / "r.h5", false);
    writer.summarise([](const RunReader&) -> RunSummary { throw std::logic_error("nothing yet"); });
    writer.describe(info);
    for (int segment = 0; segment < info.shape.segments; ++segment)
      writer.write(example::block(info, segment));
    writer.finish(example::end(kShape, 2), [&](const RunReader& written) {
      EXPECT_TRUE(written.completed());
      EXPECT_FALSE(written.summary());
      EXPECT_TRUE(written.measured(8));
      example::expect_equal(written.read_segment(8), example::block(info, 8));
      example::expect_equal(written.end(), example::end(kShape, 2));
      return stored;
    });
  }
  const RunReader reader(folder / "r.h5");
  ASSERT_TRUE(reader.summary());
  example::expect_equal(*reader.summary(), stored);
  example::expect_equal(reader.info(), info);
}

TEST(RunFile, ARunThatEndsEarlyLeavesTheSummaryOfWhatItMeasured) {
  const example::Folder folder;
  const auto info = example::info(kShape, 1);
  const auto stored = example::summary(kShape, 3);
  {
    RunWriter writer(folder / "r.h5", false);
    writer.describe(info);
    writer.write(example::block(info, 0));
    writer.summarise([&](const RunReader& written) {
      EXPECT_FALSE(written.completed());
      EXPECT_FALSE(written.summary()) << "not yet";
      EXPECT_TRUE(written.measured(0));
      EXPECT_FALSE(written.measured(1));
      return stored;
    });
  }
  const RunReader earlier(folder / "r.h5.partial");
  EXPECT_FALSE(earlier.completed());
  ASSERT_TRUE(earlier.summary());
  example::expect_equal(*earlier.summary(), stored);
  { RunWriter resumed(folder / "r.h5", earlier, {}); }
  EXPECT_FALSE(RunReader(folder / "r.h5.partial").summary()) << "it is of fewer steps than to come";
}

TEST(RunFile, ASummaryAloneIsAFileOfItsOwn) {
  const example::Folder folder;
  const auto stored = example::summary(kShape, 3);
  write_summary(folder / "s.h5", {"a", "b", "c"}, 4, stored);
  const auto file = h5::File::open(folder / "s.h5");
  const auto read = read_summary(file, 3, 4);
  ASSERT_TRUE(read);
  example::expect_equal(*read, stored);
  EXPECT_EQ(code_of([&] { write_summary(folder / "s.h5", {"a"}, 4, stored); }), ExitCode::output);
}

TEST(RunFile, ACheckMayFollowItsSegment) {
  const example::Folder folder;
  const auto info = example::info(kShape, 1);
  RunWriter writer(folder / "r.h5", false);
  writer.describe(info);
  auto block = example::block(info, 0);
  block.notes.checked_tokens = -1;
  block.notes.check_passed = -1;
  writer.write(block);
  SegmentNotes found;
  found.checked_tokens = 17;
  found.check_error = 0.25;
  found.check_passed = 1;
  writer.write_check(block.segment, found);
  writer.finish({});
  const RunReader reader(folder / "r.h5");
  const SegmentNotes& notes = reader.notes().at(static_cast<std::size_t>(block.segment));
  EXPECT_EQ(notes.checked_tokens, 17);
  EXPECT_EQ(notes.check_error, 0.25);
  EXPECT_EQ(notes.check_passed, 1);
  EXPECT_EQ(notes.experts_moved, block.notes.experts_moved) << "the rest stays";
  EXPECT_THROW(writer.write_check(info.shape.segments, found), std::exception);
}

TEST(RunFile, WhatWasNotMeasuredReadsAsMissing) {
  const example::Folder folder;
  auto info = example::info(kShape, 1);
  info.profile = {};
  info.slowdown.clear();
  info.predicted_layer_time.clear();
  info.rank_facts.clear();
  info.segments = {{0, 5, 3, 7}, {1, 2, 2, 0}};
  info.shape.segments = 2;
  info.model = {};
  RunWriter writer(folder / "r.h5", false);
  writer.describe(info);
  auto block = example::block(info, 0);
  block.notes = {};
  block.time[3].clear();
  block.count[2].clear();
  writer.write(block);
  writer.finish({});

  const RunReader reader(folder / "r.h5");
  EXPECT_EQ(reader.info().profile.ranks, 0);
  EXPECT_EQ(reader.info().slowdown, std::vector<double>(4, 1.0));
  EXPECT_TRUE(std::isnan(reader.info().predicted_layer_time.at(0)));
  EXPECT_TRUE(reader.end().profile_after.empty());
  EXPECT_TRUE(reader.end().seconds.empty());
  EXPECT_EQ(reader.info().model.topk, 0);
  EXPECT_EQ(reader.end().bytes_pair.at(0), -1);
  const auto read = reader.read(0, 5, 3);
  EXPECT_TRUE(std::isnan(read.time[3].at(0)));
  EXPECT_EQ(read.count[2].at(0), -1);
  EXPECT_EQ(read.time[4], block.time[4]);
  const auto before = reader.read(0, 4, 1);
  EXPECT_TRUE(std::isnan(before.step_time.at(0)));
  EXPECT_EQ(before.order.at(0), -1);
  EXPECT_EQ(before.at.block, -1);
  EXPECT_EQ(reader.blocks(0).at(4), -1);
  EXPECT_EQ(reader.blocks(0).at(5), 7);
  EXPECT_TRUE(reader.measured(0));
  EXPECT_FALSE(reader.measured(1));
  ASSERT_EQ(reader.notes().size(), 2u);
  for (const auto& notes : reader.notes()) example::expect_equal(notes, SegmentNotes{});
  EXPECT_EQ(reader.notes()[0].checked_tokens, -1);
  EXPECT_TRUE(std::isnan(reader.notes()[0].move_seconds));
}

TEST(RunFile, AProfileThatWasNotTakenAgainReadsAsAbsent) {
  const example::Folder folder;
  for (const bool again : {false, true}) {
    RunWriter writer(folder / "r.h5", true);
    writer.describe(example::info(kShape, 1));
    auto end = example::end(kShape, 2);
    if (again) {
      end.profile_after.assign(end.profile_after.size(), NAN);
      end.profile_after.back() = 0.5;  // a part of it counts
    } else {
      end.profile_after.clear();
    }
    writer.finish(end);
    const RunReader reader(folder / "r.h5");
    EXPECT_NE(reader.info().profile.ranks, 0);
    example::expect_same(reader.end().profile_after, end.profile_after);
  }
}

TEST(RunFile, ExistingFilesAreRefusedUnlessOverwritten) {
  const example::Folder folder;
  for (const auto* name : {"r.h5", "s.h5.partial"}) {
    std::ofstream(folder / name) << "precious";
    const auto path = folder / std::string(name).substr(0, 4);
    std::string sentence;
    EXPECT_EQ(code_of([&] { RunWriter(path, false); }, &sentence), ExitCode::output);
    // What was measured is not thrown away by the first remedy that one reads.
    const bool unfinished = path != folder / name;
    EXPECT_LT(sentence.find(unfinished ? "--resume" : "--overwrite"), sentence.find("--output"));
    EXPECT_NE(sentence.find("--overwrite"), std::string::npos) << sentence;
    std::string content;
    std::ifstream(folder / name) >> content;
    EXPECT_EQ(content, "precious");
    RunWriter writer(path, true);
    writer.describe(example::info(kShape, 1));
    writer.finish({});
    EXPECT_TRUE(RunReader(path).completed());
  }
}

TEST(RunFile, ABadPathFailsAtOnceWithTheReason) {
  const example::Folder folder;
  fs::create_directory(folder / "folder");
  std::ofstream(folder / "file");
  const std::pair<fs::path, const char*> cases[] = {
      {folder / "missing/r.h5", "No such file or directory"},
      {folder / "file/r.h5", "Not a directory"},
      {folder / "folder", "it is a folder"},
      {folder / std::string(300, 'x'), "File name too long"},
      {"/proc/r.h5", "No such file or directory"},
  };
  for (const auto& [path, reason] : cases) {
    std::string sentence;
    EXPECT_EQ(code_of([&, p = path] { RunWriter(p, true); }, &sentence), ExitCode::output) << path;
    EXPECT_NE(sentence.find(reason), std::string::npos) << sentence;
    EXPECT_NE(sentence.find(path.string()), std::string::npos) << sentence;
  }
  if (geteuid() != 0) {  // root may write anywhere
    fs::permissions(folder / "folder", fs::perms::owner_read | fs::perms::owner_exec);
    std::string sentence;
    EXPECT_EQ(code_of([&] { RunWriter(folder / "folder/r.h5", false); }, &sentence),
              ExitCode::output);
    EXPECT_NE(sentence.find("Permission denied"), std::string::npos) << sentence;
  }
}

TEST(RunFile, MistakesOfTheProgramAreNotWritten) {
  const example::Folder folder;
  RunWriter writer(folder / "r.h5", false);
  const auto info = example::info(kShape, 1);
  EXPECT_THROW(writer.write(example::block(info, 0)), std::logic_error);
  EXPECT_THROW(writer.finish({}), std::logic_error);
  writer.describe(info);
  EXPECT_THROW(writer.describe(info), std::logic_error);
  const std::function<void(SegmentRecord&)> mistakes[] = {
      [](SegmentRecord& block) { block.at.placement = 3; },
      [](SegmentRecord& block) { block.at.first_step = 14; },
      [](SegmentRecord& block) {
        block.at = {0, 8, 8, 1};
      },  // another segment
      [](SegmentRecord& block) { block.at.block = -1; },
      [](SegmentRecord& block) { block.segment = 9; },
      [](SegmentRecord& block) { block.segment = -1; },
      [](SegmentRecord& block) { block.time[1].pop_back(); },
  };
  for (const auto& mistake : mistakes) {
    auto block = example::block(info, 0);
    mistake(block);
    EXPECT_THROW(writer.write(block), std::invalid_argument);
  }
  auto end = example::end(kShape, 2);
  end.profile_after.pop_back();
  EXPECT_THROW(writer.finish(end), std::invalid_argument);
}

TEST(RunFile, AScheduleOutsideOfTheRunIsNotWritten) {
  const example::Folder folder;
  const auto good = example::info(kShape, 1);
  const auto expect_thrown = [&](const RunInfo& info) {
    RunWriter writer(folder / "r.h5", true);
    EXPECT_THROW(writer.describe(info), std::invalid_argument);
  };
  for (const Segment segment : {Segment{3, 0, 8, 0}, Segment{-1, 0, 8, 0}, Segment{0, -1, 8, 0},
                                Segment{0, 14, 8, 0}, Segment{0, 0, 0, 0}, Segment{0, 0, 8, -1}}) {
    auto info = good;
    info.segments.back() = segment;
    expect_thrown(info);
  }
  auto info = good;
  info.segments.pop_back();
  expect_thrown(info);
  info = good;
  info.profile = {};
  RunWriter writer(folder / "r.h5", true);
  writer.describe(info);
  EXPECT_THROW(writer.finish(example::end(kShape, 2)), std::invalid_argument);  // profile_after
}

TEST(RunFile, MemoryOfTheWriterDoesNotGrowWithTheSteps) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps what was freed, which looks like growth";
#endif
  const example::Folder folder;
  const RunShape shape{
      .placements = 2, .steps = 6400, .layers = 16, .ranks = 16, .experts = 16, .slots = 1};
  RunWriter writer(folder / "r.h5", false);
  const auto info = example::info(shape, 1, 32);
  writer.describe(info);
  const auto peak = [] {  // KiB
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  long after_first = 0;
  for (int segment = 0; segment < info.shape.segments; ++segment) {
    writer.write(example::block(info, segment));
    if (segment == 21) after_first = peak();
  }
  writer.finish({});
  EXPECT_GT(fs::file_size(folder / "r.h5"), 60u << 20);
  EXPECT_LT(peak() - after_first, 8 << 10);
}

}  // namespace
}  // namespace gembench
