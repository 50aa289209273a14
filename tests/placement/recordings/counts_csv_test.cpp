#include <sstream>

#include "placement/recordings/formats.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using testing::TempDir;

Trace read_counts_csv(const std::filesystem::path& path, int topk) {
  return read_recording("csv", {{path}, 0, 0, topk});
}

std::string to_csv(const Trace& trace, bool backwards = false, const char* newline = "\n") {
  std::vector<std::string> rows;
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer) {
      std::ostringstream row;
      row << step << ',' << layer;
      for (auto count : trace.loads(step, layer)) row << ',' << count;
      rows.push_back(row.str());
    }
  if (backwards) std::reverse(rows.begin(), rows.end());
  std::string text = "step,layer";
  for (int e = 0; e < trace.experts; ++e) text += ",e" + std::to_string(e);
  for (const auto& row : rows) text += newline + row;
  return text + newline;
}

TEST(CountsCsv, RoundTrips) {
  TempDir dir;
  const auto trace = testing::small_trace(5, 3, 8, 2, 1);
  for (bool backwards : {false, true})
    for (const char* newline : {"\n", "\r\n"}) {
      const auto path = dir.write("a.csv", to_csv(trace, backwards, newline));
      const auto read = read_counts_csv(path, 2);
      EXPECT_EQ(read.tokens, trace.tokens);
      EXPECT_EQ(read.steps, 5);
      EXPECT_EQ(read.layers, 3);
      EXPECT_EQ(read.experts, 8);
      EXPECT_EQ(read.source, path.string());
    }
}

TEST(CountsCsv, AcceptsWhatEditorsDo) {
  TempDir dir;
  const auto bare = dir.write("a.csv", "\xef\xbb\xbfstep,layer,e0,e1\n0,0,2,2");  // BOM, no newline
  EXPECT_EQ(read_counts_csv(bare, 2).tokens, (std::vector<std::int32_t>{2, 2}));
  const auto blank = dir.write("b.csv", "step,layer,e0,e1\n0,0,2,2\n\n");
  EXPECT_EQ(read_counts_csv(blank, 2).tokens.size(), 2u);
}

TEST(CountsCsv, RefusesEveryBrokenFileByLine) {
  const std::string head = "step,layer,e0,e1,e2\n";
  struct Case {
    std::string text;
    const char* part;
  };
  const Case cases[] = {
      {"", "a.csv:1: the file is empty"},
      {"\n", "a.csv:1: the header says ''"},
      {"hello", "a.csv:1: the header says 'hello'"},
      {"step,layer\n0,0\n", "a.csv:1: no expert columns"},
      {"step,layer,e0,e2\n", "a.csv:1: the header says 'e2' where 'e1'"},
      {"{\"schema\": 1}", "a.csv:1: the header"},
      {std::string("\x89HDF\r\n\x1a\n\0\0", 10), "a.csv:1: the header"},
      {head, "a.csv:1: no rows"},
      {head + "0,0,1,1\n", "a.csv:2: 2 counts where the header names 3"},
      {head + "0\n", "a.csv:2: a row without a layer"},
      {head + "0,0,1,1,0,4\n", "a.csv:2: more counts"},
      {head + "0,0,1,1,0,\n", "a.csv:2: more counts"},
      {head + "0,0,1,,1\n", "a.csv:2: column e1: '' is not a whole"},
      {head + "0,0,1,x,1\n", "a.csv:2: column e1: 'x' is not a whole"},
      {head + "0,0,1, 1,0\n", "a.csv:2: column e1: ' 1' is not a whole"},
      {head + "0,0,1,1.0,0\n", "a.csv:2: column e1: '1.0' is not a whole"},
      {head + "0,0,1,nan,0\n", "a.csv:2: column e1: 'nan' is not a whole"},
      {head + "0,0,1,inf,0\n", "a.csv:2: column e1: 'inf' is not a whole"},
      {head + "0,0,1,1e3,0\n", "a.csv:2: column e1: '1e3' is not a whole"},
      {head + "0,0,3,-1,0\n", "a.csv:2: column e1: -1 is negative"},
      {head + "-1,0,1,1,0\n", "a.csv:2: column step: -1 is negative"},
      {head + "0,0,1,2147483648,0\n", "a.csv:2: column e1: 2147483648 is too large"},
      {head + "0,0,1,99999999999999999999999999,0\n",
       "a.csv:2: column e1: 999999999999999999999999"},
      {head + "0,0,1,1,1\n",
       "a.csv: step 0, layer 0: counts sum to 3, which is no multiple of top-k 2"},
      {head + "0,0,3,1,0\n", "a.csv: step 0, layer 0: expert 0 has 3 tokens of a batch of 2"},
      {head + "0,0,1,1,0\n\n0,1,1,1,0\n", "a.csv:3: column step: '' is not"},
      {head + "0,0,1,1,0\n0,0,1,1,0\n", "a.csv:3: step 0, layer 0 is already in line 2"},
      {head + "0,0,1,1,0\n2,0,1,1,0\n", "no row for step 1, layer 0"},
      {head + "1,0,1,1,0\n", "no row for step 0, layer 0"},
      {head + "0,1,1,1,0\n", "no row for step 0, layer 0"},
      {head + "0,0,1,1,0\n0,1,1,1,0\n1,0,1,1,0\n", "a.csv:4: there is no row for step 1, layer 1"},
      {head + "0,0,1,1,0\n2147483647,2147483647,1,1,0\n", "no row for step 1, layer 0"},
      {head + "0,0,1,1,0\n0,1,2,2,0\n",
       "a.csv: step 0: layer 0 sums to 2 and layer 1 to 4, 50.0 % apart"},
      {head + "0,0,1,1,0\n0,1,1,1", "a.csv:3: 2 counts where"},
  };
  TempDir dir;
  for (const auto& [text, part] : cases) {
    SCOPED_TRACE(text);
    const auto path = dir.write("a.csv", text);
    expect_refused(part, [&] { (void)read_counts_csv(path, 2); });
  }
}

TEST(CountsCsv, RowsOfAStepComeInAnyOrderAndLayersMaySumDifferently) {
  TempDir dir;
  const auto path = dir.write("a.csv", "step,layer,e0,e1,e2\n0,1,30,30,21\n0,0,300,200,100\n");
  std::vector<std::int32_t> tokens;
  (void)find_format("csv", {}).read({{path}, 0, 0, 0},
                                    [&](const Trace& steps) { tokens = steps.tokens; });
  EXPECT_EQ(tokens, (std::vector<std::int32_t>{300, 200, 100, 30, 30, 21}));
}

TEST(CountsCsv, WhatTheUserStatesMustAgree) {
  TempDir dir;
  const auto path = dir.write("a.csv", "step,layer,e0,e1\n0,0,2,2\n");
  const auto read = [&](int layers, int experts) {
    return read_recording("csv", {{path}, layers, experts, 2});
  };
  EXPECT_EQ(read(1, 2).experts, 2);
  expect_refused("a.csv has experts = 2 but 3 was stated", [&] { (void)read(0, 3); });
  expect_refused("a.csv has layers = 1 but 2 was stated", [&] { (void)read(2, 0); });
}

TEST(CountsCsv, RefusesHugeThingsBeforeTheyCostMemory) {
  TempDir dir;
  std::string wide = "step,layer";
  for (int e = 0; e <= 65536; ++e) wide += ",e" + std::to_string(e);
  expect_refused("more than 65536 experts",
                 [&] { (void)read_counts_csv(dir.write("wide.csv", wide), 1); });
  const auto sparse = dir.write("sparse.csv", "step");
  std::filesystem::resize_file(sparse, std::uintmax_t{1} << 36);  // takes no disk
  expect_refused("sparse.csv has a line of more than", [&] { (void)read_counts_csv(sparse, 1); });
  expect_refused("does not exist", [&] { (void)read_counts_csv(dir.at("none.csv"), 1); });
  expect_refused("not a regular file", [&] { (void)read_counts_csv(dir.at("."), 1); });
  expect_refused("not a regular file", [&] { (void)read_counts_csv("/dev/zero", 1); });
  const auto good = dir.write("good.csv", "step,layer,e0,e1\n0,0,2,2\n");
  expect_refused("pass --topk N", [&] { (void)read_counts_csv(good, 0); });
}

TEST(CountsCsv, SurvivesRandomDamage) {
  TempDir dir;
  const auto good = to_csv(testing::small_trace(3, 2, 4, 2, 1));
  Random random(7);
  for (int i = 0; i < 500; ++i) {
    auto text = good;
    for (auto n = 1 + random.below(4); n > 0; --n)
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    if (random.below(3) == 0) text.resize(random.below(text.size()));
    const auto path = dir.write("a.csv", text);
    try {
      validate(read_counts_csv(path, 2));  // damage may leave a sound file
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("a.csv"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace gembench
