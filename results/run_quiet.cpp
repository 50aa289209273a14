#include "results/run_quiet.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "results/run_schema.hpp"

namespace gembench::inline results {
namespace {

template <class Row>
void put(h5::File& file, const h5::Variable& variable, const std::vector<Row>& rows,
         double Row::*member) {
  std::vector<double> values;
  for (const Row& row : rows) values.push_back(row.*member);
  file.write(variable, std::span<const double>(values));
}

template <class Row>
void get(const h5::File& file, const h5::Variable& variable, std::vector<Row>& rows,
         double Row::*member) {
  const auto values = file.read<double>(variable, {rows.size()});
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].*member = values[i];
}

}  // namespace

void add_quiet(h5::File& file, std::uint64_t ranks) {
  file.make_group("quiet");
  for (const auto& number : schema::kQuietNumbers) {
    file.make(number.before, {ranks});
    file.make(number.after, {ranks});
  }
  for (const auto& use : schema::kQuietUses) file.make(use.variable, {ranks});
  for (const auto& skew : schema::kQuietSkews) {
    file.set("quiet", skew.before, NAN);
    file.set("quiet", skew.after, NAN);
  }
}

void put_quiet(h5::File& file, const QuietState& state, bool after) {
  for (const auto& number : schema::kQuietNumbers) {
    put(file, after ? number.after : number.before, state.ranks, number.member);
  }
  for (const auto& skew : schema::kQuietSkews) {
    file.set("quiet", after ? skew.after : skew.before, state.*skew.member);
  }
}

void put_quiet(h5::File& file, const std::vector<QuietUse>& uses) {
  for (const auto& use : schema::kQuietUses) put(file, use.variable, uses, use.member);
}

QuietState read_quiet(const h5::File& file, std::uint64_t ranks, bool after) {
  QuietState state;
  if (!file.has("quiet")) return state;
  state.ranks.resize(ranks);
  for (const auto& number : schema::kQuietNumbers) {
    get(file, after ? number.after : number.before, state.ranks, number.member);
  }
  for (const auto& skew : schema::kQuietSkews) {
    state.*skew.member = file.get<double>("quiet", after ? skew.after : skew.before);
  }
  return state;
}

std::vector<QuietUse> read_quiet_uses(const h5::File& file, std::uint64_t ranks) {
  if (!file.has("quiet")) return {};
  std::vector<QuietUse> uses(ranks);
  for (const auto& use : schema::kQuietUses) get(file, use.variable, uses, use.member);
  return uses;
}

}  // namespace gembench::inline results
