#include "placement/recordings/routed_experts.hpp"

#include "placement/recordings/ids_file.hpp"
#include "placement/recordings/requests_file.hpp"
#include "tests/placement/recordings/token_files.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using nlohmann::json;
using testing::base64;
using testing::bytes_of;
using testing::expect_error;
using testing::expect_windows;
using testing::input_of;
using testing::looks_like;
using testing::npy;
using testing::random_ids;
using testing::response;
using testing::TempDir;

TEST(VllmRouted, AnswersAreRequests) {
  const TempDir dir;
  const auto first = random_ids(1, 7, 3, 60, 4);
  const auto second = random_ids(2, 2, 3, 60, 4);
  const auto routed = [](const std::vector<std::uint16_t>& ids, const char* dims) {
    return base64(npy("|u1", dims, bytes_of<std::uint8_t>(ids)));
  };
  const auto a = response(routed(first, "(7, 3, 4)"), 5);
  const auto b = response(base64(npy("<u2", "(2, 3, 4)", bytes_of<std::uint16_t>(second))), 9);
  auto all = first;
  all.insert(all.end(), second.begin(), second.end());
  const json array = json::array({a, b});
  for (const auto& text : {a.dump() + "\n\n" + b.dump() + "\n", array.dump(), array.dump(2),
                           json{{"responses", {{"of", array}}}}.dump(1)}) {
    const auto input = input_of(dir.write("r.jsonl", text), 0, 60, 0);
    EXPECT_TRUE(looks_like("vllm-routed", input));
    EXPECT_FALSE(looks_like("sglang-routed", input));
    const auto r = read_vllm_routed(input);
    EXPECT_EQ(r.layers, 3);
    EXPECT_EQ(r.topk, 4);
    EXPECT_EQ(r.ids, all);
    ASSERT_EQ(r.requests.size(), 2u);
    EXPECT_EQ(r.requests[0].prompt, 5);
    EXPECT_EQ(r.requests[0].decode, 2);
    EXPECT_EQ(r.requests[1].prompt, 2) << "a prompt longer than what was listed";
    EXPECT_EQ(r.requests[1].first, 7u);
    EXPECT_TRUE(r.phases_known);
  }
}

TEST(VllmRouted, AFolderAndBareNpyFiles) {
  const TempDir dir;
  const auto ids = random_ids(1, 7, 3, 60, 4);
  const auto bytes = npy("|u1", "(7, 3, 4)", bytes_of<std::uint8_t>(ids));
  (void)dir.write("b.npy", bytes);
  (void)dir.write("a.json", response(base64(bytes), -1).dump());
  (void)dir.write("notes.txt", "nothing");
  const auto r = read_vllm_routed(input_of(dir.at(""), 3, 60, 4));
  EXPECT_EQ(r.requests.size(), 2u);
  EXPECT_EQ(r.tokens(), 14u);
  EXPECT_FALSE(r.phases_known);
  EXPECT_EQ(r.requests[1].decode, 7);
}

/// Routes of `rows` tokens of one layer, which are 0 and 1 + the token's number.
json routes(int rows) {
  json lists = json::array();
  for (int row = 0; row < rows; ++row) lists.push_back(json::array({json::array({0, 1 + row})}));
  return lists;
}

json answers(const std::vector<int>& rows, int prompt, int completion) {
  json choices = json::array();
  for (const int one : rows) choices.push_back({{"routed_experts", routes(one)}});
  return {{"choices", choices},
          {"usage", {{"prompt_tokens", prompt}, {"completion_tokens", completion}}}};
}

/// A server may leave out the first `start` tokens of every prompt, and may give several answers.
TEST(VllmRouted, TheLastRowsAreThoseOfGeneratedTokens) {
  const TempDir dir;
  for (int prompt = 1; prompt <= 5; ++prompt)
    for (int start = 0; start <= prompt; ++start)
      for (int first = 1; first <= 4; ++first)
        for (const int second : {0, 1, 3}) {  // 0: one answer
          SCOPED_TRACE(::testing::Message() << prompt << start << first << second);
          const int listed = prompt - start;
          std::vector<int> rows{listed + first - 1};
          if (second > 0) rows.push_back(listed + second - 1);
          if (std::ranges::count(rows, 0) > 0) continue;
          const auto text = answers(rows, prompt, first + second).dump();
          const auto r = read_vllm_routed(input_of(dir.write("r.json", text), 0, 60, 0));
          ASSERT_EQ(r.requests.size(), rows.size());
          EXPECT_TRUE(r.notes.empty());
          EXPECT_TRUE(r.phases_known);
          for (std::size_t i = 0; i < rows.size(); ++i) {
            EXPECT_EQ(r.requests[i].prompt, listed);
            EXPECT_EQ(r.requests[i].decode, (i == 0 ? first : second) - 1);
          }
        }
}

/// completion_tokens counts answers without routes too, so that nothing tells the phases.
TEST(VllmRouted, AnswersBesideOnesWithoutRoutesHaveNoPhases) {
  const TempDir dir;
  for (const json& none : {json(), json(""), json::array()}) {
    auto response = answers({9}, 5, 10);
    response["choices"].push_back({{"routed_experts", none}});
    const auto r = read_vllm_routed(input_of(dir.write("r.json", response.dump()), 0, 60, 0));
    ASSERT_EQ(r.requests.size(), 1u) << none;
    EXPECT_EQ(r.tokens(), 9u);
    EXPECT_FALSE(r.phases_known) << none;
  }
}

TEST(VllmRouted, ResponsesThatContradictThemselvesAreLeftOutAndCounted) {
  const TempDir dir;
  const auto read = [&](const std::vector<json>& responses) {
    std::string text;
    for (const auto& one : responses) text += one.dump() + "\n";
    return read_vllm_routed(input_of(dir.write("r.jsonl", text), 0, 60, 0));
  };
  const auto good = answers({6}, 4, 3);
  for (const auto& bad : {answers({7}, 4, 3), answers({1}, 4, 3), answers({3, 4}, 4, 4)}) {
    const auto r = read({good, bad, good});
    EXPECT_EQ(r.requests.size(), 2u);
    ASSERT_EQ(r.notes.size(), 1u);
    EXPECT_NE(r.notes[0].find("left out 1 of 3 responses"), std::string::npos) << r.notes[0];
    expect_error(ExitCode::usage, "r.jsonl: response 1 has", [&, &b = bad] { (void)read({b}); });
  }
}

TEST(VllmRouted, ServerSentEventsAndACutLastLine) {
  const TempDir dir;
  const auto a = answers({6}, 4, 3).dump(), b = answers({5}, 5, 1).dump();
  const auto events = "\xef\xbb\xbf: ping\r\n\r\nevent: message\r\nid: 7\r\ndata: " + a +
                      "\r\n\r\ndata:" + b + "\r\n\r\ndata: [DONE]\r\n\r\n";
  const auto lines = a + "\n" + b + "\n";
  const auto plain = read_vllm_routed(input_of(dir.write("a.jsonl", lines), 0, 60, 0));
  const auto stream = read_vllm_routed(input_of(dir.write("a.sse", events), 0, 60, 0));
  EXPECT_EQ(stream.ids, plain.ids);
  EXPECT_EQ(stream.requests.size(), 2u);
  EXPECT_TRUE(stream.notes.empty());
  EXPECT_TRUE(looks_like("vllm-routed", input_of(dir.at("a.sse"), 0, 60, 0)));
  for (std::size_t left = 1; left < b.size(); ++left)
    for (const auto* end : {"", "\n", "\n\n"}) {
      const auto cut = dir.write("cut.jsonl", a + "\n" + b.substr(0, left) + end);
      const auto r = read_vllm_routed(input_of(cut, 0, 60, 0));
      ASSERT_EQ(r.requests.size(), 1u);
      ASSERT_EQ(r.notes.size(), 1u);
      EXPECT_NE(r.notes[0].find("last line"), std::string::npos) << r.notes[0];
    }
  // In the middle, or alone, it is no end.
  const auto half = a.substr(0, a.size() / 2);
  expect_error(ExitCode::usage, ":2: it is no JSON", [&] {
    (void)read_vllm_routed(input_of(dir.write("r.jsonl", a + "\n" + half + "\n" + b), 0, 60, 0));
  });
  expect_error(ExitCode::usage, "no JSON",
               [&] { (void)read_vllm_routed(input_of(dir.write("r.jsonl", half), 0, 60, 0)); });
}

/// -1 in every width, within a prompt and at the end of an answer.
TEST(VllmRouted, TokensWithoutARouteAreLeftOut) {
  const TempDir dir;
  const auto all = random_ids(1, 12, 3, 60, 4);
  std::vector<std::uint16_t> kept;
  auto ids = all;
  for (std::size_t token = 0; token < 12; ++token) {
    const bool gone = token == 1 || token == 8 || token == 11;
    for (std::size_t i = token * 12; i < token * 12 + 12; ++i)
      if (gone && (token != 8 || i / 4 % 3 == 1)) {
        ids[i] = 0xffff;  // token 8 lacks one layer only
      } else if (!gone) {
        kept.push_back(ids[i]);
      }
  }
  const auto wide = [&] {
    std::string bytes;
    for (const auto id : ids) {
      const std::int32_t value = id == 0xffff ? -1 : id;
      bytes.append(reinterpret_cast<const char*>(&value), 4);
    }
    return bytes;
  }();
  json lists = json::array();
  for (std::size_t token = 0; token < 12; ++token) {
    lists.push_back(json::array());
    for (std::size_t layer = 0; layer < 3; ++layer) {
      lists.back().push_back(json::array());
      for (std::size_t k = 0; k < 4; ++k) {
        const auto id = ids[token * 12 + layer * 4 + k];
        lists.back().back().push_back(id == 0xffff ? -1 : int(id));
      }
    }
  }
  auto numbers = response("", 5);
  numbers["choices"][0]["routed_experts"] = lists;
  const std::vector<json> files{
      response(base64(npy("|u1", "(12, 3, 4)", bytes_of<std::uint8_t>(ids))), 5),
      response(base64(npy("<u2", "(12, 3, 4)", bytes_of<std::uint16_t>(ids))), 5),
      response(base64(npy("<i4", "(12, 3, 4)", wide)), 5), numbers};
  for (const auto& file : files) {
    const auto r = read_vllm_routed(input_of(dir.write("r.json", file.dump()), 0, 60, 0));
    EXPECT_EQ(r.ids, kept);
    ASSERT_EQ(r.requests.size(), 1u);
    EXPECT_EQ(r.requests[0].prompt, 4);
    EXPECT_EQ(r.requests[0].decode, 5);
    ASSERT_EQ(r.notes.size(), 1u);
    EXPECT_NE(r.notes[0].find("3 of 12 tokens"), std::string::npos) << r.notes[0];
  }
  // The same from raw ids, where windows and requests must not be displaced.
  auto raw = input_of(dir.write("ids", bytes_of<std::uint8_t>(ids)), 3, 60, 4);
  std::vector<Trace> parts;
  const auto notes = window_ids(raw, 2, true, [&](const Trace& part) { parts.push_back(part); });
  expect_windows(parts, kept, raw, 2);
  EXPECT_EQ(notes.size(), 1u);
  raw.requests = dir.write("r.csv", "decode_tokens,recorded_prompt_tokens\n3,2\n4,3\n");
  const auto r = read_ids(raw);
  EXPECT_EQ(r.ids, kept);
  ASSERT_EQ(r.requests.size(), 2u);
  EXPECT_EQ(r.requests[0].prompt, 1);
  EXPECT_EQ(r.requests[1].first, 4u);
  EXPECT_EQ(r.requests[1].prompt, 3);
  EXPECT_EQ(r.requests[1].decode, 2);
  expect_error(ExitCode::usage, "no token with a route", [&] {
    (void)read_ids(input_of(dir.write("none", std::string(24, '\xff')), 3, 60, 4));
  });
}

/// Ids 60 and 61 at any place of every token are shared experts.
TEST(VllmRouted, FusedSharedExpertsAreLeftOut) {
  const TempDir dir;
  const auto ids = random_ids(1, 12, 3, 60, 4);
  Random random(3);
  std::vector<std::uint16_t> fused;
  for (std::size_t at = 0; at < ids.size(); at += 4) {
    std::vector<std::uint16_t> row(ids.begin() + std::ptrdiff_t(at),
                                   ids.begin() + std::ptrdiff_t(at) + 4);
    for (const auto shared : {std::uint16_t{60}, std::uint16_t{61}})
      row.insert(row.begin() + std::ptrdiff_t(random.below(row.size() + 1)), shared);
    fused.insert(fused.end(), row.begin(), row.end());
  }
  const auto array = npy("|u1", "(12, 3, 6)", bytes_of<std::uint8_t>(fused));
  for (const int topk : {0, 4, 6}) {
    const auto r = read_vllm_routed(input_of(dir.write("a.npy", array), 3, 60, topk));
    EXPECT_EQ(r.topk, 4);
    EXPECT_EQ(r.ids, ids);
    ASSERT_EQ(r.notes.size(), 1u);
    EXPECT_NE(r.notes[0].find("ids 60 to 61"), std::string::npos) << r.notes[0];
  }
  expect_error(ExitCode::usage, "6 choices where 5 are expected",
               [&] { (void)read_vllm_routed(input_of(dir.at("a.npy"), 3, 60, 5)); });
  std::vector<Trace> parts;
  (void)window_ids(input_of(dir.write("ids", bytes_of<std::uint8_t>(fused)), 3, 60, 6), 5, true,
                   [&](const Trace& part) { parts.push_back(part); });
  expect_windows(parts, ids, input_of("", 3, 60, 4), 5);
  // A token that lacks one, and one that has nothing else.
  auto lacking = fused;
  *std::ranges::find(lacking, 60) = 59;
  *std::ranges::find(lacking.rbegin(), lacking.rend(), 60) = 58;
  for (const auto& wrong : {lacking, std::vector<std::uint16_t>(72, 60)})
    expect_error(ExitCode::usage, "check experts, layers and top-k", [&, &w = wrong] {
      (void)read_vllm_routed(
          input_of(dir.write("b.npy", npy("|u1", "(" + std::to_string(w.size() / 18) + ", 3, 6)",
                                          bytes_of<std::uint8_t>(w))),
                   3, 60, 0));
    });
}

TEST(VllmRouted, DenseLayersAreDropped) {
  const TempDir dir;
  auto ids = random_ids(1, 7, 4, 60, 4);
  for (std::size_t token = 0; token < 7; ++token)
    for (std::size_t i = 0; i < 4; ++i) ids[token * 16 + i] = 0;
  const auto bytes = npy("|u1", "(7, 4, 4)", bytes_of<std::uint8_t>(ids));
  const auto r = read_vllm_routed(input_of(dir.write("a.npy", bytes), 0, 60, 0));
  EXPECT_EQ(r.layers, 3);
  EXPECT_EQ(r.model_layers, 4);
  EXPECT_EQ(r.layer_ids, (std::vector<std::int32_t>{1, 2, 3}));
  for (std::size_t token = 0; token < 7; ++token)
    for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(r.ids[token * 12 + i], ids[token * 16 + 4 + i]);
}

TEST(SglangRouted, NeedsTheShapeAndHasTheSame) {
  const TempDir dir;
  const auto ids = random_ids(1, 7, 3, 300, 4);
  json answer{{"text", "hi"}};
  answer["meta_info"] = {{"prompt_tokens", 3},
                         {"routed_experts", base64(bytes_of<std::int32_t>(ids))}};
  json chat{{"choices", json::array()}, {"usage", {{"prompt_tokens", 4}}}};
  chat["sgl_ext"] = {{"routed_experts", base64(bytes_of<std::int32_t>(ids))}};
  const auto path = dir.write("a.jsonl", answer.dump() + "\n" + chat.dump());
  EXPECT_TRUE(looks_like("sglang-routed", input_of(path, 0, 0, 0)));
  EXPECT_FALSE(looks_like("vllm-routed", input_of(path, 0, 0, 0)));
  const auto r = read_sglang_routed(input_of(path, 3, 300, 4));
  ASSERT_EQ(r.requests.size(), 2u);
  EXPECT_EQ(r.requests[0].prompt, 3);
  EXPECT_EQ(r.requests[1].prompt, 4);
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), r.ids.begin()));
  expect_error(ExitCode::usage, "a.jsonl:1: it does not say how many layers",
               [&] { (void)read_sglang_routed(input_of(path, 0, 300, 4)); });
  expect_error(ExitCode::usage, "no whole tokens of 5 layers",
               [&] { (void)read_sglang_routed(input_of(path, 5, 300, 4)); });
}

TEST(RoutedExperts, HostileOnesAreRefused) {
  const TempDir dir;
  const auto good = bytes_of<std::uint8_t>(random_ids(1, 2, 3, 60, 4));
  const std::vector<std::pair<std::string, std::string>> broken{
      {"", "no answer"},
      {"{}", "no answer"},
      {"{\"routed_experts\": null}", "no answer"},
      {"{\"routed_experts\": \"%%%%\"}", ":1: its base64"},
      {"{}\n{\"routed_experts\": \"AAAA\"}", ":2:"},
      {"{\"routed_experts\": \"" + base64("PK\x03\x04PK\x03\x04PK") + "\"}", "is no .npy"},
      {response(base64(npy("|u1", "(99999999999, 3, 4)", good)), 1).dump(), "no whole tokens"},
      {response(base64(npy("|u1", "(2, 99999999999, 4)", good)), 1).dump(), "check --layers"},
      {response(base64(npy("|u1", "(2, 3, 0)", "")), 1).dump(), "check --layers"},
      {response(base64(npy("|u1", "(2, 3, 4)", good.substr(1))), 1).dump(), "no whole tokens"},
      {response(base64(npy("|u1", "(24,)", good)), 1).dump(), "[token][layer][k]"},
      {response(base64(npy("<f4", "(1, 3, 2)", good)), 1).dump(), "whole numbers"},
      {response(base64(npy("|u1", "(2, 3, 4)", std::string(24, '\7'))), 1).dump(),
       "expert 7 of 60"},
      {response(base64(npy("|u1", "(2, 3, 4)", std::string(24, '\xff'))), 1).dump(), "expert 255"},
      {std::string(100000, '['), "nested too deeply"},
      {"{\"a\": " + std::string(100000, '['), "nested too deeply"},
      {"{\"a\": NaN}", "no answer"},
      {"{\"a\": NaM}", "no JSON"},
      {"{\"routed_experts\": [[[1, 2]], [[3]]]}", ":1: its routed_experts are no lists"},
      {"{\"routed_experts\": [[1, 2]]}", "no lists"},
      {"{\"routed_experts\": [[[[1]]]]}", "no lists"},
      {"{\"routed_experts\": [[[1], 2]]}", "no lists"},
      {"{\"routed_experts\": [[[1.5, 2]]]}", "no lists"},
      {"{\"routed_experts\": [[[NaN, 2]]]}", "no lists"},
      {"{\"routed_experts\": [[{\"a\": 1}]]}", "no lists"},
      {"{\"routed_experts\": [[[1, 65536]]]}", "name expert 65536"},
      {"{\"routed_experts\": [[[1, -2]]]}", "name expert -2"},
      {"{\"routed_experts\": [[[1, 61]]]}", "expert 61 of 60"},
      {"{\"routed_experts\": [[[1, 2", "no JSON"},
      {"{\"a\": \"\xff\xfe\"}", "no JSON"},
      {"{\"routed_experts\": \"AAA", "no JSON"},
      {std::string("\x1f\x8b\x08\x00garbage", 11), "cannot be read"},
  };
  for (const auto& [text, why] : broken)
    expect_error(ExitCode::usage, why, [&, &t = text] {
      (void)read_vllm_routed(input_of(dir.write("r.json", t), 0, 60, 0));
    });
  auto other = response(base64(npy("|u1", "(2, 3, 4)", good)), 1).dump() + "\n" +
               response(base64(npy("|u1", "(2, 4, 3)", good)), 1).dump();
  expect_error(ExitCode::usage, "an answer has 4 layers where 3 are expected",
               [&] { (void)read_vllm_routed(input_of(dir.write("r.json", other), 0, 60, 0)); });
  expect_error(ExitCode::usage, "does not exist",
               [&] { (void)read_vllm_routed(input_of(dir.at("none"), 0, 60, 0)); });
  std::filesystem::create_directory(dir.at("empty"));
  expect_error(ExitCode::usage, "is not a folder of",
               [&] { (void)read_vllm_routed(input_of(dir.at("empty"), 0, 60, 0)); });
}

}  // namespace
}  // namespace gembench
