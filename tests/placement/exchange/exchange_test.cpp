#include "tests/placement/exchange.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using testing::random_full_placement;
using testing::slurp;
using testing::TempDir;

PlacementFile of(const std::vector<std::int32_t>& slot_expert, int layers, int ranks, int experts) {
  PlacementFile file;
  file.placement = {layers,  ranks,       static_cast<int>(slot_expert.size()) / layers / ranks,
                    experts, slot_expert, "test"};
  return file;
}

/// Two layers of 4 experts on 2 ranks, two of them replicated.
PlacementFile two_layers() {
  auto file = of({2, 0, 1, 3, 1, 0, 0, 3, 1, 2, 3, 0}, 2, 2, 4);
  file.layer_ids = {1, 2};
  return file;
}

std::string npy(const std::string& type, const std::string& shape, const std::string& data) {
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.append(128 - 10 - 1 - header.size(), ' ');
  return "\x93NUMPY" + std::string("\x01\x00\x76\x00", 4) + header + "\n" + data;
}

TEST(Exchange, WritesWhatEnginesReadToTheByte) {
  const auto file = two_layers();
  const auto text = [&](const char* format) {
    return checked_text(find_placement_format(format), file);
  };
  EXPECT_EQ(text("sglang"),
            R"({"physical_to_logical_map": [[0, 1, 2, 3, 0, 1], [2, 0, 1, 3, 1, 0], )"
            R"([0, 3, 1, 2, 3, 0]]})");
  EXPECT_EQ(text("trtllm"),
            "initial_global_assignments:\n  1: [2, 0, 1, 3, 1, 0]\n  2: [0, 3, 1, 2, 3, 0]\n"
            "layer_updates_per_iter: 0\nnum_slots: 6\n");
  EXPECT_EQ(text("vllm-map"), "[[2, 0, 1, 3, 1, 0], [0, 3, 1, 2, 3, 0]]");
  EXPECT_EQ(text("vllm-jsonl"),
            R"({"record_type": "eplb_initial_mapping", "version": 1, "num_redundant_experts": 2, )"
            R"("num_slots": 6, "initial_global_assignments": {"0": [2, 0, 1, 3, 1, 0], )"
            R"("1": [0, 3, 1, 2, 3, 0]}})"
            "\n");
  EXPECT_EQ(checked_text(find_placement_format("vllm-rank-map"), of({2, 0, 1, 3}, 1, 2, 4)),
            R"({"expert_to_ep_rank": [0, 1, 0, 1]})");
  EXPECT_EQ(checked_text(find_placement_format("vllm-ascend"), of({1, 0}, 1, 2, 2)),
            "{\n \"moe_layer_count\": 1,\n \"layer_list\": [\n  {\n   \"layer_id\": 0,\n"
            "   \"device_count\": 2,\n   \"device_list\": [\n    {\n     \"device_id\": 0,\n"
            "     \"device_expert\": [\n      1\n     ]\n    },\n    {\n     \"device_id\": 1,\n"
            "     \"device_expert\": [\n      0\n     ]\n    }\n   ]\n  }\n ]\n}");
  std::string ones;
  for (const int bit : {1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1})
    ones += std::string{static_cast<char>(bit), 0, 0, 0};
  EXPECT_EQ(text("omni"), npy("<i4", "(2, 2, 4)", ones));
}

TEST(Exchange, DenseLayersOfSglangComeBackByTheirIndex) {
  auto file = two_layers();
  file.layer_ids = {1, 3};
  file.model_layers = 5;
  const auto& sglang = find_placement_format("sglang");
  const auto back = sglang.read(checked_text(sglang, file), {2, 0, 0});
  EXPECT_EQ(back.placement.layers, 5);
  EXPECT_EQ(back.model_layers, 5);
  const auto moe = select_layers(back, std::vector<std::int32_t>{1, 3});
  EXPECT_EQ(moe.placement.slot_expert, file.placement.slot_expert);
  expect_refused("no layer 5", [&] { (void)select_layers(back, std::vector<std::int32_t>{5}); });
}

TEST(Exchange, EveryFormatRoundTripsAnyFullPlacement) {
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    const auto file = random_full_placement(random);
    const auto& placement = file.placement;
    for (const auto& format : placement_formats()) {
      if (format.name == "vllm-rank-map") continue;
      SCOPED_TRACE(std::string(format.name));
      const auto text = checked_text(format, file);
      EXPECT_EQ(&recognise_placement(text), &format);
      auto back = format.read(text, {placement.ranks, 0, 0});
      if (format.name == "sglang") back = select_layers(back, file.layer_ids);
      EXPECT_EQ(back.placement.experts, placement.experts);
      auto same = placement;
      if (format.name == "omni")
        for (int layer = 0; layer < same.layers; ++layer)
          for (int rank = 0; rank < same.ranks; ++rank)
            std::ranges::sort(same.on_rank(layer, rank));
      EXPECT_EQ(back.placement.slot_expert, same.slot_expert);
      if (!back.layer_ids.empty()) {
        EXPECT_EQ(back.layer_ids, file.layer_ids);
      }
    }
  }
}

TEST(Exchange, ARankMapRoundTripsWhatItCanHold) {
  Random random(4);
  const auto& format = find_placement_format("vllm-rank-map");
  for (int i = 0; i < 50; ++i) {
    auto file = random_full_placement(random, 0);
    auto& placement = file.placement;
    for (int layer = 1; layer < placement.layers; ++layer)
      for (int rank = 0; rank < placement.ranks; ++rank)
        std::ranges::copy(placement.on_rank(0, rank), placement.on_rank(layer, rank).begin());
    const auto text = checked_text(format, file);
    EXPECT_EQ(&recognise_placement(text), &format);
    const auto back = format.read(text, {0, placement.layers, 0}).placement;
    ASSERT_EQ(back.ranks, placement.ranks);
    const auto before = locations(placement), after = locations(back);
    for (std::size_t e = 0; e < before.size(); ++e) EXPECT_EQ(before[e].rank, after[e].rank);
  }
  expect_refused("no replicas and this placement has 2", [&] { (void)format.write(two_layers()); });
  expect_refused("expert 0 is on rank 0 in layer 0 and on rank 1 in layer 1", [&] {
    (void)format.write(of({0, 1, 1, 0}, 2, 2, 2));
  });
  EXPECT_EQ(format.read(R"({"expert_to_ep_rank": [0, 1, 1]})", {0, 1, 0}).placement.slot_expert,
            (std::vector<std::int32_t>{0, -1, 1, 2}));
}

TEST(Exchange, NoEngineCanHoldAnEmptySlot) {
  const auto file = of({0, -1, 1, 2}, 1, 2, 3);
  for (const auto& format : placement_formats()) {
    if (format.name == "gembench") continue;
    SCOPED_TRACE(std::string(format.name));
    expect_refused("layer 0: rank 0 has 1 of its 2 slots empty",
                   [&] { (void)checked_text(format, file); });
    expect_refused(format.name == "vllm-rank-map" ? "divides the experts" : "--replicas 1",
                   [&] { (void)checked_text(format, file); });
  }
  EXPECT_NO_THROW((void)checked_text(find_placement_format("gembench"), file));
}

TEST(Exchange, AnExpertTwiceOnARankIsKeptAndWrittenAgain) {
  const auto file = find_placement_format("vllm-map").read("[[0, 0, 1, 2, 2, 2]]", {2, 0, 0});
  EXPECT_EQ(file.placement.slot_expert, (std::vector<std::int32_t>{0, -1, 1, 2, -1, -1}));
  EXPECT_EQ(file.placement.repeats, (std::vector<std::int32_t>{-1, 0, -1, -1, 2, 2}));
  EXPECT_EQ(count_repeats(file.placement), 3);
  for (const auto& format : placement_formats()) {
    SCOPED_TRACE(std::string(format.name));
    if (format.name == "vllm-ascend" || format.name == "omni" || format.name == "vllm-rank-map") {
      // Their loaders take a rank's experts as a set, or one rank an expert.
      expect_refused("3 slots repeat an expert of their rank",
                     [&] { (void)checked_text(format, file); });
      continue;
    }
    const auto back = format.read(checked_text(format, file), {2, 1, 3}).placement;
    EXPECT_EQ(back.slot_expert, file.placement.slot_expert);
    EXPECT_EQ(back.repeats, file.placement.repeats);
  }
  // On two ranks it is a replica.
  const auto replica = find_placement_format("vllm-map").read("[[0, 1, 0, 2]]", {2, 0, 0});
  EXPECT_TRUE(replica.placement.repeats.empty());
}

TEST(Exchange, OneMapForAllLayersNeedsTheirNumber) {
  const auto& map = find_placement_format("vllm-map");
  EXPECT_EQ(map.read("[1, 0]", {2, 3, 0}).placement.slot_expert,
            (std::vector<std::int32_t>{1, 0, 1, 0, 1, 0}));
  expect_refused("--layers N", [&] { (void)map.read("[1, 0]", {2, 0, 0}); });
  expect_refused("slots accepted", [&] { (void)map.read("[1, 0]", {2, 1 << 30, 0}); });
}

TEST(Exchange, OmniReadsBothWidthsAndUnequalCounts) {
  const auto& omni = find_placement_format("omni");
  std::string wide;
  for (const int bit : {1, 1, 0, 0, 0, 1})
    wide += std::string{static_cast<char>(bit), 0, 0, 0, 0, 0, 0, 0};
  const auto read = omni.read(npy("<i8", "(2, 1, 3)", wide), {}).placement;
  EXPECT_EQ(read.slot_expert, (std::vector<std::int32_t>{0, 1, 2, -1}));
}

TEST(Exchange, TheRanksOfAStatisticsFileOfTensorRtAreRead) {
  const std::string text =
      "ep_size: 2\nnum_slots: 2\nlayer_updates_per_iter: 3\n"
      "initial_global_assignments:\n  7:\n  - 1\n  - 0\n";
  const auto file = find_placement_format("trtllm").read(text, {});
  EXPECT_EQ(file.placement.ranks, 2);
  EXPECT_EQ(file.layer_ids, std::vector<std::int32_t>{7});
  EXPECT_EQ(file.placement.slot_expert, (std::vector<std::int32_t>{1, 0}));
}

TEST(Exchange, FilesAreFittedToATraceByTheLayersOfTheModel) {
  TempDir dir;
  auto trace = testing::small_trace(3, 2, 4, 2, 0);
  const CostModel cost(equal_ranks(2, 100));
  const auto file = two_layers();
  const auto planned = [&](const std::filesystem::path& path) {
    return plan_by_name("file:" + path.string(), {trace, cost, 0}).slot_expert;
  };
  const auto path = dir.write("s.json", checked_text(find_placement_format("sglang"), file));
  expect_refused("s.json: it places 4 experts of 3 layers", [&] { (void)planned(path); });
  expect_refused("--first-layer", [&] { (void)planned(path); });
  trace.layer_ids = {1, 2};
  EXPECT_EQ(planned(path), file.placement.slot_expert);
  trace.layer_ids = {2, 5};
  expect_refused("no layer 5", [&] { (void)planned(path); });
  for (const auto& format : placement_formats()) {
    if (format.name == "vllm-rank-map" || format.name == "omni") continue;
    trace.layer_ids = {1, 2};
    const auto other = dir.write("other", checked_text(format, file));
    EXPECT_EQ(planned(other), file.placement.slot_expert) << format.name;
  }
  const auto twice = dir.write("twice.json", "[[0, 0, 1, 2, 3, 3], [0, 0, 1, 2, 3, 3]]");
  EXPECT_EQ(planned(twice), (std::vector<std::int32_t>{0, -1, 1, 2, 3, -1, 0, -1, 1, 2, 3, -1}));
  trace.layer_ids.clear();
  expect_refused("holds expert 0 twice on a rank: it can be judged and run", [&] {
    (void)plan_by_name("relabel:file:" + twice.string(), {trace, cost});
  });
  expect_refused("it is no placement in any of the formats gembench, sglang",
                 [&] { (void)planned(dir.write("x", "{}")); });
}

/// Files that other loaders read, where they are at hand: what is read is written to the same byte.
TEST(Exchange, SamplesOfEnginesComeOutAsTheyWere) {
  const auto folder = testing::peer_fixtures();
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "no samples in " << folder << "; set GEMBENCH_PEER_FIXTURES to their folder";
  const std::pair<const char*, const char*> samples[] = {
      {"sglang_init_expert_location.json", "sglang"},
      {"trtllm_moe_load_balancer.yaml", "trtllm"},
      {"vllm_ascend_expert_map.json", "vllm-ascend"},
      {"vllm_pr41141_mapping.jsonl", "vllm-jsonl"},
      {"vllm_pr49572_initial_expert_map.json", "vllm-map"},
      {"omni_placement_pattern.npy", "omni"},
  };
  for (const auto& [name, format] : samples) {
    SCOPED_TRACE(name);
    const auto content = slurp(folder / name);
    EXPECT_EQ(recognise_placement(content).name, format);
    const auto read = read_any_placement(folder / name, {2, 0, 0}, format);
    EXPECT_EQ(read.placement.layers, 2);
    EXPECT_EQ(read.placement.experts, 4);
    EXPECT_EQ(checked_text(find_placement_format(format), read), content);
  }
}

/// [layer][slot] in every form that a map of slots is kept in.
TEST(Phy2log, MapsOfSlotsAreReadFromEveryFile) {
  using namespace testing::pickled;
  using testing::raw_all;
  using testing::write_zip;
  const std::vector<std::int32_t> cells{0, 1, 2, 3, 1, 0, 3, 2, 1, 0, 0, 2};
  const std::vector<std::int64_t> wide(cells.begin(), cells.end());
  const auto json = R"({"physical_to_logical_map": [[0, 1, 2, 3, 1, 0], [3, 2, 1, 0, 0, 2]]})";
  const auto expected = find_placement_format("sglang").read(json, {2, 0, 0}).placement;
  const TempDir dir;
  const auto torch = [&](const std::string& pickle, const std::string& data) {
    return slurp(write_zip(
        dir.at("a.pt"),
        {{"a/data.pkl", kStart + pickle + "."}, {"a/byteorder", "little"}, {"a/data/0", data}}));
  };
  const Tensor ints{"IntStorage", "0", "cpu", 12, 0, {2, 6}, {6, 1}};
  const Tensor longs{"LongStorage", "0", "cpu", 12, 0, {2, 6}, {6, 1}};
  const std::vector<std::pair<std::string, std::string>> files{
      {"phy2log", npy("<i8", "(2, 6)", raw_all(wide))},
      {"phy2log", npy("<i4", "(2, 6)", raw_all(cells))},
      {"phy2log", torch(tensor(longs), raw_all(wide))},
      {"phy2log", torch(tensor(ints), raw_all(cells))},
      {"sglang", torch(dict(text("physical_to_logical_map") + tensor(longs)), raw_all(wide))}};
  for (const auto& [name, content] : files) {
    const auto& format = recognise_placement(content);
    EXPECT_EQ(format.name, name);
    const auto read = format.read(content, {2, 0, 0});
    EXPECT_EQ(read.placement.slot_expert, expected.slot_expert);
    EXPECT_EQ(read.layer_ids.empty(), name == "phy2log");
    for (std::size_t left = 0; left < content.size(); ++left)
      EXPECT_THROW((void)format.read(content.substr(0, left), {2, 0, 0}), Error);
  }
  const auto refuse = [&](const char* part, const std::string& content) {
    expect_refused(part, [&] { (void)find_placement_format("phy2log").read(content, {2, 0, 0}); });
  };
  refuse("there is no expert -1", npy("<i4", "(1, 2)", raw_all<std::int32_t>({0, -5})));
  refuse("there is no expert 65536", npy("<i8", "(1, 2)", raw_all<std::int64_t>({0, 1LL << 40})));
  refuse("whole numbers", npy("<f4", "(1, 2)", raw_all<float>({0, 0.5F})));
  refuse("3 dimensions", npy("<i4", "(1, 2, 1)", raw_all<std::int32_t>({0, 1})));
  refuse("0 layers of 2 slots", npy("<i4", "(0, 2)", ""));
  refuse("slots accepted", npy("<i1", "(16777216, 16777216)", ""));
  refuse("larger than its storage",
         torch(tensor({"LongStorage", "0", "cpu", 12, 0, {1 << 20, 1 << 20}, {1 << 20, 1}}),
               raw_all(wide)));
}

}  // namespace
}  // namespace gembench
