#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "placement/encodings/inflater.hpp"
#include "placement/recordings/formats.hpp"
#include "tests/placement/recordings/token_files.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using nlohmann::json;
using testing::base64;
using testing::bytes_of;
using testing::expect_error;
using testing::random_ids;
using testing::TempDir;

Trace read_raw(const char* format, const RecordingInput& input) {
  Trace all;
  (void)find_format(format, input).read(input, [&](const Trace& part) {
    EXPECT_EQ(all.steps, 0) << "these are small";
    all = part;
  });
  return all;
}

std::string deflated(const std::string& bytes) {
  std::string packed(compressBound(bytes.size()), '\0');
  uLongf size = packed.size();
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()),
            Z_OK);
  packed.resize(size);
  return packed;
}

TEST(Inflater, UnpacksInPiecesAndKnowsTheEnd) {
  const std::string bytes(100000, 'x');
  const auto packed = deflated(bytes + "yz");
  Inflater inflater(packed);
  std::string half(50000, '\0');
  inflater.read_exactly(half);
  inflater.read_exactly(half);
  EXPECT_EQ(half, bytes.substr(50000));
  std::string end(2, '\0');
  EXPECT_THROW(Inflater(packed).expect_end(), Error);
  inflater.read_exactly(end);
  EXPECT_EQ(end, "yz");
  EXPECT_NO_THROW(inflater.expect_end());
  EXPECT_THROW(inflater.read_exactly(end), Error);
  for (const auto& broken : {std::string(), std::string("nothing"), packed.substr(0, 20)}) {
    std::string to(100002, '\0');
    EXPECT_THROW(Inflater(broken).read_exactly(to), Error);
  }
  auto wrong_sum = packed;
  wrong_sum.back() ^= 1;
  std::string to(100002, '\0');
  EXPECT_THROW(
      {
        Inflater damaged(wrong_sum);
        damaged.read_exactly(to);
        damaged.expect_end();
      },
      Error);
}

/// One rank's record; `chunks` are ids [token][k] of the layers `layers`.
json calibration_record(int iteration, const std::vector<int>& layers,
                        const std::vector<std::vector<std::uint16_t>>& chunks, int slots, int k) {
  json record{{"iteration", iteration}, {"metadata", json::array()}};
  std::string raw;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    record["metadata"].push_back(
        {{"layer_idx", layers[i]},
         {"num_slots", slots},
         {"token_selected_slots_shape", {chunks[i].size() / std::size_t(k), k}}});
    raw += bytes_of<std::int32_t>(chunks[i]);
  }
  record["raw_data"] = base64(deflated(raw));
  return record;
}

json calibration(const std::vector<std::vector<json>>& ranks) {
  return {{"world_size", ranks.size()}, {"all_ranks_records", ranks}};
}

TEST(TrtllmCalibration, SlotsAreCountedByLayerAndSource) {
  const TempDir dir;
  const int slots = 12;
  const int k = 3;
  std::vector<std::vector<json>> ranks(2);
  // [step][layer][source][expert], counted here
  std::vector<std::int32_t> expected(3 * 2 * 2 * 12);
  for (std::size_t rank = 0; rank < 2; ++rank)
    for (std::size_t step = 0; step < 3; ++step) {
      // Layer 7 first, layer 3 in two chunks.
      const std::vector<int> layers{7, 3, 3};
      std::vector<std::vector<std::uint16_t>> chunks;
      for (std::size_t i = 0; i < 3; ++i)
        chunks.push_back(
            random_ids(rank * 10 + step * 3 + i, i == 0 ? 9 : int(i) * 3, 1, slots, k));
      for (std::size_t i = 0; i < 3; ++i)
        for (const auto id : chunks[i])
          ++expected[((step * 2 + (layers[i] == 7)) * 2 + rank) * 12 + id];
      ranks[rank].push_back(calibration_record(int(step) + 5, layers, chunks, slots, k));
    }
  const auto path = dir.write("calibration_data.json", calibration(ranks).dump());
  EXPECT_TRUE(find_format("trtllm-calibration", {}).recognise({{path}, 0, 0, 0}));
  const auto trace = read_raw("auto", {{path}, 0, 0, 0});
  EXPECT_EQ(trace.steps, 3);
  EXPECT_EQ(trace.layers, 2);
  EXPECT_EQ(trace.experts, slots);
  EXPECT_EQ(trace.topk, k);
  EXPECT_EQ(trace.sources, 2);
  EXPECT_EQ(trace.layer_ids, (std::vector<std::int32_t>{3, 7}));
  EXPECT_EQ(trace.source_tokens, expected);
  EXPECT_NO_THROW(validate(trace));
  expect_error(ExitCode::usage, "it names slots, 12 of them, not experts, of which 8", [&] {
    (void)read_raw("trtllm-calibration", {{path}, 0, 8, 0});
  });
}

TEST(TrtllmCalibration, BrokenOnesAreRefused) {
  const TempDir dir;
  const auto good = calibration({{calibration_record(7, {3}, {{0, 1, 2, 3}}, 4, 2)}});
  const auto read = [&](const std::string& text) {
    return read_raw("trtllm-calibration", {{dir.write("c.json", text)}, 0, 0, 0});
  };
  EXPECT_EQ(read(good.dump()).steps, 1);
  struct Case {
    const char* pointer;
    json value;
    const char* why;
  };
  const std::string record = "/all_ranks_records/0/0";
  const Case cases[] = {
      {"/world_size", 2, "records of 1 ranks where 'world_size' is 2"},
      {"/world_size", -1, "'world_size' must be a whole number"},
      {"/all_ranks_records", json::array(), "lists of records"},
      {"/all_ranks_records", 5, "lists of records"},
      {"/all_ranks_records/0", json::array(), "lists of records"},
      {"/all_ranks_records/0/0", 5, "'metadata' needs an object"},
      {"/all_ranks_records/0/0/metadata", json::array(), "no layers in 'metadata'"},
      {"/all_ranks_records/0/0/metadata/0/num_slots", 3, "slot 3 of 3"},
      {"/all_ranks_records/0/0/metadata/0/num_slots", 1 << 30, "'num_slots' must be"},
      {"/all_ranks_records/0/0/metadata/0/layer_idx", 1.5, "'layer_idx' must be"},
      {"/all_ranks_records/0/0/metadata/0/token_selected_slots_shape", {1, 2}, "longer than"},
      {"/all_ranks_records/0/0/metadata/0/token_selected_slots_shape", {3, 2}, "shorter than"},
      {"/all_ranks_records/0/0/metadata/0/token_selected_slots_shape", {1000000, 2}, "too short"},
      {"/all_ranks_records/0/0/metadata/0/token_selected_slots_shape", {1e30, 2}, "tokens of"},
      {"/all_ranks_records/0/0/metadata/0/token_selected_slots_shape", {2}, "[tokens, k]"},
      {"/all_ranks_records/0/0/metadata/0/token_selected_slots_shape", {2, 0}, "k of"},
      {"/all_ranks_records/0/0/raw_data", "####", "rank 0, record 0: its base64"},
      {"/all_ranks_records/0/0/raw_data", "AAAA", "its zlib data is"},
      {"/all_ranks_records/0/0/raw_data", 7, "'raw_data' is no text"},
      {"/all_ranks_records/0/0/iteration", nullptr, "'iteration' must be"},
  };
  for (const auto& [pointer, value, why] : cases) {
    SCOPED_TRACE(std::string(pointer) + " " + value.dump());
    auto broken = good;
    broken[json::json_pointer(pointer)] = value;
    expect_error(ExitCode::usage, why, [&] { (void)read(broken.dump()); });
  }
  auto negative = calibration_record(7, {3}, {{0, 1, 2, 3}}, 4, 2);
  negative["raw_data"] = base64(deflated(std::string(16, '\xff')));
  expect_error(ExitCode::usage, "slot -1 of 4",
               [&] { (void)read(calibration({{negative}}).dump()); });
  // A bomb: a few kilobytes that unpack to many megabytes.
  auto bomb = good;
  bomb[json::json_pointer(record + "/raw_data")] = base64(deflated(std::string(64 << 20, '\0')));
  expect_error(ExitCode::usage, "longer than", [&] { (void)read(bomb.dump()); });
  const auto other = calibration_record(8, {3}, {{0, 1, 2, 3}}, 4, 2);
  expect_error(ExitCode::usage, "iteration 8 where rank 0 has 7", [&] {
    (void)read(calibration({{good["all_ranks_records"][0][0]}, {other}}).dump());
  });
  expect_error(ExitCode::usage, "layer 4 is not in the first record", [&] {
    (void)read(calibration({{good["all_ranks_records"][0][0]},
                            {calibration_record(7, {4}, {{0, 1}}, 4, 2)}})
                   .dump());
  });
  expect_error(ExitCode::usage, "another number of records", [&] {
    (void)read(calibration({{good["all_ranks_records"][0][0]}, {other, other}}).dump());
  });
  for (const auto* text :
       {"", "[", "{\"a\":", "{\"all_ranks_records\": NaN}", "\xff", "null", "[]"})
    expect_error(ExitCode::usage, "c.json", [&, t = text] { (void)read(t); });
  expect_error(ExitCode::usage, "nested too deeply",
               [&] { (void)read(std::string(1 << 20, '[')); });
}

std::string stats_line(int step, const json& load, const json& map) {
  return json{{"record_type", "eplb_load_stats"},
              {"version", 1},
              {"step", step},
              {"num_ranks", 2},
              {"expert_load", load},
              {"p2l_map", map}}
             .dump() +
         "\n";
}

TEST(VllmLoadStats, PhysicalLoadsBecomeThoseOfExperts) {
  const TempDir dir;
  const json meta{{"record_type", "eplb_load_meta"},
                  {"version", 1},
                  {"model", "m"},
                  {"num_ranks", 2},
                  {"num_layers", 2},
                  {"num_redundant_experts", 2}};
  const auto path = dir.write("load.jsonl", meta.dump() + "\n" +
                                                stats_line(3, {{10, 2, 3, 5}, {1, 9, 6, 4}},
                                                           {{0, 1, 0, -1}, {1, 0, 1, 0}}));
  // A slot without expert must be idle.
  expect_error(ExitCode::usage, "load.jsonl:2: layer 0: slot 3 holds no expert but has 5 tokens",
               [&] {
                 (void)read_raw("vllm-jsonl", {{path}, 0, 0, 2});
               });
  const auto good =
      dir.write("load.jsonl",
                meta.dump() + "\n" +
                    stats_line(3, {{10, 2, 3, 0}, {1, 9, 6, 4}}, {{0, 1, 0, -1}, {1, 0, 1, 0}}) +
                    "{\"record_type\": \"something_new\", \"version\": 9}\n\n" +
                    stats_line(9, {{1, 1, 1, 1}, {2, 2, 0, 0}}, {{0, 1, 1, 0}, {1, 0, 1, 0}}));
  EXPECT_TRUE(find_format("vllm-jsonl", {}).recognise({{good}, 0, 0, 0}));
  const auto trace = read_raw("auto", {{good}, 0, 0, 2});
  EXPECT_EQ(trace.steps, 2);
  EXPECT_EQ(trace.layers, 2);
  EXPECT_EQ(trace.experts, 2);
  EXPECT_EQ(trace.topk, 2);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{13, 2, 13, 7, 2, 2, 2, 2}));
}

TEST(VllmLoadStats, BrokenOnesAreRefusedWithTheLine) {
  const TempDir dir;
  const json load{{1, 2}, {3, 0}};
  const json map{{0, 1}, {1, 0}};
  const auto good = stats_line(1, load, map);
  const auto with = [&](const char* name, const json& value) {
    auto record = json::parse(good);
    record[name] = value;
    return record.dump();
  };
  const std::vector<std::pair<std::string, std::string>> broken{
      {"", "no record 'eplb_load_stats'"},
      {"{\"record_type\": \"other\"}", "no record 'eplb_load_stats'"},
      {"nonsense", ":1: it is no JSON"},
      {good + "{\n" + good, ":2: it is no JSON"},
      {"[1]", "needs an object"},
      {"{}", "'record_type' is missing"},
      {with("record_type", 5), "'record_type' is no text"},
      {with("version", 2), "version is not 1"},
      {with("step", -1), "'step' must be"},
      {good + good, ":2: step 1 comes after step 1"},
      {with("expert_load", {{1, 2}}), "as many rows"},
      {with("expert_load", 5), "as many rows"},
      {with("expert_load", {{1, 2}, {3}}), "layer 1: it has no 2 slots"},
      {with("expert_load", {{1, 2}, {3, -1}}), "layer 1: 'expert_load' must be"},
      {with("expert_load", {{1, 2}, {3, 0.5}}), "layer 1: 'expert_load' must be"},
      {with("expert_load", {{1, 2}, {3, nullptr}}), "layer 1: 'expert_load' must be"},
      {with("expert_load", {{1, 2}, {3, 3000000000}}), "layer 1: a count does not fit 32"},
      {with("expert_load", {{1, 2}, {3, 1LL << 41}}), "layer 1: 'expert_load' must be"},
      {with("p2l_map", {{0, 1}, {1, 99999999}}), "'p2l_map' must be"},
      {with("p2l_map", {{0, 1}, {1, -2}}), "'p2l_map' must be"},
      {good + stats_line(2, {{1, 2}}, {{0, 1}}), ":2: it has 1 layers where 2"},
      {good + stats_line(2, load, {{0, 1}, {2, 0}}), ":2: layer 1: 'p2l_map' must be"},
      {"{\"record_type\": \"eplb_load_meta\", \"version\": 1, \"num_layers\": 3}\n" + good,
       "'eplb_load_meta' contradicts"},
      {"{\"record_type\": \"eplb_load_meta\", \"version\": 1, \"num_redundant_experts\": 1}\n" +
           good,
       "'eplb_load_meta' contradicts"},
      {std::string(100000, '['), "nested too deeply"},
      {std::string("\x1f\x8b\x08\x00garbage", 11), "cannot be read"},
  };
  for (const auto& [text, why] : broken) {
    SCOPED_TRACE(text.substr(0, 200));
    expect_error(ExitCode::usage, why, [&, &t = text] {
      (void)read_raw("vllm-jsonl", {{dir.write("l.jsonl", t)}, 0, 0, 2});
    });
  }
}

TEST(VllmLoadStats, ALastLineThatWasCutOffIsLeftOut) {
  const TempDir dir;
  const auto good = stats_line(1, {{1, 2}, {3, 0}}, {{0, 1}, {1, 0}});
  for (const std::size_t left : {std::size_t{1}, good.size() / 2, good.size() - 2}) {
    const RecordingInput input{{dir.write("l.jsonl", good + good.substr(0, left))}, 0, 0, 1};
    int steps = 0;
    const auto notes = find_format("vllm-jsonl", input).read(input, [&](const Trace& part) {
      steps += part.steps;
    });
    EXPECT_EQ(steps, 1);
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_NE(notes[0].find("last line"), std::string::npos) << notes[0];
  }
}

/// Damaged files are read, or refused by name; nothing else happens.
TEST(EngineJson, SurvivesRandomDamage) {
  const TempDir dir;
  const std::vector<std::pair<const char*, std::string>> good{
      {"trtllm-calibration",
       calibration({{calibration_record(7, {3, 5}, {{0, 1, 2, 3}, {3, 2, 1, 0}}, 4, 2)}}).dump()},
      {"vllm-jsonl", stats_line(1, {{1, 2}, {3, 0}}, {{0, 1}, {1, 0}}) +
                         stats_line(2, {{1, 2}, {3, 0}}, {{0, 1}, {1, 0}})}};
  Random random(13);
  for (int i = 0; i < 1000; ++i) {
    const auto& [format, text] = good[std::size_t(i) % good.size()];
    auto damaged = text;
    for (auto n = 1 + random.below(3); n > 0; --n)
      damaged[random.below(damaged.size())] =
          random.below(2) ? static_cast<char>(random.below(256)) : text[random.below(text.size())];
    if (random.below(4) == 0) damaged.resize(random.below(damaged.size()));
    const RecordingInput input{{dir.write("a.json", damaged)}, 0, 0, 2};
    try {
      (void)find_format(format, input).read(input, [](const Trace&) {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("a.json"), std::string::npos) << error.what();
    }
  }
}

/// Samples of the engines' own files, where they are at hand.
class PeerFixtures : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("GEMBENCH_PEER_FIXTURES");
    folder_ = named
                  ? std::filesystem::path(named)
                  : std::filesystem::path(GEMBENCH_SOURCE_DIR) / ".." / "shared" / "peer_fixtures";
    if (!std::filesystem::exists(folder_))
      GTEST_SKIP() << "no peer fixtures in " << folder_ << "; set GEMBENCH_PEER_FIXTURES";
  }
  std::filesystem::path folder_;
};

TEST_F(PeerFixtures, TrtllmCalibrationIsRead) {
  const auto trace = read_recording("auto", {{folder_ / "trtllm_calibration_data.json"}, 0, 0, 0});
  EXPECT_EQ(trace.steps, 2);
  EXPECT_EQ(trace.sources, 2);
  EXPECT_EQ(trace.experts, 4);
  EXPECT_EQ(trace.topk, 2);
  EXPECT_EQ(trace.layer_ids, (std::vector<std::int32_t>{3, 4}));
  for (int step = 0; step < 2; ++step)
    for (int layer = 0; layer < 2; ++layer) {
      const auto loads = trace.loads(step, layer);
      EXPECT_EQ((std::vector<std::int32_t>(loads.begin(), loads.end())),
                layer == 0 ? (std::vector<std::int32_t>{4, 4, 2, 2})
                           : (std::vector<std::int32_t>{2, 2, 4, 4}));
    }
}

TEST_F(PeerFixtures, VllmLoadStatsAreRead) {
  const auto trace = read_raw("auto", {{folder_ / "vllm_pr41141_stats.jsonl"}, 0, 0, 0});
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{11, 1, 5, 2, 2,  8, 1, 3, 12, 1, 5, 2,
                                                     2,  8, 1, 3, 13, 1, 5, 2, 2,  8, 1, 3}));
}

}  // namespace
}  // namespace gembench
