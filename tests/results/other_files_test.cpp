#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <fstream>
#include <functional>

#include "results/profile_file.hpp"
#include "results/trace_file.hpp"
#include "tests/results/example.hpp"
#include "tests/results/expect_equal.hpp"

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
  EXPECT_EQ(a.requests, b.requests);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.topk_ids, b.topk_ids);
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(a.phase, b.phase);
  EXPECT_EQ(a.layer_ids, b.layer_ids);
  EXPECT_EQ(a.model_layers, b.model_layers);
  EXPECT_EQ(a.sources, b.sources);
  EXPECT_EQ(a.source_tokens, b.source_tokens);
  EXPECT_EQ(a.source, b.source);
}

/// With all that a recording may know.
Trace recorded(bool with_ids) {
  auto trace = random_trace(with_ids);
  trace.layer_ids = {3, 4, 9};
  trace.model_layers = 12;
  trace.sources = 2;
  trace.requests = 5;
  for (int step = 0; step < trace.steps; ++step) {
    trace.task.push_back(step / 20);
    trace.phase.push_back(step % 3);
    for (int layer = 0; layer < trace.layers; ++layer)
      for (int source = 0; source < 2; ++source)
        for (const auto count : trace.loads(step, layer))
          trace.source_tokens.push_back(source == 0 ? count / 3 : count - count / 3);
  }
  return trace;
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

TEST(TraceFile, StepsComeSomeAtATime) {
  for (bool with_ids : {false, true}) {
    const example::Folder folder;
    const auto trace = recorded(with_ids);
    TraceWriter writer(folder / "t.h5", true);
    for (int first = 0, count = 1; first < trace.steps; first += count, count = count % 23 + 5)
      writer.append(slice(trace, first, std::min(count, trace.steps - first)));
    EXPECT_EQ(writer.steps(), trace.steps);
    EXPECT_EQ(writer.shape().layer_ids, trace.layer_ids);
    EXPECT_FALSE(std::filesystem::exists(folder / "t.h5"));
    writer.commit();
    expect_equal(read_trace(folder / "t.h5"), trace);
    write_trace(folder / "at_once.h5", trace, true);
    expect_equal(read_trace(folder / "at_once.h5"), trace);
  }
}

TEST(TraceFile, TheSourceMayBeKnownAtTheEnd) {
  const example::Folder folder;
  TraceWriter writer(folder / "t.h5", false);
  writer.append(recorded(false));
  writer.set_source("scaled – and longer than what stood there before");
  writer.commit();
  EXPECT_EQ(read_trace(folder / "t.h5").source, "scaled – and longer than what stood there before");
}

TEST(TraceFile, OlderFilesAreRead) {
  const example::Folder folder;
  {  // 1.1.0, as the program wrote it then: extents that cannot grow
    using namespace h5;
    auto file = File::create(folder / "t.h5");
    const Variable tokens{"tokens",
                          Type::int32,
                          Layout::chunked,
                          Cells::complete,
                          {"step", "layer", "expert"},
                          "1",
                          "tokens routed to the expert"};
    const Variable task{"task", Type::int32, Layout::whole, Cells::complete, {"step"}, "1", "task"};
    file.set("/", "schema", std::string("gembench-trace"));
    file.set("/", "schema_version", std::string("1.1.0"));
    file.set("/", "topk", std::int64_t{2});
    file.set("/", "source", std::string("long ago"));
    const char* names[] = {"step", "layer", "expert"};
    const std::uint64_t extents[] = {2, 1, 3};
    for (int d = 0; d < 3; ++d)
      file.make_scale({names[d], Type::int32, Layout::whole, Cells::complete, {names[d]}, "1", ""},
                      extents[d]);
    file.make(tokens, {2, 1, 3});
    file.write(tokens, std::span<const std::int32_t>(std::array{1, 2, 1, 0, 1, 1}));
    file.make(task, {2});
    file.write(task, std::span<const std::int32_t>(std::array{0, 5}));
  }
  const auto read = read_trace(folder / "t.h5");
  EXPECT_EQ(read.tokens, (std::vector<std::int32_t>{1, 2, 1, 0, 1, 1}));
  EXPECT_EQ(read.task, (std::vector<std::int32_t>{0, 5}));
  EXPECT_EQ(read.source, "long ago");
  EXPECT_TRUE(read.phase.empty() && read.layer_ids.empty() && read.sources == 0);
  EXPECT_EQ(read.model_layers, 0);
}

TEST(TraceFile, LargeOnesAreNotCompressed) {
  const example::Folder folder;
  Trace trace;
  trace.steps = 700;
  trace.layers = 24;
  trace.experts = 256;
  trace.topk = 2;
  trace.tokens.assign(std::size_t{700} * 24 * 256, 1);
  const auto bytes = trace.tokens.size() * sizeof(std::int32_t);
  ASSERT_GE(bytes, TraceWriter::kCompressedBytes);
  write_trace(folder / "large.h5", trace, false);
  EXPECT_GT(std::filesystem::file_size(folder / "large.h5"), bytes);
  write_trace(folder / "small.h5", slice(trace, 0, 600), false);
  EXPECT_LT(std::filesystem::file_size(folder / "small.h5"), bytes / 50);
  expect_equal(read_trace(folder / "large.h5"), trace);
}

TEST(TraceFile, StepsOfAnotherShapeAreRefused) {
  const example::Folder folder;
  const auto trace = slice(recorded(true), 0, 2);
  const std::function<void(Trace&)> changes[] = {
      [](Trace& t) { t.task.clear(); },
      [](Trace& t) { t.phase.clear(); },
      [](Trace& t) { t.layer_ids[2] = 10; },
      [](Trace& t) { t.model_layers = 13; },
      [](Trace& t) {
        t.sources = 0;
        t.source_tokens.clear();
      },
      [](Trace& t) { t.topk_ids.clear(); },
      [](Trace& t) { t = first_layers(t, 2); },
      [](Trace& t) { t = slice(recorded(false), 0, 2); },
  };
  for (const auto& change : changes) {
    TraceWriter writer(folder / "t.h5", false);
    writer.append(trace);
    auto other = trace;
    change(other);
    try {
      writer.append(other);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("step 2 of the trace has another shape"),
                std::string::npos)
          << error.what();
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "what is not committed goes";
  EXPECT_THROW(TraceWriter(folder / "t.h5", false).commit(), Error) << "no steps";
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
  EXPECT_TRUE(read.series.empty());
  for (int rank = 0; rank < 5; ++rank) {
    example::expect_equal(read_profile_series(folder / "p.h5", rank),
                          content.series[static_cast<std::size_t>(rank)]);
  }
  example::expect_equal(read.soak, content.soak);
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
  EXPECT_TRUE(read_profile_series(folder / "p.h5", 1).empty());
  EXPECT_EQ(read.soak.steps, -1);
}

}  // namespace
}  // namespace gembench
