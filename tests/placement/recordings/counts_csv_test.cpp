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
      {"\n", "a.csv:1: the header says '' and names no layer"},
      {"hello", "a.csv:1: the header says 'hello'"},
      {"step,layer\n0,0\n", "a.csv:1: the header says 'step,layer' and names no column of counts"},
      {"step,layer,e0,e2\n", "a.csv:1: the header says 'e2' where 'e1'"},
      {"{\"schema\": 1}", "a.csv:1: the header"},
      {std::string("\x89HDF\r\n\x1a\n\0\0", 10), "a.csv:1: the header"},
      {head, "a.csv:1: no rows"},
      {head + "0,0,1,1\n", "a.csv:2: 4 cells where the header names 5"},
      {head + "0\n", "a.csv:2: 1 cells where"},
      {head + "0,0,1,1,0,4\n", "a.csv:2: more cells"},
      {head + "0,0,1,1,0,\n", "a.csv:2: more cells"},
      {head + "0,0,1,,1\n", "a.csv:2: column e1: '' is not a whole"},
      {head + "0,0,1,x,1\n", "a.csv:2: column e1: 'x' is not a whole"},
      {head + "0,0,1,1 1,0\n", "a.csv:2: column e1: '1 1' is not a whole"},
      {head + "0,0,1,1.5,0\n", "a.csv:2: column e1: '1.5' is not a whole"},
      {head + "0,0,1,1.00x,0\n", "a.csv:2: column e1: '1.00x' is not a whole"},
      {head + "0,0,-1.0,1,0\n", "a.csv:2: column e0: -1.0 is negative"},
      {head + "0,0,1,nan,0\n", "a.csv:2: column e1: 'nan' is not a whole"},
      {head + "0,0,1,inf,0\n", "a.csv:2: column e1: 'inf' is not a whole"},
      {head + "0,0,1,1e3,0\n", "a.csv:2: column e1: '1e3' is not a whole"},
      {head + "0,0,3,-1,0\n", "a.csv:2: column e1: -1 is negative"},
      {head + "-1,0,1,1,0\n", "a.csv:2: column step: -1 is negative"},
      {head + "0,0,1,2147483648,0\n", "step 0, layer 0: a count does not fit 32 bits"},
      {head + "0,0,1,9007199254740993,0\n", "a.csv:2: column e1: 9007199254740993 is too large"},
      {head + "0,0,1,99999999999999999999999999,0\n",
       "a.csv:2: column e1: 999999999999999999999999"},
      {head + "0,0,1,1,1\n",
       "a.csv: step 0, layer 0: counts sum to 3, which is no multiple of top-k 2"},
      {head + "0,0,3,1,0\n", "a.csv: step 0, layer 0: expert 0 has 3 tokens of a batch of 2"},
      {head + "0,0,1,1,0\n0,0,1,1,0\n", "a.csv:3: step 0, layer 0 is already in line 2"},
      {head + "0,0,1,1,0\n1,1,1,1,0\n", "a.csv:3: there is no row for step 1, layer 0"},
      {head + "0,1,1,1,0\n1,0,1,1,0\n1,1,1,1,0\n", "a.csv:3: layer 0 is not in step 0"},
      {head + "0,0,1,1,0\n0,1,1,1,0\n1,0,1,1,0\n", "a.csv:4: there is no row for step 1, layer 1"},
      {head + "0,0,1,1,0\n2147483647,1000000,1,1,0\n", "no row for step 2147483647, layer 0"},
      {head + "0,2147483647,1,1,0\n", "column layer: 2147483647 is too large"},
      {head + "0,0,1,1,0\n0,1,2,2,0\n",
       "a.csv: step 0: layer 0 sums to 2 and layer 1 to 4, 50.0 % apart"},
      {head + "0,0,1,1,0\n0,1,1,1", "a.csv:3: 4 cells where"},
      {"layer,expert,count\n0,0,1\n0,0,1\n", "a.csv:3: step 0, layer 0, expert 0 is already"},
      {"layer,expert,count\n0,65536,1\n", "column expert: 65536 is too large"},
      {"layer,expert\n0,1\n", "names no column of counts"},
      {"expert,count\n0,1\n", "names no layer"},
      {"layer,expert,count\n", "no rows"},
      {"layer,expert,count\n0,0,9007199254740992\n", "does not fit 32 bits"},
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

/// The counts in every form that people write them in, against the ones they were made of.
class Forms : public ::testing::Test {
 protected:
  Forms() : trace(testing::small_trace(3, 2, 5, 2, 1)) {}

  /// Lines of a long table; a count is split between `ranks`, and pairs without tokens are absent.
  std::vector<std::string> cells(int ranks, const char* format, int only_rank = -1) {
    std::vector<std::string> lines;
    for (int step = 0; step < trace.steps; ++step)
      for (int layer = 0; layer < trace.layers; ++layer)
        for (int e = 0; e < trace.experts; ++e) {
          auto left = trace.loads(step, layer)[std::size_t(e)];
          for (int rank = 0; rank < ranks; ++rank) {
            const auto count = rank + 1 == ranks ? left : left / 2;
            left -= count;
            if (count == 0 || (only_rank >= 0 && rank != only_rank)) continue;
            char line[200];
            std::snprintf(line, sizeof line, format, step + 7, layer + 3, e, count, rank);
            lines.emplace_back(line);
          }
        }
    std::shuffle(lines.begin(), lines.end(), std::mt19937(3));
    return lines;
  }
  std::filesystem::path file(const std::string& name, const std::string& header,
                             const std::vector<std::string>& lines, const char* newline = "\n") {
    std::string text = header;
    for (const auto& line : lines) text += newline + line;
    return dir.write(name, text + newline);
  }
  void expect_same(const std::vector<std::filesystem::path>& paths, int experts = 5) {
    RecordingInput input{paths, 0, experts, 2};
    EXPECT_EQ(find_format("auto", input).name, "csv");
    const auto read = read_recording("csv", input);
    EXPECT_EQ(read.tokens, trace.tokens);
    EXPECT_EQ(read.steps, 3);
    EXPECT_EQ(read.layer_ids, (std::vector<std::int32_t>{3, 4}));
  }

  TempDir dir;
  Trace trace;
};

TEST_F(Forms, LongTablesInAnyOrder) {
  expect_same({file("a.csv", "step,layer,expert,count", cells(1, "%d,%d,%d,%d"))});
  expect_same({file("a.csv", "step,layer,expert,count", cells(1, "%d,%d,%d,%d"))}, 0);
  expect_same({file("a.csv", "\xef\xbb\xbfiteration;Layer_ID;Expert;Tokens",
                    cells(1, "%d;%d;%d;%d,00"), "\r\n")});
  expect_same({file("a.csv", "step\tlayer\texpert\tcount", cells(1, "%d\t%d\t%d\t%d.0"))});
  expect_same({file("a.csv", ",step,layer,expert,count", cells(1, "5,%d.0,%d.0,%d.0,%d.0"))});
  expect_same({file("a.csv", "\"step\", \"layer\", \"expert\", \"count\"",
                    cells(1, "%d, %d, %d, \"%d\""))});
  expect_same({file("a.csv", "step,layer,expert,count,rank", cells(3, "%d,%d,%d,%d,%d"))});
  expect_same({file("a.csv", "step,layer,expert,count,model", cells(1, "%d,%d,%d,%d,x"))});
}

TEST_F(Forms, AFileOfEveryRank) {
  std::vector<std::filesystem::path> paths;
  for (int rank = 0; rank < 3; ++rank)
    paths.push_back(file("r" + std::to_string(rank) + ".csv", "step,layer,expert,count",
                         cells(3, "%d,%d,%d,%d", rank)));
  expect_same(paths);
}

TEST_F(Forms, WideTablesAsPandasWritesThem) {
  std::vector<std::string> lines;
  for (int step = 0; step < 3; ++step)
    for (int layer = 0; layer < 2; ++layer) {
      std::string line = std::to_string(step * 2 + layer) + "," + std::to_string(step + 7) + ".0," +
                         std::to_string(layer + 3);
      for (const auto count : trace.loads(step, layer)) line += "," + std::to_string(count) + ".0";
      lines.push_back(line);
    }
  expect_same({file("a.csv", "Unnamed: 0,step,layer,e0,e1,e2,e3,e4", lines)});
  expect_same({file("a.csv", ",step,layer,0,1,2,3,4", lines)});
  std::reverse(lines.begin(), lines.end());
  expect_same(
      {file("a.csv", "index,step,layer,expert_0,expert_1,expert_2,expert_3,expert_4", lines)});
  auto half = std::vector<std::string>(lines.begin(), lines.begin() + 3);
  const auto a = file("a.csv", ",step,layer,e0,e1,e2,e3,e4", half);
  half.assign(lines.begin() + 3, lines.end());
  expect_same({a, file("b.csv", ",step,layer,e0,e1,e2,e3,e4", half)});
}

/// "1,000" of English tables and "1.000" of German ones: one, or a thousand.
TEST(CountsCsv, ThousandsAreNotTakenForDecimals) {
  TempDir dir;
  const auto read = [&](const std::string& row, char separator) {
    std::string text = "step,layer,e0,e1\n" + row + "\n";
    std::replace(text.begin(), text.end(), '|', separator);
    if (separator != ',') std::replace(text.begin(), text.begin() + 16, ',', separator);
    return read_counts_csv(dir.write("a.csv", text), 1).tokens;
  };
  EXPECT_EQ(read("0|0|1.0|7.00", ';'), (std::vector<std::int32_t>{1, 7}));
  EXPECT_EQ(read("0|0|1,0|7,0000", '\t'), (std::vector<std::int32_t>{1, 7}));
  expect_refused("may be 1 or thousands", [&] { (void)read("0|0|1.000|7", ';'); });
  expect_refused("may be 1 or thousands", [&] { (void)read("0|0|1,000|7", '\t'); });
}

TEST_F(Forms, WhatIsAssumedIsSaid) {
  const auto notes = [&](const std::string& header, const char* format, int ranks) {
    const RecordingInput input{{file("a.csv", header, cells(ranks, format))}, 0, 0, 2};
    std::string all;
    for (const auto& note : find_format("csv", input).read(input, [](const Trace&) {}))
      all += note + "\n";
    return all;
  };
  EXPECT_NE(notes("step,layer,expert,count", "%d,%d,%d,%d", 1).find("add --experts"),
            std::string::npos);
  EXPECT_NE(notes("step,layer,expert,count,rank", "%d,%d,%d,%d,%d", 3).find("of 3 ranks"),
            std::string::npos);
  EXPECT_NE(notes("step,layer,expert,count,m", "%d,%d,%d,%d,x", 1).find("the columns m"),
            std::string::npos);
}

TEST(CountsCsv, TotalsWithoutStepsAndGapsBetweenSteps) {
  TempDir dir;
  const auto totals = dir.write("a.csv", "layer,expert,count\n5,1,3\n9,0,3\n");
  const auto read = read_counts_csv(totals, 1);
  EXPECT_EQ(read.tokens, (std::vector<std::int32_t>{0, 3, 3, 0}));
  EXPECT_EQ(read.layer_ids, (std::vector<std::int32_t>{5, 9}));
  const auto gaps = dir.write("b.csv", "step,layer,e0\n10,0,1\n30,0,2\n");
  std::vector<std::string> notes = find_format("csv", {}).read({{gaps}, 0, 0, 1}, [](auto) {});
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "steps are numbered 10 to 30 with gaps: 2 steps");
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
  // A row for each step of many layers would be handed on as all layers' counts each time.
  std::string thin = "step,layer,expert,count\n";
  for (int layer = 0; layer < 4096; ++layer) thin += "0," + std::to_string(layer) + ",1023,1\n";
  for (int step = 1; step < 2000; ++step) thin += std::to_string(step) + ",0,0,1\n";
  expect_refused("nearly all are absent",
                 [&] { (void)read_counts_csv(dir.write("thin.csv", thin), 1); });
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
