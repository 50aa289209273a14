#include "placement/encodings/json_lines.hpp"

#include "placement/encodings/bounded_json.hpp"
#include "placement/encodings/nan_filter.hpp"
#include "placement/encodings/table_reader.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/files/input_file.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using testing::TempDir;

const std::string kBom = "\xef\xbb\xbf";

TEST(PlainText, WhatEditorsAddMeansNothing) {
  const TempDir dir;
  EXPECT_EQ(read_input_file(dir.write("a.ini", kBom + "steps = 4\n"), 100), "steps = 4\n");
  EXPECT_EQ(read_input_file(dir.write("b.ini", "x" + kBom), 100), "x" + kBom);
  EXPECT_EQ(read_input_file(dir.write("c.ini", ""), 100), "");
  ByteStream in(dir.write("lines", kBom + "one\r\n" + kBom + "two\r\n"));
  std::string line;
  ASSERT_TRUE(in.read_line(line, 100));
  EXPECT_EQ(line, "one");
  ASSERT_TRUE(in.read_line(line, 100));
  EXPECT_EQ(line, kBom + "two");  // only at the beginning of a file
  TableReader table(dir.write("t.csv", kBom + "a;b\r\n1;2\r\n\r\n"));
  EXPECT_EQ(table.need_column({"a"}), 0u);
  ASSERT_TRUE(table.next());
  EXPECT_EQ(table.number(1, 9), 2);
  EXPECT_FALSE(table.next());
  for (const std::string text :
       {"{\"physical_to_logical_map\": [[0, 1],\r\n [1, 0]]}\r\n",
        "num_slots: 2\r\nlayer_updates_per_iter: 0\r\ninitial_global_assignments:\r\n"
        "  0: [0, 1]\r\n  1: [1, 0]\r\n"}) {
    const auto plain = read_any_placement(dir.write("p", text), {2, 0, 0}).placement;
    const auto edited = read_any_placement(dir.write("q", kBom + text), {2, 0, 0}).placement;
    EXPECT_EQ(edited.slot_expert, plain.slot_expert);
  }
  const std::string utf16(
      "\xff\xfe"
      "a\0,\0",
      6);
  const auto path = dir.write("u.csv", utf16);
  expect_refused("u.csv is a text in UTF-16", [&] { (void)read_input_file(path, 100); });
  expect_refused("u.csv is a text in UTF-16", [&] { (void)TableReader(path); });
}

/// Texts of a few letters, in which words for NaN lie within and outside of quotes.
TEST(NanFilter, OnlyWordsOutsideOfTextsAreReplaced) {
  const auto replaced = [](std::string text) {
    replace_nans(text);
    return text;
  };
  EXPECT_EQ(replaced(R"({"a": NaN, "NaN": [-Infinity, Infinity, -1]})"),
            R"({"a": "" , "NaN": [""       , ""      , -1]})");
  EXPECT_EQ(replaced(R"(["\"NaN\\", NaN])"), R"(["\"NaN\\", "" ])");
  EXPECT_EQ(replaced("[1, -2]"), "[1, -2]");
  for (const std::string broken : {"[NaM, NaN]", "[Na", "[NaNaN]", "[Infinite, NaN]", "[-I, NaN]"})
    EXPECT_FALSE(nlohmann::json::accept(replaced(broken))) << broken;
}

TEST(JsonLines, EveryKindOfLineAndTheirNumbers) {
  const TempDir dir;
  const auto path = dir.write("a", kBom +
                                       "\r\n: hello\r\ndata: {\"a\": 1}\r\nid: 3\n"
                                       "data:[2]\n\ndata: [DONE]\n{\"b\": NaN}\n[");
  std::vector<std::string> texts;
  std::vector<std::int64_t> lines;
  JsonLines in(path, 100);
  EXPECT_TRUE(in.for_each([&](const std::string& text) {
    (void)parse_bounded_json(text);
    texts.push_back(text);
    lines.push_back(in.line());
  }));
  EXPECT_EQ(lines, (std::vector<std::int64_t>{3, 5, 8}));
  EXPECT_EQ(texts[1], "[2]");
  expect_refused("has a line of more than 100 bytes", [&] {
    JsonLines long_one(dir.write("b", std::string(101, ' ')), 100);
    std::string text;
    (void)long_one.next(text);
  });
}

}  // namespace
}  // namespace gembench
