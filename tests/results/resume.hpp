#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

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

/// Times of the readings of the devices that are there, [rank].
using ReadAt = std::vector<std::set<double>>;

inline void write_segments(RunWriter& writer, int from, int to, const ReadAt* only = nullptr) {
  for (int segment = from; segment < to; ++segment) {
    auto block = example::block(kInfo, segment);
    for (std::size_t rank = 0; only != nullptr && rank < block.states.size(); ++rank) {
      std::erase_if(block.states[rank],
                    [&](const StateSample& one) { return !(*only)[rank].contains(one.time); });
    }
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
inline void write_whole(const fs::path& path, const RunInfo& info = kInfo,
                        const ReadAt* only = nullptr) {
  RunWriter writer(path, true);
  writer.describe(info);
  write_segments(writer, 0, kSegments, only);
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

/// A segment's steps are on the disk before its readings: a kill between the two loses these.
inline ReadAt read_after(const fs::path& path, int kills) {
  const RunReader reader(path);
  ReadAt kept(static_cast<std::size_t>(kShape.ranks));
  for (std::size_t rank = 0; rank < kept.size(); ++rank) {
    for (const StateSample& one : reader.series(static_cast<int>(rank)))
      kept[rank].insert(one.time);
  }
  int cut = 0;  // segments that lack some
  for (int segment = 0; segment < kSegments; ++segment) {
    const auto made = example::block(kInfo, segment).states;
    bool whole = true;
    for (std::size_t rank = 0; rank < made.size(); ++rank) {
      for (const StateSample& one : made[rank]) whole = whole && kept[rank].contains(one.time);
    }
    cut += whole ? 0 : 1;
  }
  EXPECT_LE(cut, kills);
  return kept;
}

/// Nothing but `path` is left, and it is as if it had been written in one go, but for readings that
/// so many kills may cost; removes it.
inline void expect_whole(const example::Folder& folder, const fs::path& path,
                         const RunInfo& info = kInfo, int kills = 0) {
  EXPECT_FALSE(fs::exists(partial_of(path)));
  EXPECT_FALSE(fs::exists(resumed_of(path)));
  const ReadAt kept = read_after(path, kills);
  write_whole(folder / "whole.h5", info, &kept);
  example::expect_equal(RunReader(path), RunReader(folder / "whole.h5"));
  fs::remove(folder / "whole.h5");
  fs::remove(path);
}

}  // namespace gembench::resuming
