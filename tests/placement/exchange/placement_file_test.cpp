#include "placement/exchange/placement_file.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_error;
using testing::expect_refused;
using testing::slurp;
using testing::TempDir;

PlacementFile example() {
  const auto trace = testing::small_trace(3, 2, 8, 2, 0);
  PlacementFile file;
  file.placement = plan_random({trace, CostModel(equal_ranks(4, 100)), 3});
  file.model = "mixtral-8x7b/4 f32";
  file.seed = 18446744073709551615u;
  file.predicted_step = 0.1;
  file.bound_step = 1.0 / 3;
  file.trace_source = "a \"quoted\"\nname";
  file.profile_source = "caf\xc3\xa9";
  file.program = "gembench 0.1.0";
  return file;
}

TEST(PlacementFile, RoundTripsEveryField) {
  TempDir dir;
  const auto file = example();
  write_placement(dir.at("p.json"), file, false);
  const auto read = read_placement(dir.at("p.json"));
  EXPECT_EQ(read.placement.slot_expert, file.placement.slot_expert);
  EXPECT_EQ(read.placement.strategy, "random");
  EXPECT_EQ(read.placement.layers, 2);
  EXPECT_EQ(read.placement.ranks, 4);
  EXPECT_EQ(read.placement.slots, 2);
  EXPECT_EQ(read.placement.experts, 8);
  EXPECT_EQ(read.model, file.model);
  EXPECT_EQ(read.seed, file.seed);
  EXPECT_EQ(read.predicted_step, file.predicted_step);
  EXPECT_EQ(read.bound_step, file.bound_step);
  EXPECT_EQ(read.trace_source, file.trace_source);
  EXPECT_EQ(read.profile_source, file.profile_source);
  EXPECT_EQ(read.program, file.program);
}

TEST(PlacementFile, OfAStrategyThatIsGoneIsRead) {
  auto file = example();
  file.placement.strategy = "gem+cv";  // until 0.1.0
  const auto read = placement_from_json(placement_to_json(file));
  EXPECT_EQ(read.placement.strategy, "gem+cv");
  EXPECT_EQ(read.placement.slot_expert, file.placement.slot_expert);
}

TEST(PlacementFile, RoundTripsTheLayersOfTheModelWhereTheyAreKnown) {
  TempDir dir;
  auto file = example();
  EXPECT_EQ(placement_to_json(file).find("layer_ids"), std::string::npos);
  file.layer_ids = {3, 5};
  file.model_layers = 6;
  const auto read = placement_from_json(placement_to_json(file));
  EXPECT_EQ(read.layer_ids, file.layer_ids);
  EXPECT_EQ(read.model_layers, 6);
  EXPECT_EQ(read.layer_id(1), 5);
  EXPECT_EQ(example().layer_id(1), 1);
  const auto refuse = [&](const std::vector<std::int32_t>& ids, int model_layers,
                          const char* part) {
    file.layer_ids = ids;
    file.model_layers = model_layers;
    expect_refused(part, [&] { write_placement(dir.at("p.json"), file, false); });
  };
  refuse({3}, 0, "ascending indices");
  refuse({3, 3}, 0, "ascending indices");
  refuse({-1, 3}, 0, "ascending indices");
  refuse({3, 5}, 5, "layer 5 does not belong to a model of 5 layers");
  refuse({3, 65536}, 0, "no model has more than 65536 layers");
  refuse({3, 5}, 2000000000, "no model has more than 65536 layers");
  refuse({}, 1, "layer 1 does not belong to a model of 1 layers");
}

/// A row of the table of placement.json in results/SCHEMA.md.
struct DocumentedKey {
  std::string key, type, needed;
};

std::string schema_section() {
  const std::string all = slurp(std::string(GEMBENCH_SOURCE_DIR) + "/results/SCHEMA.md");
  const auto begin = all.find("\n## placement.json");
  const auto end = all.find("\n## ", begin + 1);
  return begin == std::string::npos ? "" : all.substr(begin, end - begin);
}

std::vector<DocumentedKey> documented_keys() {
  std::vector<DocumentedKey> keys;
  std::istringstream lines(schema_section());
  const std::regex row(R"(\| `([\w.]+)` \| ([^|]+) \| (yes|no) \|.*)");
  std::smatch found;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_match(line, found, row)) keys.push_back({found[1], found[2], found[3]});
  }
  return keys;
}

std::string type_of(const nlohmann::ordered_json& value) {
  if (value.is_string()) return "text";
  if (value.is_boolean()) return "boolean";
  if (value.is_number_float()) return "number";
  if (value.is_number_unsigned() && value > std::uint64_t{INT64_MAX}) return "unsigned integer";
  if (value.is_number_integer()) return "integer";
  if (value.is_object()) return "object";
  const auto* inner = &value;
  while (inner->is_array() && !inner->empty()) inner = &inner->front();
  return inner->is_object() ? "list of objects" : "list of integers";
}

/// "planned_on.parts.trace": type, for every key; lists of objects by their first.
void add_types(const nlohmann::ordered_json& object, const std::string& prefix,
               std::map<std::string, std::string>& types) {
  for (const auto& [name, value] : object.items()) {
    types[prefix + name] = type_of(value);
    if (value.is_object()) add_types(value, prefix + name + ".", types);
    if (type_of(value) == "list of objects") {
      add_types(value.front(), prefix + name + ".", types);
    }
  }
}

/// Without the key, in every object of a list.
void remove_key(nlohmann::ordered_json& object, const std::string& key) {
  const auto dot = key.find('.');
  if (dot == std::string::npos) {
    object.erase(key);
    return;
  }
  if (!object.contains(key.substr(0, dot))) return;
  auto& inner = object[key.substr(0, dot)];
  if (inner.is_object()) remove_key(inner, key.substr(dot + 1));
  if (!inner.is_array()) return;
  for (auto& one : inner) remove_key(one, key.substr(dot + 1));
}

PlacementFile with_every_key() {
  PlacementFile file = example();
  file.layer_ids = {3, 5};
  file.model_layers = 6;
  file.planned_on = PlanningRecord{{{1, 0, {2, 3}}}, true};
  return file;
}

TEST(PlacementFile, HoldsTheKeysOfItsSchemaAndNoOthers) {
  std::map<std::string, std::string> written, documented;
  const auto json = nlohmann::ordered_json::parse(placement_to_json(with_every_key()));
  add_types(json, "", written);
  for (const auto& row : documented_keys()) {
    documented[row.key] = row.type.substr(0, row.type.find(','));  // without the shape
  }
  EXPECT_EQ(documented, written);
  EXPECT_NE(schema_section().find(fmt::format("schema `{}` {}", json["schema"].get<std::string>(),
                                              json["schema_version"].get<std::string>())),
            std::string::npos)
      << "the version in the heading";
}

TEST(PlacementFile, IsReadWithoutAnyKeyThatItsSchemaDoesNotNeed) {
  const auto whole = nlohmann::ordered_json::parse(placement_to_json(with_every_key()));
  for (const auto& row : documented_keys()) {
    auto part = whole;
    remove_key(part, row.key);
    if (row.needed == "yes") {
      EXPECT_THROW(static_cast<void>(placement_from_json(part.dump())), Error) << row.key;
    } else {
      EXPECT_NO_THROW(static_cast<void>(placement_from_json(part.dump()))) << row.key;
    }
  }
  auto least = whole;
  for (const auto& row : documented_keys()) {
    if (row.needed == "no") remove_key(least, row.key);
  }
  least["unknown"] = 1;
  EXPECT_EQ(placement_from_json(least.dump()).placement.slot_expert,
            example().placement.slot_expert);
  least["schema_version"] = "2.0.0";
  EXPECT_THROW(static_cast<void>(placement_from_json(least.dump())), Error);
}

TEST(PlacementFile, NeverOverwritesUnasked) {
  TempDir dir;
  auto file = example();
  write_placement(dir.at("p.json"), file, false);
  const auto before = slurp(dir.at("p.json"));
  file.seed = 1;
  expect_error(ExitCode::output, "exists: pass --overwrite",
               [&] { write_placement(dir.at("p.json"), file, false); });
  EXPECT_EQ(slurp(dir.at("p.json")), before);
  write_placement(dir.at("p.json"), file, true);
  EXPECT_EQ(read_placement(dir.at("p.json")).seed, 1u);
  EXPECT_FALSE(std::filesystem::exists(dir.at("p.json.partial")));
}

TEST(PlacementFile, SaysWhyItCannotWrite) {
  TempDir dir;
  expect_error(ExitCode::output, "No such file or directory",
               [&] { write_placement(dir.at("none/p.json"), example(), false); });
  std::filesystem::create_directories(dir.at("folder/x"));
  expect_error(ExitCode::output, "cannot be written",
               [&] { write_placement(dir.at("folder"), example(), true); });
  auto broken = example();
  broken.predicted_step = std::numeric_limits<double>::quiet_NaN();
  expect_refused("predicted_step", [&] { write_placement(dir.at("p.json"), broken, false); });
  broken = example();
  broken.placement.slot_expert[0] = 77;
  expect_refused("expert 77", [&] { write_placement(dir.at("p.json"), broken, false); });
  auto odd = example();
  odd.trace_source = "latin1 \xe9";
  EXPECT_NO_THROW(write_placement(dir.at("p.json"), odd, false));
  EXPECT_NO_THROW((void)read_placement(dir.at("p.json")));
}

TEST(PlacementFile, RefusesForeignAndBrokenFiles) {
  const std::string good =
      R"({"schema":"gembench-placement","schema_version":"1.0.0","layers":1,"ranks":2,"slots":1,)"
      R"("experts":2,"slot_expert":[[[1],[0]]]})";
  TempDir dir;
  EXPECT_EQ(read_placement(dir.write("p.json", good)).placement.slot_expert,
            (std::vector<std::int32_t>{1, 0}));
  const auto with = [&](const std::string& from, const std::string& to) {
    auto text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  struct Case {
    std::string text;
    const char* part;
  };
  const Case cases[] = {
      {"", "no JSON from byte"},
      {"{}", "schema"},
      {"[1,2]", "schema"},
      {"null", "schema"},
      {R"({"schema":7})", "'schema' is no text"},
      {R"({"physical_to_logical_map":[[0,1]]})", "schema"},
      {good.substr(0, good.size() / 2), "no JSON from byte"},
      {good + "x", "no JSON from byte"},
      {with("1.0.0", "2.0.0"), "schema version is '2.0.0', this program reads 1.x"},
      {with("1.0.0", "10.0.0"), "schema version is '10.0.0'"},
      {with("\"layers\":1,", ""), "'layers' is missing"},
      {with("\"layers\":1", "\"layers\":\"1\""), "'layers' is no whole number"},
      {with("\"layers\":1", "\"layers\":1.5"), "'layers' is no whole number"},
      {with("\"layers\":1", "\"layers\":99999999999"), "'layers' is no whole number"},
      {with("\"layers\":1", "\"layers\":-99999999999"), "'layers' is no whole number"},
      {with("\"layers\":1", "\"layers\":1e999"), "out_of_range"},
      {with("\"layers\":1", "\"layers\":2000000000"), "'slot_expert' is no list of 2000000000"},
      {with("\"layers\":1", "\"layers\":-1"), "'slot_expert' is no list of -1"},
      {with("\"ranks\":2", "\"ranks\":3"), "'slot_expert[0]' is no list of 3"},
      {with("\"slots\":1", "\"slots\":2"), "'slot_expert[0][0]' is no list of 2"},
      {with("\"experts\":2", "\"experts\":2147483647"), "2147483647 experts but only"},
      {with("\"experts\":2", "\"experts\":1"), "expert 1 does not exist"},
      {with("[1],[0]", "[1],[1]"), "layer 0: expert 0 is on no rank"},
      {with("[1],[0]", "[1],[null]"), "'slot_expert[0][1]' is no whole number"},
      {with("[1],[0]", "[1],{\"a\":0}"), "'slot_expert[0][1]' is no list of 1"},
      {with("\"experts\":2", "\"experts\":2,\"seed\":-1"), "'seed'"},
      {with("\"experts\":2", "\"experts\":2,\"predicted_step\":-1"), "'predicted_step'"},
      {with("\"experts\":2", "\"experts\":2,\"bound_step\":\"x\""), "'bound_step'"},
      {with("\"experts\":2", "\"experts\":2,\"model\":[]"), "'model' is no text"},
      {with("\"experts\":2", "\"experts\":2,\"layer_ids\":[0,1]"), "layer_ids"},
      {with("\"experts\":2", "\"experts\":2,\"layer_ids\":[1e9]"), "'layer_ids'"},
      {with("\"experts\":2", "\"experts\":2,\"model_layers\":-1"), "a model of -1 layers"},
      {with("\"experts\":2", "\"experts\":2,\"experts\":2"), "'experts' stands there twice"},
      {std::string(1000000, '['), "nested too deeply"},
      {std::string("\x89HDF\r\n\x1a\n\0", 9), "no JSON from byte"},
  };
  for (const auto& [text, part] : cases) {
    SCOPED_TRACE(text.substr(0, 200));
    const auto path = dir.write("p.json", text);
    expect_refused(part, [&] { (void)read_placement(path); });
    expect_refused("p.json is no placement", [&] { (void)read_placement(path); });
  }
  std::filesystem::resize_file(dir.at("p.json"), (std::uintmax_t{256} << 20) + 1);
  expect_refused("bytes, more than", [&] { (void)read_placement(dir.at("p.json")); });
  expect_refused("does not exist", [&] { (void)read_placement(dir.at("q.json")); });
}

TEST(PlacementFile, SurvivesRandomDamage) {
  TempDir dir;
  write_placement(dir.at("good.json"), example(), false);
  const auto good = slurp(dir.at("good.json"));
  Random random(9);
  for (int i = 0; i < 1000; ++i) {
    auto text = good;
    for (auto n = 1 + random.below(4); n > 0; --n)
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    if (random.below(3) == 0) text.resize(random.below(text.size()));
    const auto path = dir.write("p.json", text);
    try {
      validate(read_placement(path).placement);
    } catch (const Error&) {  // anything else fails the test
    }
  }
}

}  // namespace
}  // namespace gembench
