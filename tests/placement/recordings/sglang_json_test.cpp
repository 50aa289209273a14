#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using namespace testing;

Trace read_text(const std::string& text) {
  const TempDir dir;
  return read_raw("sglang-json", {{dir.write("a.json", text)}, 0, 0, 0});
}

TEST(SglangJson, StepsOfTheWholeModel) {
  const auto trace =
      read_text("{\"logical_count\": [[[0, 0], [1, 3], [2, 2]], [[0, 0], [4, 0], [0, 4.0]]]}");
  EXPECT_EQ(trace.steps, 2);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{1, 3, 2, 2, 4, 0, 0, 4}));
  EXPECT_EQ(trace.layer_ids, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(trace.model_layers, 3);
}

TEST(SglangJson, TotalsAndOtherKeys) {
  const auto trace = read_text(
      "{\"rank\": 0, \"a\": {\"logical_count\": [1, {\"b\": null}]}, \"c\": [[true, \"x\", -1, "
      "0.5]],"
      "\"logical_count\": [[1.0, 3e0], [2, 2]], \"average_utilization_rate_over_window\": null}");
  EXPECT_EQ(trace.steps, 1);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{1, 3, 2, 2}));
  EXPECT_TRUE(trace.layer_ids.empty());
  EXPECT_EQ(trace.model_layers, 2);
}

/// They are places of a ring buffer, in which time begins behind the longest gap.
TEST(SglangJson, EmptyPassesAreLeftOut) {
  const auto tokens = [](const std::string& steps) {
    return read_text("{\"logical_count\": " + steps + "}").tokens;
  };
  const std::vector<std::int32_t> expected{1, 3, 2, 2};
  EXPECT_EQ(tokens("[[[1, 3]], [[0, 0]], [[2, 2]], [[0, 0]], [[0, 0]]]"), expected);
  EXPECT_EQ(tokens("[[[2, 2]], [[0, 0]], [[1, 3]]]"), expected);
}

/// Python writes NaN and Infinity beside the counts, and blocks end anywhere.
TEST(SglangJson, NanElsewhereDoesNoHarm) {
  for (std::size_t before = 65530; before < 65545; ++before)
    EXPECT_EQ(read_text("{\"rate\": " + std::string(before - 9, ' ') +
                        "-Infinity, \"x\": [NaN, \"NaN\"], \"logical_count\": [[1, 3]]}")
                  .tokens,
              (std::vector<std::int32_t>{1, 3}));
}

TEST(SglangJson, RefusesOthers) {
  const auto refuse = [](const char* part, const std::string& text) {
    SCOPED_TRACE(text.substr(0, 100));
    expect_refused(part, [&] { (void)read_text(text); });
    expect_refused("a.json", [&] { (void)read_text(text); });
  };
  const auto counts = [](const std::string& value) { return "{\"logical_count\": " + value + "}"; };
  refuse("no logical_count", "{}");
  refuse("no logical_count", "[[1, 2]]");
  refuse("no logical_count", "{\"x\": {\"logical_count\": [[1]]}}");
  refuse("no logical_count", counts("3"));
  refuse("empty logical_count", counts("[]"));
  refuse("empty logical_count", counts("[[]]"));
  refuse("empty logical_count", counts("[[], []]"));
  refuse("neither [layer][expert] nor", counts("[1, 2]"));
  refuse("neither [layer][expert] nor", counts("[[[[1]]]]"));
  refuse("neither [layer][expert] nor", counts("[[1], [[2]]]"));
  refuse("1 experts in layer 1 where the first has 2", counts("[[1, 2], [3]]"));
  refuse("0 experts in layer 1", counts("[[[1, 2], []]]"));
  refuse("1 layers where the first step has 2", counts("[[[1, 2], [3, 4]], [[1, 2]]]"));
  refuse("0 layers where the first step has 1", counts("[[[1, 2]], []]"));
  refuse("0.5, which is no whole number (step 1)", counts("[[[1]], [[0.5]]]"));
  refuse("1e300, which is no whole number", counts("[[1e300]]"));
  refuse("a count is -1", counts("[[2, -1]]"));
  refuse("does not fit 32 bits", counts("[[18446744073709551615]]"));
  refuse("something else than numbers", counts("[[null]]"));
  refuse("something else than numbers", counts("[[\"1\"]]"));
  refuse("something else than numbers", counts("[[true]]"));
  refuse("something else than numbers", counts("[{}]"));
  refuse("twice", "{\"logical_count\": [[1]], \"logical_count\": [[1]]}");
  refuse("something else than numbers", counts("[[NaN]]"));
  refuse("something else than numbers", counts("[[1, -Infinity]]"));
  refuse("no JSON at byte", "{\"x\": NaM, \"logical_count\": [[1]]}");
  refuse("no JSON at byte", counts("[[1e999]]"));
  refuse("no JSON at byte", "");
  refuse("no JSON at byte", "\xff\xfe{");
  refuse("no JSON at byte", counts("[[1, 2]]") + "x");
  refuse("no JSON at byte", "{\"\xc3\x28\": 1}");
  refuse("no token in any", counts("[[0, 0]]"));
}

TEST(SglangJson, RefusesHugeThingsBeforeTheyCostMemory) {
  expect_refused("deeper than 16", [] { (void)read_text(std::string(1'000'000, '[')); });
  expect_refused("deeper than 16", [] {
    std::string text = "{\"a\":";
    for (int i = 0; i < 100'000; ++i) text += "{\"a\":";
    (void)read_text(text);
  });
  expect_refused("value of more than",
                 [] { (void)read_text("{\"" + std::string(3'000'000, 'a') + "\": 1}"); });
  expect_refused("value of more than", [] {
    (void)read_text("{\"logical_count\": [[" + std::string(3'000'000, '1') + "]]}");
  });
}

TEST(SglangJson, SurvivesDamage) {
  expect_survives_damage("sglang-json", "a.json",
                         "{\"rank\": 0, \"logical_count\": [[[0, 0], [1, 3]], [[0, 0], [2.0, 2]]]}",
                         3000);
}

}  // namespace
}  // namespace gembench
