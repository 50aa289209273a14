#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "example.hpp"
#include "expect_equal.hpp"
#include "results/profile_file.hpp"
#include "results/trace_file.hpp"

namespace gembench {
namespace {

Trace random_trace(bool with_ids) {
  Random random(7);
  Trace trace;
  trace.steps = 70;
  trace.layers = 3;
  trace.experts = 300;  // ids beyond a byte
  trace.topk = 4;
  trace.source = "serving, seed 7 – with a dash";
  std::vector<std::uint16_t> deck(300);
  std::iota(deck.begin(), deck.end(), std::uint16_t{0});
  for (int i = 0; i < 70 * 20 * 3; ++i) {
    random.shuffle(deck);
    trace.topk_ids.insert(trace.topk_ids.end(), deck.begin(), deck.begin() + 4);
  }
  count_tokens(trace, 20);
  if (!with_ids) trace.topk_ids.clear();
  return trace;
}

void expect_equal(const Trace& a, const Trace& b) {
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.experts, b.experts);
  EXPECT_EQ(a.topk, b.topk);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.topk_ids, b.topk_ids);
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(a.source, b.source);
}

template <class Write>
void expect_output_error(Write write, const std::string& reason) {
  try {
    write();
    ADD_FAILURE() << "accepted, expected: " << reason;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::output);
    EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
  }
}

TEST(TraceFile, RoundTrip) {
  const example::Folder folder;
  for (bool with_ids : {false, true}) {
    auto trace = random_trace(with_ids);
    if (with_ids)  // labels are optional too
      for (int step = 0; step < trace.steps; ++step) trace.task.push_back(step / 20);
    write_trace(folder / "t.h5", trace, true);
    expect_equal(read_trace(folder / "t.h5"), trace);
    EXPECT_FALSE(std::filesystem::exists(folder / "t.h5.partial"));
  }
}

TEST(TraceFile, AnInvalidTraceIsNotWritten) {
  const example::Folder folder;
  auto trace = random_trace(false);
  trace.tokens[5] += 1;
  EXPECT_THROW(write_trace(folder / "t.h5", trace, false), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "t.h5"));
}

TEST(TraceFile, RefusesExistingFilesAndBadFolders) {
  const example::Folder folder;
  const auto trace = random_trace(false);
  std::ofstream(folder / "t.h5.partial") << "left by a killed process: replaced";
  write_trace(folder / "t.h5", trace, false);
  expect_output_error([&] { write_trace(folder / "t.h5", trace, false); }, "--overwrite");
  expect_output_error([&] { write_trace(folder / "no/t.h5", trace, false); }, "No such file");
}

TEST(TraceFile, AFullDiskLeavesNothingBehind) {
  const example::Folder folder;
  const auto trace = random_trace(true);
  signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{20'000, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  expect_output_error([&] { write_trace(folder / "t.h5", trace, false); }, "File too large");
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_trace(folder / "t.h5", trace, false);
  expect_equal(read_trace(folder / "t.h5"), trace);
}

TEST(ProfileFile, RoundTrip) {
  const example::Folder folder;
  Random random(3);
  const auto content = example::profile_file(5, random);
  write_profile(folder / "p.h5", content, false);
  expect_output_error([&] { write_profile(folder / "p.h5", content, false); }, "--overwrite");
  const auto read = read_profile_file(folder / "p.h5");
  example::expect_equal(read.profile, content.profile);
  example::expect_equal(read_profile(folder / "p.h5"), content.profile);
  EXPECT_EQ(read.samples.ranks, content.samples.ranks);
  EXPECT_EQ(read.samples.points, content.samples.points);
  EXPECT_EQ(read.samples.rounds, content.samples.rounds);
  example::expect_same(read.samples.seconds, content.samples.seconds);
  EXPECT_EQ(read.rank_facts, content.rank_facts);
  for (std::size_t rank = 0; rank < 5; ++rank) {
    for (const auto& [was, is] : {std::pair(content.before[rank], read.before[rank]),
                                  std::pair(content.after[rank], read.after[rank])}) {
      EXPECT_PRED2(example::same, was.clock, is.clock);
      EXPECT_PRED2(example::same, was.power, is.power);
      EXPECT_PRED2(example::same, was.temperature, is.temperature);
    }
  }
  EXPECT_EQ(read.measured, content.measured);
  EXPECT_EQ(read.warmup_rounds, 3);
  EXPECT_TRUE(read.warm);
  EXPECT_TRUE(read.tight);
  EXPECT_EQ(read.seconds, 12.5);
}

TEST(ProfileFile, AProfileAloneIsAFileToo) {
  const example::Folder folder;
  Random random(3);
  ProfileFile content;
  content.profile = example::profile(2, random);
  content.profile.active = {};
  write_profile(folder / "p.h5", content, false);
  const auto read = read_profile_file(folder / "p.h5");
  example::expect_equal(read.profile, content.profile);
  EXPECT_EQ(read.samples.points, 0U);
  EXPECT_TRUE(read.rank_facts.empty());
  EXPECT_TRUE(read.before.empty());
}

}  // namespace
}  // namespace gembench
