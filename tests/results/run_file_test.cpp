#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <functional>

#include "example.hpp"
#include "results/run_reader.hpp"
#include "results/run_writer.hpp"

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

void expect_equal(const Block& a, const Block& b) {
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.count, b.count);
  EXPECT_EQ(a.step_time, b.step_time);
  EXPECT_EQ(a.order, b.order);
  EXPECT_EQ(a.block, b.block);
}

void expect_equal(const RunInfo& a, const RunInfo& b) {
  EXPECT_EQ(a.labels, b.labels);
  ASSERT_EQ(a.placements.size(), b.placements.size());
  for (std::size_t p = 0; p < a.placements.size(); ++p) {
    EXPECT_EQ(a.placements[p].slot_expert, b.placements[p].slot_expert);
    EXPECT_EQ(a.placements[p].strategy, b.placements[p].strategy);
    EXPECT_EQ(a.placements[p].slots, b.placements[p].slots);
    EXPECT_EQ(a.placements[p].experts, b.placements[p].experts);
  }
  EXPECT_EQ(a.predicted_layer_time, b.predicted_layer_time);
  EXPECT_EQ(a.expert_tokens, b.expert_tokens);
  EXPECT_EQ(a.profile.ranks, b.profile.ranks);
  EXPECT_EQ(a.profile.knots, b.profile.knots);
  EXPECT_EQ(a.profile.latency, b.profile.latency);
  EXPECT_EQ(a.profile.spread, b.profile.spread);
  EXPECT_EQ(a.profile.overhead, b.profile.overhead);
  EXPECT_EQ(a.profile.slowdown, b.profile.slowdown);
  EXPECT_EQ(a.profile.model, b.profile.model);
  EXPECT_EQ(a.profile.device, b.profile.device);
  EXPECT_EQ(a.profile.clock, b.profile.clock);
  EXPECT_EQ(a.slowdown, b.slowdown);
  EXPECT_EQ(a.clock, b.clock);
  EXPECT_EQ(a.config, b.config);
  EXPECT_EQ(a.command_line, b.command_line);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.facts, b.facts);
  EXPECT_EQ(a.rank_facts, b.rank_facts);
}

TEST(RunFile, RoundTripOfEveryFieldWithBlocksOutOfOrder) {
  const example::Folder folder;
  const auto info = example::info(kShape, 1);
  const auto end = example::end(kShape, 2);
  RunWriter writer(folder / "r.h5", false);
  EXPECT_TRUE(fs::exists(folder / "r.h5.partial"));
  writer.describe(info);
  for (int first : {16, 0, 8}) {
    for (int p : {2, 0, 1}) {
      writer.write(example::block(kShape, p, first, std::min(8, 21 - first), first / 8));
    }
  }
  writer.finish(end);
  EXPECT_FALSE(fs::exists(folder / "r.h5.partial"));

  const RunReader reader(folder / "r.h5");
  EXPECT_TRUE(reader.completed());
  expect_equal(reader.info(), info);
  for (int p = 0; p < 3; ++p) {
    for (int first : {0, 8, 16}) {
      const int steps = std::min(8, 21 - first);
      expect_equal(reader.read(p, first, steps),
                   example::block(kShape, p, first, steps, first / 8));
    }
    const auto blocks = reader.blocks(p);
    EXPECT_EQ(blocks.front(), 0);
    EXPECT_EQ(blocks.back(), 2);
  }
  EXPECT_EQ(reader.read(1, 0, 21).step_time.size(), 21u * 4u);
  EXPECT_THROW((void)reader.read(1, 0, 22), std::out_of_range);
  EXPECT_THROW((void)reader.read(3, 0, 1), std::out_of_range);

  EXPECT_EQ(reader.end().bytes_pair, end.bytes_pair);
  ASSERT_EQ(reader.end().moves.size(), 2u);
  EXPECT_EQ(reader.end().moves[0].bytes, end.moves[0].bytes);
  EXPECT_EQ(reader.end().moves[1].seconds, end.moves[1].seconds);
  EXPECT_EQ(reader.end().moves[1].experts_moved, end.moves[1].experts_moved);
  EXPECT_EQ(reader.end().check.message, end.check.message);
  EXPECT_EQ(reader.end().check.checked_tokens, end.check.checked_tokens);
  EXPECT_FALSE(reader.end().check.passed);
}

TEST(RunFile, WhatWasNotMeasuredReadsAsMissing) {
  const example::Folder folder;
  auto info = example::info(kShape, 1);
  info.profile = {};
  info.slowdown.clear();
  info.predicted_layer_time.clear();
  info.rank_facts.clear();
  RunWriter writer(folder / "r.h5", false);
  writer.describe(info);
  auto block = example::block(kShape, 0, 5, 3, 7);
  block.time[3].clear();
  block.count[2].clear();
  writer.write(block);
  writer.finish({});

  const RunReader reader(folder / "r.h5");
  EXPECT_EQ(reader.info().profile.ranks, 0);
  EXPECT_EQ(reader.info().slowdown, std::vector<double>(4, 1.0));
  EXPECT_TRUE(std::isnan(reader.info().predicted_layer_time.at(0)));
  EXPECT_TRUE(reader.end().moves.empty());
  EXPECT_EQ(reader.end().bytes_pair.at(0), -1);
  const auto read = reader.read(0, 5, 3);
  EXPECT_TRUE(std::isnan(read.time[3].at(0)));
  EXPECT_EQ(read.count[2].at(0), -1);
  EXPECT_EQ(read.time[4], block.time[4]);
  const auto before = reader.read(0, 4, 1);
  EXPECT_TRUE(std::isnan(before.step_time.at(0)));
  EXPECT_EQ(before.order.at(0), -1);
  EXPECT_EQ(before.block, -1);
  EXPECT_EQ(reader.blocks(0).at(4), -1);
  EXPECT_EQ(reader.blocks(0).at(5), 7);
}

TEST(RunFile, ExistingFilesAreRefusedUnlessOverwritten) {
  const example::Folder folder;
  for (const auto* name : {"r.h5", "s.h5.partial"}) {
    std::ofstream(folder / name) << "precious";
    const auto path = folder / std::string(name).substr(0, 4);
    std::string sentence;
    EXPECT_EQ(code_of([&] { RunWriter(path, false); }, &sentence), ExitCode::output);
    EXPECT_NE(sentence.find("pass --overwrite or choose another --output"), std::string::npos);
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
  EXPECT_THROW(writer.write(example::block(kShape, 0, 0, 8, 0)), std::logic_error);
  auto info = example::info(kShape, 1);
  writer.describe(info);
  EXPECT_THROW(writer.describe(info), std::logic_error);
  EXPECT_THROW(writer.write(example::block(kShape, 3, 0, 8, 0)), std::invalid_argument);
  EXPECT_THROW(writer.write(example::block(kShape, 0, 14, 8, 0)), std::invalid_argument);
  auto block = example::block(kShape, 0, 0, 8, 0);
  block.time[1].pop_back();
  EXPECT_THROW(writer.write(block), std::invalid_argument);
}

TEST(RunFile, MemoryOfTheWriterDoesNotGrowWithTheSteps) {
  const example::Folder folder;
  const RunShape shape{
      .placements = 2, .steps = 6400, .layers = 16, .ranks = 16, .experts = 16, .slots = 1};
  RunWriter writer(folder / "r.h5", false);
  writer.describe(example::info(shape, 1));
  const auto peak = [] {  // KiB
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  long after_first = 0;
  for (int first = 0; first < shape.steps; first += 32) {
    for (int p = 0; p < 2; ++p) writer.write(example::block(shape, p, first, 32, first / 32));
    if (first == 320) after_first = peak();
  }
  writer.finish({});
  EXPECT_GT(fs::file_size(folder / "r.h5"), 60u << 20);
  EXPECT_LT(peak() - after_first, 8 << 10);
}

}  // namespace
}  // namespace gembench
