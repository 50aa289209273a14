#include "results/quantities.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "harness/report/columns.hpp"

namespace gembench {
namespace {

/// "float32", for people.
const char* name_of(h5::Type type) {
  switch (type) {
    case h5::Type::float32:
      return "float32";
    case h5::Type::float64:
      return "float64";
    case h5::Type::int32:
      return "int32";
    case h5::Type::int64:
      return "int64";
    default:
      return "?";
  }
}

/// SCHEMA.md's rows of what is measured.
std::string measured_rows() {
  std::string text = "| dataset | type | units | meaning |\n|---|---|---|---|\n";
  const auto add = [&](const auto& quantities) {
    for (const Measured& one : quantities) {
      text += fmt::format("| `{}` | {} | {} | {}{} |\n", one.stored.name, name_of(one.stored.type),
                          one.stored.units,
                          one.since.empty() ? "" : fmt::format("since {}: ", one.since),
                          one.stored.meaning);
    }
  };
  add(kTimes);
  add(kCounts);
  return text;
}

/// OUTPUT.md's rows of a placement's numbers.
std::string summary_rows() {
  std::string text = "| column | JSON, CSV | unit in table / data | meaning |\n|---|---|---|---|\n";
  for (const Summarised& one : kSummaries) {
    const Column& as = one.column;
    const bool shown = as.table != Column::Table::none;
    const std::string heading =
        shown ? fmt::format("{}{}{}", as.over, as.over.empty() ? "" : ", ", as.heading) : "-";
    const bool other_unit = shown && as.unit != one.unit;
    text += fmt::format("| {} | `{}`{} | {}{} | {} |\n", heading, one.key,
                        one.kind == NumberKind::known ? " (with interval)" : "",
                        other_unit ? fmt::format("{} / ", as.unit) : "", one.unit, one.meaning);
  }
  return text;
}

/// The lines between the mark and the next empty line are those of the table of quantities. With
/// GEMBENCH_WRITE_DOCS they are written, else compared.
void expect_section(const std::string& path, const std::string& rows) {
  const std::string mark = "<!-- made from results/quantities.hpp: build the target golden -->";
  const std::string file = std::string(GEMBENCH_SOURCE_DIR) + "/" + path;
  std::ostringstream content;
  content << std::ifstream(file).rdbuf();
  const std::string text = content.str();
  const std::size_t at = text.find(mark);
  ASSERT_NE(at, std::string::npos) << path << " has lost the line " << mark;
  const std::size_t first = at + mark.size() + 1;
  const std::size_t end = text.find("\n\n", first) + 1;
  if (std::getenv("GEMBENCH_WRITE_DOCS") != nullptr) {
    std::ofstream(file) << text.substr(0, first) << rows << text.substr(end);
    return;
  }
  std::istringstream have(text.substr(first, end - first)), want(rows);
  std::string a, b;
  for (int line = 1; line == 1 || have || want; ++line) {
    if (!std::getline(have, a)) a.clear();
    if (!std::getline(want, b)) b.clear();
    EXPECT_EQ(a, b) << path << ", line " << line << " of the table below '" << mark
                    << "': build the target golden, then read the diff";
    if (a != b) return;
  }
}

TEST(Quantities, have_keys_of_their_own_and_are_described) {
  std::set<std::string_view> keys;
  const auto described = [&](std::string_view key, std::string_view unit, std::string_view what) {
    EXPECT_TRUE(keys.insert(key).second) << key << " is there twice";
    EXPECT_FALSE(unit.empty()) << key;
    EXPECT_FALSE(what.empty()) << key;
    EXPECT_EQ(what.find_first_of("|\n"), std::string_view::npos) << key << " breaks the table";
  };
  const auto stored = [&](const auto& quantities) {
    for (const Measured& one : quantities) {
      described(one.stored.name, one.stored.units, one.stored.meaning);
    }
  };
  stored(kTimes);
  stored(kCounts);
  stored(kGpuTimes);
  keys.clear();  // a number of a placement may be called like what it is of
  for (const Summarised& one : kSummaries) {
    described(one.key, one.unit, one.meaning);
    if (one.kind != NumberKind::known) continue;
    for (const char* end : {"_low", "_high"}) {  // datasets and columns of CSV of these names
      const std::string name = std::string(one.key) + end;
      EXPECT_EQ(place_in(kSummaries, name), kSummaries.size()) << name;
    }
  }
}

TEST(Quantities, are_reduced_from_what_is_measured) {
  const auto measured = [](std::string_view key) {
    return place_in(kTimes, key) < kTimes.size() || place_in(kCounts, key) < kCounts.size();
  };
  for (const Summarised& one : kSummaries) {
    const Reduced& by = one.reduced;
    EXPECT_EQ(by.how == Reduced::How::apart, by.of.empty()) << one.key;
    EXPECT_EQ(by.how == Reduced::How::ratio, !by.by.empty()) << one.key;
    EXPECT_TRUE(by.of.empty() || measured(by.of)) << one.key << " is of unknown " << by.of;
    EXPECT_TRUE(by.by.empty() || measured(by.by)) << one.key << " is by unknown " << by.by;
  }
}

TEST(Quantities, stand_in_the_contracts_as_in_the_table) {
  expect_section("results/SCHEMA.md", measured_rows());
  expect_section("harness/OUTPUT.md", summary_rows());
}

TEST(TextTable, titles_stand_over_their_columns) {
  const std::vector<TextColumn> columns{{"two of them", "a", {"1", "22"}},
                                        {"two of them", "bb", {"333", "-"}},
                                        {"", "alone", {"4", "55555555"}},
                                        {"a wide title", "c", {"6", "7"}}};
  EXPECT_EQ(text_table("name", {"x", "a label of 16 c."}, columns),
            "#                    two of them             a wide title\n"
            "# name                   a     bb     alone             c\n"
            "  x                      1    333         4             6\n"
            "  a label of 16 c.      22      -  55555555             7\n");
}

TEST(TextTable, what_was_not_measured_is_a_dash) {
  EXPECT_EQ(shown(NAN, 2), "-");
  EXPECT_EQ(shown(0, 2), "0.00");
  EXPECT_EQ(shown(0.1234, in_percent("over")), "12.3");
}

}  // namespace
}  // namespace gembench
