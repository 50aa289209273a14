#include "placement/encodings/elements.hpp"
#include "placement/recordings/token_recording.hpp"
#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using namespace testing;
using pickled::dict;
using pickled::global;
using pickled::integer;
using pickled::kStart;
using pickled::list;
using pickled::tensor;
using pickled::text;

const pickled::Tensor kCounts{"IntStorage", "0", "cuda:0", 12, 0, {3, 2, 2}, {4, 2, 1}};
const std::string kData = raw_all<std::int32_t>({0, 0, 1, 3, 0, 0, 4, 0, 0, 0, 0, 0});

std::string stat_pickle(const pickled::Tensor& counts = kCounts) {
  return kStart +
         dict(text("rank") + integer(0) + text("logical_count") + tensor(counts) +
              text("average_utilization_rate_over_window") + "G" +
              std::string("\x3f\xf0\0\0\0\0\0\0", 8)) +
         ".";
}

Entries archive(const std::string& pickle, const std::string& data = kData) {
  return {
      {"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", data}, {"a/version", "3\n"}};
}

Trace read_stat(const Entries& entries, zip_int32_t method = ZIP_CM_STORE) {
  const TempDir dir;
  return read_raw("sglang-stat", {{write_zip(dir.at("a.pt"), entries, method)}, 0, 0, 0});
}

TEST(SglangStat, PassesWithoutDenseLayersAndEmptyEnd) {
  const TempDir dir;
  const auto path = write_zip(dir.at("a.pt"), archive(stat_pickle()));
  const auto trace = read_recording("auto", {{path}, 0, 0, 1});
  EXPECT_EQ(trace.steps, 2);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{1, 3, 4, 0}));
  EXPECT_EQ(trace.layer_ids, std::vector<std::int32_t>{1});
  EXPECT_EQ(trace.model_layers, 2);
  EXPECT_EQ(trace.sources, 0);
}

TEST(SglangStat, EveryStorageAndAnOffset) {
  const auto read = [](const char* type, const std::string& data) {
    return read_stat(archive(stat_pickle({type, "0", "cpu", 5, 1, {1, 2, 2}, {4, 2, 1}}), data))
        .tokens;
  };
  const std::vector<std::int32_t> expected{1, 2, 3, 4};
  EXPECT_EQ(read("ByteStorage", raw_all<std::uint8_t>({9, 1, 2, 3, 4})), expected);
  EXPECT_EQ(read("CharStorage", raw_all<std::int8_t>({9, 1, 2, 3, 4})), expected);
  EXPECT_EQ(read("ShortStorage", raw_all<std::int16_t>({9, 1, 2, 3, 4})), expected);
  EXPECT_EQ(read("IntStorage", raw_all<std::int32_t>({9, 1, 2, 3, 4})), expected);
  EXPECT_EQ(read("LongStorage", raw_all<std::int64_t>({9, 1, 2, 3, 4})), expected);
  EXPECT_EQ(read("HalfStorage", raw_all<std::uint16_t>({0x4880, 0x3c00, 0x4000, 0x4200, 0x4400})),
            expected);
  EXPECT_EQ(
      read("BFloat16Storage", raw_all<std::uint16_t>({0x4110, 0x3f80, 0x4000, 0x4040, 0x4080})),
      expected);
  EXPECT_EQ(read("FloatStorage", raw_all<float>({9, 1, 2, 3, 4})), expected);
  EXPECT_EQ(read("DoubleStorage", raw_all<double>({9, 1, 2, 3, 4})), expected);
}

TEST(SglangStat, RefusesTensorsThatLieAboutThemselves) {
  const auto refuse = [](const char* part, const pickled::Tensor& counts) {
    SCOPED_TRACE(part);
    expect_refused(part, [&] { (void)read_stat(archive(stat_pickle(counts))); });
  };
  const auto larger = "larger than its storage";
  refuse(larger, {"IntStorage", "0", "cpu", 12, 1, {3, 2, 2}, {4, 2, 1}});
  refuse(larger, {"IntStorage", "0", "cpu", 12, -1, {3, 2, 2}, {4, 2, 1}});
  refuse(larger, {"IntStorage", "0", "cpu", 12, 0, {4, 2, 2}, {4, 2, 1}});
  refuse(larger, {"IntStorage", "0", "cpu", 12, 0, {-3, -2, 2}, {4, 2, 1}});
  refuse(larger, {"IntStorage", "0", "cpu", 12, 0, {0, 2, 2}, {4, 2, 1}});
  refuse(larger,
         {"IntStorage", "0", "cpu", 12, 0, {2147483647, 2147483647, 2147483647}, {1, 1, 1}});
  refuse("another size than it says", {"IntStorage", "0", "cpu", 13, 0, {3, 2, 2}, {4, 2, 1}});
  refuse("another size than it says", {"LongStorage", "0", "cpu", 12, 0, {3, 2, 2}, {4, 2, 1}});
  refuse("contiguous()", {"IntStorage", "0", "cpu", 12, 0, {3, 2, 2}, {4, 1, 2}});
  refuse("contiguous()", {"IntStorage", "0", "cpu", 12, 0, {3, 2, 2}, {0, 0, 0}});
  refuse("contiguous()", {"IntStorage", "0", "cpu", 12, 0, {3, 2, 2}, {-4, 2, 1}});
  refuse("1 dimensions", {"IntStorage", "0", "cpu", 12, 0, {12}, {1}});
  refuse("dimensions", {"IntStorage", "0", "cpu", 12, 0, {3, 2, 2}, {2, 1}});
  refuse("lacks its entry a/data/7", {"IntStorage", "7", "cpu", 12, 0, {3, 2, 2}, {4, 2, 1}});
  refuse("lacks its entry a/data/../",
         {"IntStorage", "../data.pkl", "cpu", 12, 0, {3, 2, 2}, {4, 2, 1}});
  refuse("names torch Complex", {"ComplexFloatStorage", "0", "cpu", 12, 0, {3, 2, 2}, {4, 2, 1}});
  expect_refused("no whole number", [] {
    (void)read_stat(archive(stat_pickle({"FloatStorage", "0", "cpu", 2, 0, {1, 2}, {2, 1}}),
                            raw_all<float>({1, 0.5f})));
  });
}

TEST(SglangStat, RefusesOtherArchives) {
  const auto good = archive(stat_pickle());
  expect_refused("is compressed", [&] { (void)read_stat(good, ZIP_CM_DEFLATE); });
  expect_refused("no data.pkl", [&] { (void)read_stat({good.begin() + 1, good.end()}); });
  auto big_endian = good;
  big_endian[1].second = "big";
  expect_refused("big-endian", [&] { (void)read_stat(big_endian); });
  expect_refused("no tensor logical_count",
                 [] { (void)read_stat(archive(kStart + dict(text("rank") + integer(0)) + ".")); });
  expect_refused("no tensor logical_count", [] {
    (void)read_stat(archive(kStart + dict(text("logical_count") + integer(0)) + "."));
  });
  const TempDir dir;
  const auto refuse = [&](const char* part, const std::filesystem::path& path) {
    expect_refused(part, [&] { (void)read_raw("sglang-stat", {{path}, 0, 0, 0}); });
  };
  refuse("no zip archive", dir.write("text.pt", "PK or not"));
  refuse("not a regular file", dir.at("."));
  refuse("does not exist", dir.at("missing.pt"));
  expect_refused("2 files", [&] {
    (void)read_raw("sglang-stat", {{dir.at("text.pt"), dir.at("text.pt")}, 0, 0, 0});
  });
}

TEST(TorchFiles, WhatElseIsInOneIsSaid) {
  const TempDir dir;
  const auto path = write_zip(
      dir.at("a.pt"),
      archive(kStart + dict(text("rank") + integer(0) + text("expert_hits") + tensor(kCounts)) +
              "."));
  expect_refused("a dict of 'rank' (number), 'expert_hits' (tensor [3][2][2])", [&] {
    (void)find_format("auto", {{path}, 0, 0, 0});
  });
}

/// Every whole number of 16-bit floats up to where they are exact, made by their definition.
TEST(TorchFiles, FloatsOf16BitsAreReadAsTheyAreDefined) {
  for (int value = 0; value <= 2048; ++value) {
    int exponent = 0, rest = value;
    for (; rest >= 2; rest /= 2) ++exponent;
    const auto half = value == 0 ? 0 : (exponent + 15) << 10 | ((value << 10 >> exponent) & 0x3ff);
    const auto brain = value == 0 ? 0 : (exponent + 127) << 7 | ((value << 7 >> exponent) & 0x7f);
    std::int64_t found = -1;
    EXPECT_TRUE(to_integers(Element::float16, raw(static_cast<std::uint16_t>(half)), {&found, 1}));
    EXPECT_EQ(found, value);
    if (value > 256) continue;
    EXPECT_TRUE(
        to_integers(Element::bfloat16, raw(static_cast<std::uint16_t>(brain)), {&found, 1}));
    EXPECT_EQ(found, value);
  }
  std::int64_t found = 0;
  for (const auto wrong :
       std::vector<std::uint16_t>{0x3800, 0x7c00, 0x7e00, 0x0001})  // 0.5, infinite, NaN, tiny
    EXPECT_FALSE(to_integers(Element::float16, raw(wrong), {&found, 1}));
  for (const auto wrong : std::vector<std::uint16_t>{0x3f00, 0x7f80, 0x7fc0, 0x0001})
    EXPECT_FALSE(to_integers(Element::bfloat16, raw(wrong), {&found, 1}));
}

TEST(SglangStat, SurvivesDamage) {
  const TempDir dir;
  expect_survives_damage("sglang-stat", "a.pt",
                         slurp(write_zip(dir.at("a.pt"), archive(stat_pickle()))));
}

/// 2^24 entries are announced and none is there.
TEST(SglangStat, AnArchiveMayNotAnnounceWhatIsNotThere) {
  const TempDir dir;
  auto bytes = slurp(write_zip(dir.at("a.pt"), archive(stat_pickle())));
  const auto end = bytes.rfind("PK\x05\x06");
  ASSERT_NE(end, std::string::npos);
  const std::uint64_t directory = [&] {
    std::uint32_t at = 0;
    std::memcpy(&at, bytes.data() + end + 16, 4);
    return at;
  }();
  const auto entries = std::uint64_t{1} << 40;
  const auto end64 = "PK\x06\x06" + raw(std::uint64_t{44}) + raw(std::uint16_t{45}) +
                     raw(std::uint16_t{45}) + raw(std::uint32_t{0}) + raw(std::uint32_t{0}) +
                     raw(entries) + raw(entries) + raw(std::uint64_t{end - directory}) +
                     raw(directory);
  const auto locator =
      "PK\x06\x07" + raw(std::uint32_t{0}) + raw(std::uint64_t{end}) + raw(std::uint32_t{1});
  const auto tail = "PK\x05\x06" + raw(std::uint32_t{0}) + raw(std::uint16_t{0xffff}) +
                    raw(std::uint16_t{0xffff}) + raw(std::uint32_t{0xffffffff}) +
                    raw(std::uint32_t{0xffffffff}) + raw(std::uint16_t{0});
  const auto path = dir.write("b.pt", bytes.substr(0, end) + end64 + locator + tail);
  expect_refused("b.pt is no zip archive", [&] {
    (void)read_raw("sglang-stat", {{path}, 0, 0, 0});
  });
}

TEST(AscendPt, ABareTensorIsTotalsOrSteps) {
  const TempDir dir;
  const auto read = [&](const pickled::Tensor& counts) {
    const auto path = write_zip(dir.at("a.pt"), archive(kStart + tensor(counts) + ".",
                                                        raw_all<std::int64_t>({1, 3, 4, 0})));
    return read_recording("auto", {{path}, 0, 0, 1});
  };
  const auto totals = read({"LongStorage", "0", "npu:3", 4, 0, {2, 2}, {2, 1}});
  EXPECT_EQ(totals.steps, 1);
  EXPECT_EQ(totals.layers, 2);
  EXPECT_EQ(totals.model_layers, 0);
  EXPECT_EQ(read({"LongStorage", "0", "npu:3", 4, 0, {2, 1, 2}, {2, 2, 1}}).steps, 2);
}

/// A rank's file of two passes: 2 layers of 3 physical experts, the third a replica of expert 0.
Entries per_pass(int rank, const std::vector<std::int32_t>& first,
                 const std::vector<std::int32_t>& second, int last_pass = 8,
                 const std::vector<std::int64_t>& map = {0, 1, 0, 0, 1, 0}) {
  const auto record = [&](int pass, const char* key, const char* gatherer) {
    return dict(text("forward_pass_id") + integer(pass) + text("rank") + integer(rank) +
                text("gatherer_key") + text(gatherer) + text("global_physical_count") +
                tensor({"IntStorage", key, "cuda:1", 6, 0, {2, 3}, {3, 1}}));
  };
  const auto pickle = kStart +
                      dict(text("records") +
                           list(record(7, "0", "primary") + record(7, "9", "draft") +
                                record(last_pass, "1", "primary")) +
                           text("last_physical_to_logical_map") +
                           tensor({"LongStorage", "2", "cpu", 6, 0, {2, 3}, {3, 1}})) +
                      ".";
  return {{"b/data.pkl", pickle},
          {"b/data/0", raw_all(first)},
          {"b/data/1", raw_all(second)},
          {"b/data/2", raw_all(map)}};
}

TEST(SglangPerPass, RanksAreSourcesAndReplicasOneExpert) {
  const TempDir dir;
  const auto rank1 = write_zip(dir.at("1.pt"), per_pass(1, {1, 2, 3, 4, 0, 2}, {0, 1, 0, 1, 0, 0}));
  const auto rank0 = write_zip(dir.at("0.pt"), per_pass(0, {5, 1, 0, 2, 2, 2}, {2, 2, 2, 3, 0, 3}));
  const auto trace = read_recording("auto", {{rank1, rank0}, 0, 0, 1});
  EXPECT_EQ(trace.steps, 2);
  EXPECT_EQ(trace.sources, 2);
  EXPECT_EQ(trace.source_tokens, (std::vector<std::int32_t>{5, 1, 4, 2, 4, 2, 6, 0,  //
                                                            4, 2, 0, 1, 6, 0, 1, 0}));
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{9, 3, 10, 2, 4, 3, 7, 0}));
  const auto alone = read_recording("auto", {{rank0}, 0, 0, 1});
  EXPECT_EQ(alone.tokens, (std::vector<std::int32_t>{5, 1, 4, 2, 4, 2, 6, 0}));
  EXPECT_EQ(alone.sources, 0);
}

/// Files of `per_token`: ids [layer][token][4], filled up with -1, of a dense and an MoE layer.
TEST(SglangPerPass, PerTokenTellsTopKAndPhases) {
  const TempDir dir;
  const auto file = [&](int rank, const std::vector<int>& modes, std::int32_t third = -1) {
    std::string records;
    for (std::size_t i = 0; i < modes.size(); ++i)
      records += dict(text("forward_pass_id") + integer(int(i)) + text("rank") + integer(rank) +
                      text("forward_mode") + integer(modes[i]) + text("topk_ids_of_layer") +
                      tensor({"IntStorage", "0", "cpu", 16, 0, {2, 2, 4}, {8, 4, 1}}) +
                      text("global_physical_count") +
                      tensor({"IntStorage", "1", "cpu", 6, 0, {2, 3}, {3, 1}}));
    const auto pickle =
        kStart +
        dict(text("records") + list(records) + text("last_physical_to_logical_map") +
             tensor({"LongStorage", "2", "cpu", 6, 0, {2, 3}, {3, 1}})) +
        ".";
    return write_zip(dir.at(std::to_string(rank) + ".pt"),
                     {{"b/data.pkl", pickle},
                      {"b/data/0", raw_all<std::int32_t>({-1, -1, -1, -1, -1, -1, -1, -1,  //
                                                          0, 2, third, -1, 1, 2, -1, -1})},
                      {"b/data/1", raw_all<std::int32_t>({0, 0, 0, 1, 1, 2})},
                      {"b/data/2", raw_all<std::int64_t>({0, 1, 2, 0, 1, 2})}});
  };
  const auto one = file(0, {2, 1, 3, 2}), two = file(1, {2, 1, 3, 1});
  const auto trace = read_recording("auto", {{one, two}, 0, 0, 0});
  EXPECT_EQ(trace.topk, 2);
  EXPECT_EQ(trace.phase, (std::vector<std::int32_t>{kDecode, kPrefill, kMixed, kMixed}));
  EXPECT_EQ(trace.layer_ids, std::vector<std::int32_t>{1});
  expect_refused("has topk = 2 but 3 was stated", [&] {
    (void)read_recording("auto", {{one}, 0, 0, 3});
  });
  // Idle ranks have no say; an unknown mode makes all unknown, as tokens of unequal numbers do.
  EXPECT_EQ(read_recording("auto", {{one, file(1, {4, 4, 4, 4})}, 0, 0, 0}).phase,
            (std::vector<std::int32_t>{kDecode, kPrefill, kMixed, kDecode}));
  EXPECT_TRUE(read_recording("auto", {{file(0, {2, 7})}, 0, 0, 0}).phase.empty());
  EXPECT_EQ(read_raw("sglang-per-pass", {{file(0, {2}, 1)}, 0, 0, 0}).topk, 0);
}

/// A pass of `per_token` with ids [2 layers][tokens][3] of three physical experts, the third a
/// replica of expert 1; the first layer is dense.
struct TokenPass {
  int mode;
  std::vector<std::int32_t> lengths, ids, counts;
};

std::filesystem::path write_tokens(const TempDir& dir, const std::vector<TokenPass>& passes) {
  std::string records;
  Entries entries{{"b/data.pkl", ""}};
  const auto add = [&](const std::string& data) {
    entries.emplace_back("b/data/" + std::to_string(entries.size() - 1), data);
    return std::to_string(entries.size() - 2);
  };
  for (std::size_t i = 0; i < passes.size(); ++i) {
    const auto& [mode, lengths, ids, counts] = passes[i];
    std::vector<std::int32_t> all(ids.size(), -1);
    all.insert(all.end(), ids.begin(), ids.end());
    const auto size = static_cast<std::int32_t>(all.size());
    std::string items;
    for (const auto length : lengths) items += integer(length);
    records += dict(
        text("forward_pass_id") + integer(int(i)) + text("rank") + integer(0) +
        text("forward_mode") + integer(mode) + text("extend_seq_lens") + list(items) +
        text("topk_ids_of_layer") +
        tensor(
            {"IntStorage", add(raw_all(all)), "cpu", size, 0, {2, size / 6, 3}, {size / 2, 3, 1}}) +
        text("global_physical_count") +
        tensor({"IntStorage", add(raw_all(counts)), "cpu", 6, 0, {2, 3}, {3, 1}}));
  }
  const auto map = add(raw_all<std::int64_t>({0, 1, 1, 0, 1, 1}));
  entries[0].second = kStart +
                      dict(text("records") + list(records) + text("last_physical_to_logical_map") +
                           tensor({"LongStorage", map, "cpu", 6, 0, {2, 3}, {3, 1}})) +
                      ".";
  return write_zip(dir.at("tokens.pt"), entries);
}

TEST(SglangPerPass, PerTokenListsTheTokensOfEveryPass) {
  const TempDir dir;
  const auto read = [&](const std::vector<TokenPass>& passes) {
    const RecordingInput input{{write_tokens(dir, passes)}, 0, 0, 0};
    return find_format("auto", input).read_tokens(input);
  };
  const TokenPass prefill{1, {2}, {0, -1, -1, 2, -1, -1}, {0, 0, 0, 1, 0, 1}};
  const TokenPass decode{2, {}, {1, -1, -1}, {0, 0, 0, 0, 1, 0}};
  const TokenPass mixed{3, {2, 1}, {0, -1, -1, 0, -1, -1, 1, -1, -1}, {0, 0, 0, 2, 1, 0}};
  const auto r = read({prefill, decode, mixed});
  EXPECT_EQ(r.ids, (std::vector<std::uint16_t>{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(r.experts, 2);
  EXPECT_EQ(r.topk, 1);
  EXPECT_EQ(r.layer_ids, std::vector<std::int32_t>{1});
  EXPECT_EQ(r.model_layers, 2);
  EXPECT_TRUE(r.phases_known && !r.requests_known);
  ASSERT_EQ(r.requests.size(), 3U);
  const int prompts[] = {2, 0, 2}, decodes[] = {0, 1, 1};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(r.requests[i].prompt, prompts[i]);
    EXPECT_EQ(r.requests[i].decode, decodes[i]);
  }
  auto other = mixed;
  other.lengths = {2};  // of two tokens, and there are three
  EXPECT_FALSE(read({prefill, other}).phases_known);
  other = mixed;
  other.counts[3] = 1;
  expect_refused("counts other tokens than it lists in pass 0", [&] { (void)read({other}); });
  other = decode;
  other.ids[0] = 3;
  expect_refused("names physical expert 3 of 3 in pass 0", [&] { (void)read({other}); });
  other.ids = {0, 1, -1};
  other.counts = {0, 0, 0, 1, 1, 0};
  expect_refused("a token with 2 experts in a layer where others have 1", [&] {
    (void)read({prefill, other});
  });
  const std::vector<std::int32_t> ones(6, 1);
  const RecordingInput without{{write_zip(dir.at("0.pt"), per_pass(0, ones, ones))}, 0, 0, 0};
  expect_refused("does not list tokens with their experts",
                 [&] { (void)find_format("auto", without).read_tokens(without); });
}

TEST(SglangPerPass, RefusesFilesThatDoNotBelongTogether) {
  const TempDir dir;
  const std::vector<std::int32_t> ones(6, 1);
  const auto rank0 = write_zip(dir.at("0.pt"), per_pass(0, ones, ones));
  const auto refuse = [&](const char* part, const Entries& other) {
    const auto path = write_zip(dir.at("1.pt"), other);
    expect_refused(part, [&] { (void)read_raw("sglang-per-pass", {{rank0, path}, 0, 0, 0}); });
  };
  refuse("rank 0, like another file", per_pass(0, ones, ones));
  refuse("1.pt has other passes", per_pass(1, ones, ones, 9));
  refuse("1.pt has pass 7 after pass 7", per_pass(1, ones, ones, 7));
  refuse("1.pt has another map", per_pass(1, ones, ones, 8, {0, 1, 1, 0, 1, 0}));
  refuse("maps a physical expert to -1", per_pass(1, ones, ones, 8, {0, 1, -1, 0, 1, 0}));
  refuse("maps a physical expert to 65536", per_pass(1, ones, ones, 8, {0, 1, 65536, 0, 1, 0}));
  refuse("counts -1 tokens of an expert in pass 8", per_pass(1, ones, {1, 1, 1, -1, 1, 1}));
  refuse("has no list of records", archive(stat_pickle()));
  refuse("holds no pass", {{"b/data.pkl", kStart + dict(text("records") + "]") + "."}});
  refuse("a record without rank",
         {{"b/data.pkl", kStart + dict(text("records") + list("}")) + "."}});
}

TEST(SglangPerPass, SurvivesDamage) {
  const TempDir dir;
  const std::vector<std::int32_t> ones(6, 1);
  expect_survives_damage("sglang-per-pass", "a.pt",
                         slurp(write_zip(dir.at("a.pt"), per_pass(0, ones, ones))));
}

}  // namespace
}  // namespace gembench
