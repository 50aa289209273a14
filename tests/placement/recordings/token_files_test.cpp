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
using testing::expect_windows;
using testing::input_of;
using testing::npy;
using testing::random_ids;
using testing::response;
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

TEST(IdsFile, AnArrayOfTwoDimensionsIsOneLayer) {
  const TempDir dir;
  const RecordingInput shape{{}, 1, 40, 3};
  const auto ids = random_ids(3, 20, 1, 40, 3);
  const auto path = dir.write("ids.npy", npy("|u1", "(20, 3)", bytes_of<std::uint8_t>(ids)));
  for (const int stated : {0, 1}) {
    std::vector<Trace> parts;
    window_ids(input_of(path, stated, 40, 3), 4, true,
               [&](const Trace& part) { parts.push_back(part); });
    expect_windows(parts, ids, shape, 4);
  }
  const auto whole = read_ids(input_of(path, 0, 40, 3));
  EXPECT_EQ(whole.ids, ids);
  EXPECT_FALSE(whole.requests_known);
  expect_error(ExitCode::usage, "must hold whole numbers [token][2 layers][3 choices]",
               [&] { (void)read_ids(input_of(path, 2, 40, 3)); });
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

/// A first block without routes does not tell that experts are fused.
TEST(IdsFile, BeginsWithManyTokensWithoutARoute) {
  const TempDir dir;
  const RecordingInput shape{{}, 1, 4, 3};  // two choices and shared expert 4
  for (const std::size_t none : {std::size_t{10}, std::size_t{2000000}}) {
    std::vector<std::uint16_t> ids(none * 3, 0xff);
    for (int token = 0; token < 4; ++token) ids.insert(ids.end(), {0, 3, 4});
    std::vector<Trace> parts;
    window_ids(at(dir.write("ids", bytes_of<std::uint8_t>(ids)), shape), 2, true,
               [&](const Trace& part) { parts.push_back(part); });
    ASSERT_EQ(parts.size(), 1u) << none;
    EXPECT_EQ(parts[0].topk, 2);
    EXPECT_EQ(parts[0].tokens, (std::vector<std::int32_t>{2, 0, 0, 2, 2, 0, 0, 2}));
  }
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
