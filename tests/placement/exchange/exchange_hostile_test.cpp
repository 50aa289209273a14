// Readers of placements get what no engine wrote: every answer is a placement or one sentence.

#include "tests/placement/exchange.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using testing::random_full_placement;

/// Reads, and accepts a sound placement or a usage error only.
void survives(const PlacementFormat& format, std::string_view content) {
  try {
    const auto read = format.read(content, {2, 2, 0});
    validate(read.placement);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
    EXPECT_LT(std::string_view(error.what()).size(), 1000U);
  }
}

PlacementFile small() {
  PlacementFile file;
  file.placement = {2, 2, 2, 4, {0, 1, 2, 3, 0, 1, 2, 3}, "test"};
  return file;
}

TEST(HostilePlacement, CutOffAnywhere) {
  for (const auto& format : placement_formats()) {
    SCOPED_TRACE(std::string(format.name));
    const auto good = format.write(small());
    for (std::size_t size = 0; size < good.size(); ++size) {
      (void)std::ranges::any_of(placement_formats(), [&](const auto& other) {
        return other.recognise(std::string_view(good).substr(0, size));
      });
      survives(format, std::string_view(good).substr(0, size));
    }
  }
}

TEST(HostilePlacement, DamagedAtRandom) {
  Random random(11);
  for (const auto& format : placement_formats()) {
    SCOPED_TRACE(std::string(format.name));
    const auto good = format.write(small());
    for (int i = 0; i < 1000; ++i) {
      auto text = good;
      for (auto n = 1 + random.below(4); n > 0; --n)
        text[random.below(text.size())] = static_cast<char>(random.below(256));
      survives(format, text);
    }
  }
}

TEST(HostilePlacement, EveryReaderGetsEveryFormat) {
  for (const auto& format : placement_formats())
    for (const auto& other : placement_formats()) {
      if (&format == &other) continue;
      SCOPED_TRACE(std::string(format.name));
      const auto content = other.write(small());
      EXPECT_THROW((void)format.read(content, {2, 2, 0}), Error) << other.name;
    }
}

TEST(HostilePlacement, ZerosAndNestingAreRefusedEarly) {
  const std::string zeros(100 << 20, '\0');
  expect_refused("no placement in any", [&] { (void)recognise_placement(zeros); });
  std::string nested(1 << 20, '[');
  std::string maps;
  for (int i = 0; i < 100000; ++i) maps += "{\"a\":";
  std::string flow = "initial_global_assignments: " + std::string(100000, '[');
  for (const auto& format : placement_formats())
    for (const auto& text : {zeros, nested, maps, flow}) {
      SCOPED_TRACE(std::string(format.name));
      EXPECT_THROW((void)format.read(text, {2, 2, 0}), Error);
    }
}

TEST(HostilePlacement, ObjectsOfTooManyMembersAreRefusedEarly) {
  std::string text = "{";
  for (int i = 0; i < 1000000; ++i) text.append("\"").append(std::to_string(i)).append("\":0,");
  text += "\"a\":0}";
  for (const auto* name : {"gembench", "sglang", "vllm-ascend", "vllm-rank-map"})
    expect_refused("too many members", [&] {
      (void)find_placement_format(name).read(text, {2, 2, 0});
    });
}

struct Case {
  const char* format;
  std::string text;
  const char* part;
};

TEST(HostilePlacement, WhatIsWrongIsSaid) {
  const std::string layer =
      R"({"layer_id":0,"device_count":2,"device_list":[{"device_id":0,"device_expert":[0]},)"
      R"({"device_id":1,"device_expert":[1]}]})";
  const auto ascend = [](const std::string& list, const char* count = "1") {
    return std::string(R"({"moe_layer_count":)") + count + R"(,"layer_list":[)" + list + "]}";
  };
  const auto with = [](std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  };
  const std::string line =
      R"({"record_type":"eplb_initial_mapping","version":1,"num_redundant_experts":0,)"
      R"("num_slots":2,"initial_global_assignments":{"0":[0,1]}})";
  const std::string yaml =
      "initial_global_assignments:\n  3: [0, 1]\nlayer_updates_per_iter: 0\nnum_slots: 2\n";
  const Case cases[] = {
      {"sglang", R"({"physical_to_logical_map":[[0,1]],"rank":1})", "'rank', which the engine"},
      {"sglang", R"({"physical_to_logical_map":[[0,1]],"physical_to_logical_map":[[1,0]]})",
       "stands there twice"},
      {"sglang", R"({"physical_to_logical_map":[[0,1],[0]]})", "layer 1 has 1 slots"},
      {"sglang", R"({"physical_to_logical_map":[[0,-1]]})", "no expert -1"},
      {"sglang", R"({"physical_to_logical_map":[[0,NaN]]})", "no JSON from byte"},
      {"sglang", R"({"physical_to_logical_map":[[0,1e3]]})", "no whole number"},
      {"sglang", R"({"physical_to_logical_map":[[0,"1"]]})", "no whole number"},
      {"sglang", R"({"physical_to_logical_map":[[0,null]]})", "no whole number"},
      {"sglang", R"({"physical_to_logical_map":[[0,65536]]})", "no expert 65536"},
      {"sglang", R"({"physical_to_logical_map":[[0,99999999999999999999]]})", "no whole number"},
      {"sglang", R"({"physical_to_logical_map":[]})", "an empty one"},
      {"sglang", R"({"physical_to_logical_map":[[]]})", "an empty one"},
      {"sglang", R"({"physical_to_logical_map":{"0":[0,1]}})", "no list"},
      {"sglang", R"({"physical_to_logical_map":[[0,1,2]]})", "do not divide over 2 ranks"},
      {"sglang", R"({"physical_to_logical_map":[[0,2,2,0]]})", "expert 1 is on no rank"},
      {"sglang", R"([[0,1]])", "no JSON object"},
      {"vllm-map", R"([[0,1],3])", "no list"},
      {"vllm-map", R"([[[0,1]]])", "no whole number"},
      {"vllm-map", R"({"a":1})", "no list"},
      {"vllm-jsonl", line + "\n" + line, "two mappings"},
      {"vllm-jsonl", "\n\n{}", "no line with record_type"},
      {"vllm-jsonl", with(line, "\"version\":1", "\"version\":2"), "version is not 1"},
      {"vllm-jsonl", with(line, "\"num_slots\":2", "\"num_slots\":3"), "no list of 3"},
      {"vllm-jsonl", with(line, "experts\":0", "experts\":2"), "cannot be"},
      {"vllm-jsonl", with(line, "\"0\":[0,1]", "\"1\":[0,1]"), "'0' is missing"},
      {"vllm-jsonl", with(line, "\"0\":[0,1]", "\"0\":[0,1],\"0\":[1,0]"), "twice"},
      {"vllm-rank-map", R"({"expert_to_ep_rank":[0,-1]})", "ranks that cannot be"},
      {"vllm-rank-map", R"({"expert_to_ep_rank":[0,2]})", "rank 2 of 2"},
      {"vllm-rank-map", R"({"expert_to_ep_rank":[]})", "an empty one"},
      {"vllm-ascend", ascend(layer, "2"), "no list of 2"},
      {"vllm-ascend", ascend(layer, "2000000000"), "no list of 2000000000"},
      {"vllm-ascend", ascend(layer, "-1"), "no list of -1"},
      {"vllm-ascend", ascend(with(layer, "\"layer_id\":0", "\"layer_id\":1")), "layer_id 1"},
      {"vllm-ascend", ascend(with(layer, "\"device_id\":1", "\"device_id\":0")), "device_id 0"},
      {"vllm-ascend", ascend(with(layer, "[1]", "[1,0]")), "has 2 experts, the first device has 1"},
      {"vllm-ascend", ascend("7"), "layer_list[0] is no JSON object"},
      {"trtllm", yaml + "ep_size_: 2\n", "line 5: it has a member 'ep_size_'"},
      {"trtllm", yaml + "num_slots: 2\n", "'num_slots' stands there twice"},
      {"trtllm", with(yaml, "num_slots: 2", "num_slots: 3"), "layer 3 has 2 slots where num_slots"},
      {"trtllm", "num_slots: 2\n", "needs both"},
      {"trtllm", with(yaml, "[0, 1]", "[0, 1]\n  3: [1, 0]"), "layer 3 stands there twice"},
      {"trtllm", with(yaml, "[0, 1]", "[0, .nan]"), "'.nan' is no whole number"},
      {"trtllm", with(yaml, "[0, 1]", "[0, -1]"), "'-1' is no whole number"},
      {"trtllm", with(yaml, "[0, 1]", "[0, 0x1]"), "'0x1' is no whole number"},
      {"trtllm", with(yaml, "[0, 1]", "[0, 99999999999]"), "no whole number"},
      {"trtllm", with(yaml, "[0, 1]", "[0, [1]]"), "here must be an expert"},
      {"trtllm", with(yaml, "[0, 1]", "{0: 1}"), "a list of experts"},
      {"trtllm", with(yaml, "3:", "three:"), "'three' is no whole number"},
      {"trtllm", with(yaml, "3:", "2000000000:"), "no layer 2000000000 in any model"},
      {"trtllm", with(yaml, "[0, 1]", "&a [0, 1]"), "anchors and tags"},
      {"trtllm", with(yaml, "[0, 1]", "!!python/object [0, 1]"), "anchors and tags"},
      {"trtllm", with(yaml, "[0, 1]", "[0, 1"), "line "},
      {"trtllm", yaml + "---\n" + yaml, "no second document"},
      {"trtllm", yaml + "\xff\xfe", "line "},
      {"trtllm", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "a member 'a'"},
      {"trtllm", "initial_global_assignments: *a\n", "aliases have no place"},
      {"omni", "\x93NUMPX", "no .npy file"},
      {"omni", std::string("\x93NUMPY\x04\0\1\0\0\0", 12), "version 4"},
      {"omni", std::string("\x93NUMPY\x01\0\xff\xff{ ", 12), "header is cut off"},
  };
  for (const auto& [format, text, part] : cases) {
    SCOPED_TRACE(format + (": " + text.substr(0, 200)));
    expect_refused(part, [&, f = format, t = std::string_view(text)] {
      (void)find_placement_format(f).read(t, {2, 1, 0});
    });
  }
}

TEST(HostilePlacement, HeadersOfArraysThatLie) {
  const auto npy = [](const std::string& header, std::size_t bytes) {
    return "\x93NUMPY" + std::string("\x01\0", 2) + static_cast<char>(header.size()) + '\0' +
           header + std::string(bytes, '\1');
  };
  const auto shaped = [&](const std::string& shape, std::size_t bytes) {
    return npy("{'descr': '<i4', 'fortran_order': False, 'shape': " + shape + ", }", bytes);
  };
  const auto& omni = find_placement_format("omni");
  const std::pair<std::string, const char*> cases[] = {
      {shaped("(2, 2)", 16), "is not that of"},
      {shaped("(2, 2, 2, 2)", 64), "is not that of"},
      {shaped("(-1, 2, 2)", 16), "malformed"},
      {shaped("(0, 2, 2)", 0), "is not that of"},
      {shaped("(1e9, 2, 2)", 16), "malformed"},
      {shaped("(2, 2, 99999999999)", 16), "99999999999 experts"},
      {shaped("(65536, 65536, 65536)", 16), "impossible size"},
      {shaped("(1, 1, 100000)", 400000), "100000 experts"},
      {shaped("(1, 1, 4)", 12), "wants 16 bytes and 12 are there"},
      {shaped("(1, 1, 4)", 20), "wants 16 bytes and 20 are there"},
      {shaped("(1, 1, 4)", 16), "else than 0 and 1"},
      {shaped("(1, 1, 4", 16), "malformed"},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 4), }", 16),
       "has the type '|O'"},
      {npy("{'descr': '<i4\n', 'fortran_order': False, 'shape': (1, 1, 4), }", 16), "type '<i4?'"},
      {npy("{'descr': '>i4', 'fortran_order': False, 'shape': (1, 1, 4), }", 16),
       "has the type '>i4'"},
      {npy("{'descr': '<i4', 'fortran_order': True, 'shape': (1, 1, 4), }", 16), "Fortran"},
      {npy("{}", 16), "malformed"},
  };
  for (const auto& [content, part] : cases) {
    SCOPED_TRACE(content.substr(10, 80));
    expect_refused(part, [&, c = std::string_view(content)] { (void)omni.read(c, {}); });
  }
  auto nobody = shaped("(1, 1, 4)", 16);
  std::fill(nobody.end() - 16, nobody.end(), '\0');
  expect_refused("on no rank", [&] { (void)omni.read(nobody, {}); });
}

TEST(HostilePlacement, FilesAreNamedAndLargeOnesNotRead) {
  testing::TempDir dir;
  const auto path = dir.write("p.yaml", "initial_global_assignments: [");
  expect_refused("p.yaml: line ", [&] { (void)read_any_placement(path, {}); });
  expect_refused("no placement format 'yaml'", [&] { (void)read_any_placement(path, {}, "yaml"); });
  std::filesystem::resize_file(path, kMaxPlacementBytes + 1);
  expect_refused("bytes, more than", [&] { (void)read_any_placement(path, {}); });
  expect_refused("does not exist", [&] { (void)read_any_placement(dir.at("q"), {}); });
}

}  // namespace
}  // namespace gembench
