#include "results/run_summary.hpp"

#include <fmt/format.h>

#include <numeric>
#include <span>
#include <type_traits>

#include "results/hdf5/output_file.hpp"
#include "results/run_file.hpp"
#include "results/run_schema.hpp"
#include "results/whole_arrays.hpp"

namespace gembench::inline results {
namespace {

using h5::Extents;
using h5::File;
using h5::Type;
using h5::Variable;

constexpr Variable kAgainst = schema::complete("summary/against", Type::text, {"against"}, "",
                                               "label of the placement compared with");
constexpr Variable kLastShare =
    schema::unmeasured("summary/last_share", Type::float64, {"placement", "rank"}, "1",
                       "share of (step, layer) in which the rank arrives last");

constexpr Variable of_placements(std::string_view path, std::string_view unit,
                                 std::string_view meaning) {
  return schema::unmeasured(path, Type::float64, {"placement"}, unit, meaning);
}
constexpr Variable against(std::string_view path, std::string_view meaning) {
  return schema::unmeasured(path, Type::float64, {"against", "placement"}, "1", meaning);
}
struct DifferenceRow {
  Variable stored;
  double StoredDifference::*member = nullptr;
};
constexpr std::array kDifferences{
    DifferenceRow{against("summary/difference",
                          "step time against another placement's, of a "
                          "typical block of steps"),
                  &StoredDifference::typical},
    DifferenceRow{against("summary/difference_low", "lower end of its 95 % interval"),
                  &StoredDifference::low},
    DifferenceRow{against("summary/difference_high", "upper end of its 95 % interval"),
                  &StoredDifference::high},
    DifferenceRow{against("summary/difference_mean", "the same of the means"),
                  &StoredDifference::mean},
    DifferenceRow{against("summary/difference_blocks", "blocks of steps that were compared"),
                  &StoredDifference::blocks}};

/// visit(variable, values) for every array over placements. `steps` is the last: it marks the
/// summary as complete.
template <class Summary, class Visit>
void each_quantity(Summary& summary, const Visit& visit) {
  for (std::size_t i = kSummaries.size(); i-- > 0;) {
    const Summarised& row = kSummaries[i];
    const std::string path = fmt::format("summary/{}", row.key);
    if (row.kind == NumberKind::known) {
      const std::string low = path + "_low", high = path + "_high";
      visit(of_placements(low, row.unit, "lower end of its 95 % interval"), summary.low[i]);
      visit(of_placements(high, row.unit, "upper end of its 95 % interval"), summary.high[i]);
    }
    visit(of_placements(path, row.unit, row.meaning), summary.values[i]);
  }
}

/// Attributes of the group.
constexpr std::array<std::pair<std::string_view, double RunSummary::*>, 2> kOfTheRun{
    {{"run_energy_per_token", &RunSummary::run_energy_per_token},
     {"run_energy_per_assignment", &RunSummary::run_energy_per_assignment}}};

}  // namespace

void add_summary(File& file, const std::vector<std::string>& labels, std::uint64_t ranks) {
  const std::uint64_t placements = labels.size();
  file.make_group("summary");
  file.make_scale(kAgainst, placements);
  file.write(kAgainst, labels);
  file.make(kLastShare, {placements, ranks});
  for (const DifferenceRow& row : kDifferences) file.make(row.stored, {placements, placements});
  for (const auto& [name, member] : kOfTheRun) file.set("summary", name, NAN);
  const RunSummary none;
  each_quantity(none,
                [&](const Variable& variable, const auto&) { file.make(variable, {placements}); });
  // How people are shown it.
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    const Summarised& row = kSummaries[i];
    if (row.column.table != Column::Table::rates) continue;
    const std::string path = fmt::format("summary/{}", row.key);
    const Column& column = row.column;
    file.set(path, "heading",
             fmt::format("{}{}{}", column.over, column.over.empty() ? "" : " ", column.heading));
    file.set(path, "factor", column.factor);
    file.set(path, "digits", std::int64_t{column.digits});
    file.set(path, "column", static_cast<std::int64_t>(i));
  }
}

void put_summary(File& file, const RunSummary& summary) {
  file.write(kLastShare, std::span<const double>(summary.last_share));
  for (const auto& [name, member] : kOfTheRun) file.set("summary", name, summary.*member);
  for (const DifferenceRow& row : kDifferences) {
    std::vector<double> values;
    for (const StoredDifference& one : summary.differences) values.push_back(one.*row.member);
    file.write(row.stored, std::span<const double>(values));
  }
  each_quantity(summary, [&](const Variable& variable, const std::vector<double>& values) {
    if (variable.name == "summary/steps") file.flush();
    file.write(variable, std::span<const double>(values));
  });
  file.flush();
}

std::optional<RunSummary> read_summary(const File& file, std::uint64_t placements,
                                       std::uint64_t ranks) {
  if (!file.has("summary")) return std::nullopt;
  RunSummary summary;
  summary.last_share = file.read<double>(kLastShare, {placements, ranks});
  for (const DifferenceRow& row : kDifferences) {
    const auto values = file.read<double>(row.stored, {placements, placements});
    summary.differences.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) summary.differences[i].*row.member = values[i];
  }
  for (const auto& name : file.attributes("summary")) {  // since 2.10.0
    for (const auto& [known, member] : kOfTheRun) {
      if (name == known) summary.*member = file.get<double>("summary", name);
    }
  }
  each_quantity(summary, [&](const Variable& variable, std::vector<double>& values) {
    values.assign(placements, NAN);  // a number that came with a later minor version
    if (file.has(variable.name)) values = file.read<double>(variable, {placements});
  });
  if (std::isnan(summary.values.front().front())) return std::nullopt;
  return summary;
}

void write_summary(const std::filesystem::path& path, const std::vector<std::string>& labels,
                   std::uint64_t ranks, const RunSummary& summary) {
  OutputFile output(OutputOwner(path), OutputFile::Existing::refuse, OutputFile::Partial::discard);
  File& file = output.file();
  file.set("/", "schema", std::string(kSummarySchema));
  file.set("/", "schema_version", std::string(kRunSchemaVersion));
  file.make_scale(schema::kPlacement, labels.size());
  file.write(schema::kPlacement, labels);
  add_index(file, schema::kRank, ranks);
  add_summary(file, labels, ranks);
  put_summary(file, summary);
  output.commit();
}

}  // namespace gembench::inline results
