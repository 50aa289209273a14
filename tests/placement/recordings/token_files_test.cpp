#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "placement/encodings/base64.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/ids_file.hpp"
#include "placement/recordings/requests_file.hpp"
#include "placement/recordings/routed_experts.hpp"
#include "tests/placement/recordings/token_files.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using nlohmann::json;
using testing::base64;
using testing::bytes_of;
using testing::expect_error;
using testing::npy;
using testing::random_ids;
using testing::TempDir;

TEST(Base64, DecodesWhatWasEncoded) {
  Random random(1);
  for (std::size_t size = 0; size < 70; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random.below(256)));
    auto text = base64(bytes);
    EXPECT_EQ(decode_base64(text), bytes);
    while (text.ends_with('=')) text.pop_back();
    EXPECT_EQ(decode_base64(text), bytes) << "without padding";
  }
  EXPECT_EQ(decode_base64("TWFueQ=="), "Many");
}

TEST(Base64, RefusesAnythingElse) {
  for (const char* bad :
       {"A", "AAAAA", "AA A", "A===", "AB=C", "AA\n=", "AA\xc3\xa4", "====", "-_-_"})
    expect_error(ExitCode::usage, "base64", [&] { (void)decode_base64(bad); });
}

RecordingInput at(const std::filesystem::path& path, RecordingInput input,
                  const std::filesystem::path& requests = {}) {
  input.paths = {path};
  input.requests = requests;
  return input;
}

bool looks_like(const char* format, const RecordingInput& input) {
  return find_format(format, input).recognise(input);
}

/// Windows of the ids counted one by one.
void expect_windows(const std::vector<Trace>& parts, const std::vector<std::uint16_t>& ids,
                    const RecordingInput& shape, int window) {
  const auto each = std::size_t(shape.layers * shape.topk);
  std::size_t step = 0;
  for (const auto& part : parts) {
    EXPECT_NO_THROW(validate(part));
    for (int s = 0; s < part.steps; ++s, ++step)
      for (int layer = 0; layer < shape.layers; ++layer) {
        std::vector<std::int32_t> counts(std::size_t(shape.experts), 0);
        for (std::size_t token = 0; token < std::size_t(window); ++token)
          for (int k = 0; k < shape.topk; ++k)
            ++counts[ids[(step * std::size_t(window) + token) * each +
                         std::size_t(layer * shape.topk + k)]];
        ASSERT_TRUE(std::ranges::equal(part.loads(s, layer), counts)) << step << ' ' << layer;
      }
  }
  EXPECT_EQ(step, ids.size() / each / std::size_t(window));
}

TEST(IdsFile, WindowsOfEveryWidthAreTheSame) {
  const TempDir dir;
  const RecordingInput shape{{}, 5, 40, 3};
  const auto ids = random_ids(3, 101, shape.layers, shape.experts, shape.topk);
  const std::string dims = "(101, 5, 3)";
  const std::vector<std::pair<std::string, int>> files{
      {bytes_of<std::uint8_t>(ids), 1},
      {bytes_of<std::uint16_t>(ids), 2},
      {npy("|u1", dims, bytes_of<std::uint8_t>(ids)), 1},
      {npy("<u2", dims, bytes_of<std::uint16_t>(ids)), 1},
      {npy("<i4", dims, bytes_of<std::int32_t>(ids)), 1},
      {npy("<i8", dims, bytes_of<std::int64_t>(ids)), 1},
  };
  for (const auto& [bytes, width] : files) {
    auto of_width = shape;
    of_width.id_bytes = width;
    for (const int window : {1, 7, 101}) {
      std::vector<Trace> parts;
      of_width.paths = {dir.write("ids", bytes)};
      window_ids(of_width, window, true, [&](const Trace& part) { parts.push_back(part); });
      expect_windows(parts, ids, shape, window);
      EXPECT_TRUE(parts[0].has_ids());
    }
  }
}

TEST(IdsFile, LongOnesComeInParts) {
  const TempDir dir;
  const RecordingInput shape{{}, 2, 16, 2};
  const auto ids = random_ids(4, 2500000, shape.layers, shape.experts, shape.topk);
  std::vector<Trace> parts;
  window_ids(at(dir.write("ids", bytes_of<std::uint8_t>(ids)), shape), 16, false,
             [&](const Trace& part) { parts.push_back(part); });
  EXPECT_GT(parts.size(), 1u);
  expect_windows(parts, ids, shape, 16);
}

TEST(IdsFile, WrongOnesAreRefusedWithThePlace) {
  const TempDir dir;
  const RecordingInput shape{{}, 2, 8, 2};
  const std::string good("\0\1\2\3\4\5\6\7", 8);
  const auto read = [&](const std::string& bytes, const RecordingInput& as, int window = 1) {
    window_ids(at(dir.write("ids", bytes), as), window, true, [](const Trace&) {});
  };
  EXPECT_NO_THROW(read(good, shape));
  const std::vector<std::pair<std::string, std::string>> broken{
      {"", "too few for a window"},
      {good + "\1", "ends within token 2"},
      {good + std::string("\0\1\2\2", 4), "expert 2 of 8 twice in token 2, layer 1"},
      {good + std::string("\0\1\x8\2", 4), "expert 8 of 8 in token 2, layer 1"},
      {npy("|u1", "(3, 2, 2)", good), "ends within token 2"},
      {npy("|u1", "(2, 2, 2, 1)", good), "must hold whole numbers"},
      {npy("|u1", "(2, 1, 4)", good), "must hold whole numbers"},
      {npy("<f4", "(2, 2, 2)", std::string(32, '\0')), "must hold whole numbers"},
      {npy("<i4", "(1, 2, 2)", bytes_of<std::int32_t>({1, 2, 3, 0xffff})), "expert 65535"},
      {npy("|u1", "(99999999999, 2, 2)", good), "ends within token 2"},
      {std::string("\x1f\x8b\x08\x00garbage", 11), "cannot be read"},
  };
  for (const auto& [bytes, why] : broken)
    expect_error(ExitCode::usage, why, [&, &b = bytes] { read(b, shape); });
  expect_error(ExitCode::usage, "too few for a window of 3", [&] { read(good, shape, 3); });
  expect_error(ExitCode::usage, "at least 1", [&] { read(good, shape, 0); });
  expect_error(ExitCode::usage, "--id-bytes 2", [&] { read(good, RecordingInput{{}, 2, 300, 2}); });
  expect_error(ExitCode::usage, "1 or 2", [&] { read(good, RecordingInput{{}, 2, 8, 2, 3}); });
  for (const RecordingInput& bad :
       {RecordingInput{{}, 0, 8, 2}, RecordingInput{{}, 2, 8, 9}, RecordingInput{{}, 2, 65536, 2},
        RecordingInput{{}, 1 << 30, 65535, 2}})
    EXPECT_THROW(read(good, bad), Error);
}

TEST(RequestsFile, CutsARecording) {
  const TempDir dir;
  const RecordingInput shape{{}, 2, 16, 2};
  const auto path = dir.write("ids", bytes_of<std::uint8_t>(random_ids(4, 20, 2, 16, 2)));
  const auto in_order = read_ids(
      at(path, shape,
         dir.write("a.csv",
                   "req,dataset,prompt_tokens,decode_tokens\n0,\"a,\"\"b\",99,5\r\n1,c,99,15\n")));
  ASSERT_EQ(in_order.requests.size(), 2u);
  EXPECT_EQ(in_order.requests[1].first, 5u);
  EXPECT_EQ(in_order.requests[1].decode, 15);
  EXPECT_EQ(in_order.tasks, (std::vector<std::string>{"a,\"b", "c"}));
  EXPECT_TRUE(in_order.phases_known);
  const auto prompts =
      read_ids(at(path, shape,
                  dir.write("b.csv",
                            "decode_tokens,recorded_prompt_tokens,token_offset,task\n"
                            "4,6,8,x\n3,0,2,y\n5,2,20,z\n")));
  ASSERT_EQ(prompts.requests.size(), 2u);
  EXPECT_EQ(prompts.requests[0].prompt, 6);
  EXPECT_EQ(prompts.requests[0].first, 8u);
  EXPECT_NE(prompts.source.find("(2 of 3; the others are not in it)"), std::string::npos);
  const auto plain = read_ids(at(path, shape, dir.write("c.csv", "tokens,token_offset\n20,0\n")));
  EXPECT_FALSE(plain.phases_known);
  EXPECT_TRUE(plain.tasks.empty());
  EXPECT_NO_THROW(validate(plain));
}

TEST(RequestsFile, WrongOnesAreRefusedWithTheLine) {
  const TempDir dir;
  const auto path = dir.write("ids", bytes_of<std::uint8_t>(random_ids(4, 20, 2, 16, 2)));
  const std::vector<std::pair<std::string, std::string>> broken{
      {"prompt_tokens\n5\n", "no column decode_tokens or tokens"},
      {"decode_tokens\n12\n9\n", "tokens 12 to 20 of a recording of 20"},
      {"decode_tokens\n-1\n", ":2: column decode_tokens: '-1'"},
      {"decode_tokens\nnan\n", "'nan'"},
      {"decode_tokens\n99999999999999999999\n", "'99999999999999999999'"},
      {"tokens,token_offset\n5,20\n", "no request lies within"},
      {"tokens,token_offset\n5,99999999999999999\n", "token_offset"},
      {"tokens,task\n5," + std::string(500, 'x') + "\n", "labels"},
      {"tokens\n", "no request lies within"},
  };
  for (const auto& [text, why] : broken)
    expect_error(ExitCode::usage, why, [&, &t = text] {
      (void)read_ids(at(path, {{}, 2, 16, 2}, dir.write("r.csv", t)));
    });
}

RecordingInput input_of(const std::filesystem::path& path, int layers, int experts, int topk) {
  RecordingInput input;
  input.paths = {path};
  input.layers = layers;
  input.experts = experts;
  input.topk = topk;
  return input;
}

/// An OpenAI response of vLLM with these ids.
json response(const std::string& routed, int prompt) {
  json choice{{"index", 0}, {"message", {{"content", "\"routed_experts\": text"}}}};
  choice["routed_experts"] = routed;
  json answer{{"id", "x"}, {"choices", json::array({choice})}};
  if (prompt >= 0) answer["usage"] = {{"prompt_tokens", prompt}, {"total_tokens", 99}};
  return answer;
}

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

/// Damaged files are read, or refused by name; nothing else happens.
TEST(TokenRecordings, SurviveRandomDamage) {
  const TempDir dir;
  const auto ids = random_ids(1, 6, 3, 60, 4);
  const auto array = npy("|u1", "(6, 3, 4)", bytes_of<std::uint8_t>(ids));
  const auto raw = base64(bytes_of<std::int32_t>(ids));
  const std::vector<std::pair<std::string, std::string>> good{
      {"ids", bytes_of<std::uint8_t>(ids)},
      {"ids", array},
      {"vllm-routed", response(base64(array), 3).dump(1)},
      {"vllm-routed", array},
      {"sglang-routed",
       json{{"meta_info", {{"prompt_tokens", 2}, {"routed_experts", raw}}}}.dump()},
  };
  Random random(11);
  int sound = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto& [format, text] = good[std::size_t(i) % good.size()];
    auto damaged = text;
    for (auto n = 1 + random.below(4); n > 0; --n)
      damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    if (random.below(4) == 0) damaged.resize(random.below(damaged.size()));
    const auto input = input_of(dir.write("a.bin", damaged), 3, 60, 4);
    try {
      validate(find_format(format, input).read_tokens(input));
      ++sound;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("a.bin"), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(sound, 0);
}

TEST(RequestsFile, SurvivesRandomDamage) {
  const TempDir dir;
  const auto path = dir.write("ids", bytes_of<std::uint8_t>(random_ids(4, 20, 2, 16, 2)));
  const std::string good =
      "decode_tokens,recorded_prompt_tokens,token_offset,task\n4,6,8,x\n3,0,2,y\n5,2,20,z\n";
  Random random(12);
  for (int i = 0; i < 1000; ++i) {
    auto damaged = good;
    damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    damaged[random.below(damaged.size())] = good[random.below(good.size())];
    try {
      validate(read_ids(at(path, {{}, 2, 16, 2}, dir.write("r.csv", damaged))));
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("r.csv"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace gembench
