#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "placement/recordings/formats.hpp"
#include "placement/recordings/token_recording.hpp"
#include "tests/placement/recordings/token_files.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using nlohmann::json;
using testing::expect_refused;
using testing::random_ids;
using testing::TempDir;

constexpr int kTokens = 10, kLayers = 3, kExperts = 40, kTopk = 4;

/// Two requests, of 6 and 4 tokens.
class RouteLines : public ::testing::Test {
 protected:
  RouteLines() : ids(random_ids(5, kTokens, kLayers, kExperts, kTopk)) {}

  std::vector<std::uint16_t> choices(int token, int layer) {
    const auto first = ids.begin() + (token * kLayers + layer) * kTopk;
    return {first, first + kTopk};
  }
  /// A line for every token and layer, by functions from these to a line.
  template <class Line>
  std::vector<std::string> lines(Line line) {
    std::vector<std::string> all;
    for (int token = 0; token < kTokens; ++token)
      for (int layer = 0; layer < kLayers; ++layer)
        all.push_back(
            line(token < 6 ? 0 : 1, token < 6 ? token : token - 6, layer, choices(token, layer))
                .dump());
    return all;
  }
  static json usual(int request, int token, int layer, const std::vector<std::uint16_t>& chosen) {
    return {{"type", "route"},    {"req_id", "r" + std::to_string(request)},
            {"token_idx", token}, {"layer", layer},
            {"topk_ids", chosen}, {"topk_weights", {0.5, 0.5}}};
  }
  std::filesystem::path file(const std::vector<std::string>& all, const std::string& end = "") {
    std::string text;
    for (const auto& line : all) text += line + "\n";
    return dir.write("r.jsonl", text + end);
  }
  TokenRecording read(const std::filesystem::path& path, int layers = 0, int experts = kExperts) {
    RecordingInput input;
    input.paths = {path};
    input.layers = layers;
    input.experts = experts;
    const auto& format = find_format("auto", input);
    EXPECT_EQ(format.name, "route-lines");
    return format.read_tokens(input);
  }
  void expect_same(const TokenRecording& r) {
    EXPECT_EQ(r.ids, ids);
    ASSERT_EQ(r.requests.size(), 2u);
    EXPECT_EQ(r.requests[0].tokens(), 6);
    EXPECT_EQ(r.requests[1].first, 6u);
    EXPECT_EQ(r.requests[1].tokens(), 4);
    EXPECT_EQ(r.layers, kLayers);
    EXPECT_EQ(r.topk, kTopk);
    EXPECT_FALSE(r.phases_known);
  }

  TempDir dir;
  std::vector<std::uint16_t> ids;
};

TEST_F(RouteLines, InAnyOrderBehindWhatIsSaidOfTheModel) {
  auto all = lines(usual);
  std::shuffle(all.begin() + 1, all.end(), std::mt19937(2));  // the first line names the first
  all.insert(all.begin(), json{{"type", "meta"},
                               {"top_k", kTopk},
                               {"num_experts", kExperts},
                               {"layers_logged", {0, 1, 2}}}
                              .dump());
  const auto r = read(file(all), 0, 0);
  expect_same(r);
  EXPECT_TRUE(r.notes.empty());
  EXPECT_TRUE(r.layer_ids.empty());
}

TEST_F(RouteLines, UnderOtherNamesAndWithTheLayersNumbers) {
  const auto r = read(file(lines([](int request, int token, int layer, const auto& chosen) {
    return json{{"seq_id", request},
                {"pos", token},
                {"layer_id", 2 * layer + 1},
                {"expert_ids", chosen},
                {"entropy", std::nan("")}};
  })));
  expect_same(r);
  EXPECT_EQ(r.layer_ids, (std::vector<std::int32_t>{1, 3, 5}));
}

/// A line for every pass and layer, in which tokens count from 0 again.
TEST_F(RouteLines, LinesOfWholeBatches) {
  std::vector<std::string> all;
  const int starts[] = {0, 4, 6, 10};  // passes of 4, 2 and 4 tokens
  for (int pass = 0; pass < 3; ++pass)
    for (int layer = 0; layer < kLayers; ++layer) {
      json chosen = json::array();
      for (int token = starts[pass]; token < starts[pass + 1]; ++token)
        chosen.push_back(choices(token, layer));
      all.push_back(
          json{{"layer", layer}, {"batch_id", pass < 2 ? 0 : 1}, {"topk_experts", chosen}}.dump());
    }
  expect_same(read(file(all)));
}

/// Token 0 of passes in which it has other choices each time. Whatever line is missing, no token is
/// made of two passes: what is read is a pass.
TEST_F(RouteLines, PassesAreNeverMixed) {
  std::vector<std::string> all;
  for (int pass = 0; pass < kTokens; ++pass)
    for (int layer = 0; layer < kLayers; ++layer)
      all.push_back(usual(0, 0, layer, choices(pass, layer)).dump());
  const auto whole = read(file(all));
  EXPECT_EQ(whole.ids, ids);
  const auto each = static_cast<std::size_t>(kLayers * kTopk);
  for (std::size_t lost = 0; lost < all.size(); ++lost) {
    auto fewer = all;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(lost));
    fewer.push_back(usual(1, 0, 0, choices(0, 0)).dump());  // so that something is left
    fewer.push_back(usual(1, 0, 1, choices(0, 1)).dump());
    fewer.push_back(usual(1, 0, 2, choices(0, 2)).dump());
    const auto r = read(file(fewer));
    for (std::size_t token = 0; token < r.tokens(); ++token) {
      const auto found = std::span(r.ids).subspan(token * each, each);
      bool is_a_pass = false;
      for (std::size_t pass = 0; pass < kTokens; ++pass)
        is_a_pass =
            is_a_pass || std::ranges::equal(found, std::span(ids).subspan(pass * each, each));
      EXPECT_TRUE(is_a_pass) << "token " << token << " without line " << lost;
    }
    EXPECT_EQ(r.notes.size(), 1u) << "line " << lost;
  }
  // A log that was stopped within its last pass loses that pass only.
  all.pop_back();
  EXPECT_EQ(read(file(all)).tokens(), static_cast<std::size_t>(kTokens - 1));
  all.erase(all.begin());
  expect_refused("does not tell which lines are of one pass", [&] { (void)read(file(all)); });
}

TEST_F(RouteLines, WhatIsIncompleteIsLeftOutAndCounted) {
  auto all = lines(usual);
  all.erase(all.begin() + 4);  // layer 1 of token 1
  all[16] = usual(0, 5, 2, {0xffff, 0xffff, 0xffff, 0xffff}).dump();
  const auto none = all[16].find("65535");
  ASSERT_NE(none, std::string::npos);
  const auto last = all.back();
  all.pop_back();
  const auto r = read(file(all, last.substr(0, 40)));
  EXPECT_EQ(r.tokens(), 7u);
  ASSERT_EQ(r.notes.size(), 3u);
  EXPECT_NE(r.notes[0].find("last line"), std::string::npos);
  EXPECT_NE(r.notes[1].find("left out 2 tokens"), std::string::npos) << r.notes[1];
  EXPECT_NE(r.notes[2].find("left out 1 of 8 tokens"), std::string::npos) << r.notes[2];
}

TEST_F(RouteLines, WrongOnesAreRefusedWithTheLine) {
  const auto good = lines(usual);
  const auto refuse = [&](const std::string& part, const std::string& line) {
    auto all = good;
    all[1] = line;
    expect_refused(part, [&] { (void)read(file(all)); });
  };
  refuse("r.jsonl:2: it is no JSON", "{");
  refuse("r.jsonl:2: it has 2 experts of a token where 4", usual(0, 0, 1, {1, 2}).dump());
  refuse("r.jsonl:2: its layer must", usual(0, 0, -1, {1, 2, 3, 4}).dump());
  refuse("r.jsonl:2: its token must", usual(0, -1, 1, {1, 2, 3, 4}).dump());
  refuse("expert 40 of 40", usual(0, 0, 1, {1, 2, 3, 40}).dump());
  refuse("twice", usual(0, 0, 1, {1, 2, 3, 3}).dump());
  refuse("r.jsonl:2: its experts are no list",
         R"({"req_id": 0, "token_idx": 0, "layer": 1, "topk_ids": []})");
  refuse("r.jsonl:2: an expert must",
         R"({"req_id": 0, "token_idx": 0, "layer": 1, "topk_ids": [0.5, 1, 2, 3]})");
  refuse("r.jsonl:2: its experts are no list of numbers",
         R"({"req_id": 0, "token_idx": 0, "layer": 1, "topk_ids": [[], 1]})");
  refuse("r.jsonl:2: it has experts 41 where 40", R"({"type": "meta", "num_experts": 41})");
  expect_refused("routes of 3 layers where 4", [&] { (void)read(file(good), 4); });
  expect_refused("pass --experts", [&] { (void)read(file(good), 0, 0); });
  Random random(11);
  for (int i = 0; i < 300; ++i) {
    auto all = good;
    auto& line = all[random.below(all.size())];
    line[random.below(line.size())] = static_cast<char>(random.below(256));
    RecordingInput input;
    input.paths = {file(all)};
    input.experts = kExperts;
    try {
      validate(find_format("route-lines", input).read_tokens(input));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("r.jsonl"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace gembench
