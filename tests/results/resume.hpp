#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "results/run_reader.hpp"
#include "results/run_writer.hpp"
#include "tests/results/example.hpp"
#include "tests/results/expect_equal.hpp"

/// A run that ends early, one that goes on, and what must come of it.
namespace gembench::resuming {

namespace fs = std::filesystem;

inline const RunShape kShape{
    .placements = 2, .steps = 77, .layers = 4, .ranks = 4, .experts = 8, .slots = 2};
inline constexpr int kSegments = 30;

/// A schedule as the harness makes it, except that it is shuffled: segments of 5 or 6 steps.
inline RunInfo make_info() {
  auto info = example::info(kShape, 1, 5);
  info.segments.resize(kSegments);
  info.shape.segments = kSegments;
  for (Segment& segment : info.segments) {
    segment.first_step = kShape.steps * segment.block / (kSegments / 2);
    segment.steps = kShape.steps * (segment.block + 1) / (kSegments / 2) - segment.first_step;
  }
  Random(3).shuffle(info.segments);
  return info;
}
inline const RunInfo kInfo = make_info();
inline const std::map<std::string, std::string> kNoFacts;

inline void write_segments(RunWriter& writer, int from, int to) {
  for (int segment = from; segment < to; ++segment) {
    auto block = example::block(kInfo, segment);
    if (segment % 4 == 0) block.time[3].clear(), block.count[3].clear();  // not measured
    writer.write(block);
  }
}

/// What is left of a run that stops after some segments.
inline void write_partial(const fs::path& path, int segments) {
  RunWriter writer(path, true);
  writer.describe(kInfo);
  write_segments(writer, 0, segments);
}

/// The whole file, written in one go.
inline void write_whole(const fs::path& path, const RunInfo& info = kInfo) {
  RunWriter writer(path, true);
  writer.describe(info);
  write_segments(writer, 0, kSegments);
  writer.finish(example::end(kShape, 2));
}

inline fs::path partial_of(fs::path path) {
  return path += ".partial";
}
inline fs::path resumed_of(fs::path path) {
  return path += ".partial.new";
}

/// Number of turns that are there; they are the first ones and whole.
inline int count_segments(const fs::path& partial) {
  const RunReader reader(partial);
  EXPECT_FALSE(reader.completed());
  example::expect_equal(reader.info(), kInfo);
  int count = 0;
  while (count < kSegments && reader.measured(count)) ++count;
  for (int segment = 0; segment < kSegments; ++segment) {
    EXPECT_EQ(reader.measured(segment), segment < count);
    if (segment >= count) continue;
    auto expected = example::block(kInfo, segment);
    if (segment % 4 == 0) {
      expected.time[3].assign(expected.time[2].size(), NAN);
      expected.count[3].assign(expected.count[2].size(), -1);
    }
    example::expect_equal(reader.read_segment(segment), expected);
  }
  return count;
}

/// Resumes and writes `segments` more; finishes after the last.
inline void resume(const fs::path& path, int segments = kSegments,
                   const std::map<std::string, std::string>& facts = kNoFacts) {
  const RunReader earlier(partial_of(path));
  int next = 0;
  while (next < kSegments && earlier.measured(next)) ++next;
  RunWriter writer(path, earlier, facts);
  EXPECT_FALSE(fs::exists(resumed_of(path)));
  const int last = std::min(kSegments, next + segments);
  write_segments(writer, next, last);
  if (last == kSegments) writer.finish(example::end(kShape, 2));
}

/// Nothing but `path` is left, and it is as if it had been written in one go; removes it.
inline void expect_whole(const example::Folder& folder, const fs::path& path,
                         const RunInfo& info = kInfo) {
  EXPECT_FALSE(fs::exists(partial_of(path)));
  EXPECT_FALSE(fs::exists(resumed_of(path)));
  write_whole(folder / "whole.h5", info);
  example::expect_equal(RunReader(path), RunReader(folder / "whole.h5"));
  fs::remove(folder / "whole.h5");
  fs::remove(path);
}

}  // namespace gembench::resuming
