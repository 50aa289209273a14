#include "harness/cli/option_set.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/cli/option_values.hpp"
#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"

namespace po = boost::program_options;

namespace gembench::inline cli {
namespace {

/// "warmup" of "warmup,w"
std::string bare(const std::string& name) {
  return name.substr(0, name.find(','));
}

/// The numbers of a value: of a list all, of a word or nothing none.
std::vector<double> numbers_in(const Option::Json& value) {
  if (value.is_number()) return {value.get<double>()};
  std::vector<double> all;
  if (!value.is_array()) return all;
  for (const auto& one : value) all.push_back(one.get<double>());
  return all;
}

}  // namespace

Option::Option(const OptionSet& set, std::string name, bool shapes_result,
               std::function<Json()> value)
    : set_(&set),
      name_(std::move(name)),
      shapes_result_(shapes_result),
      value_(std::move(value)),
      default_(value_()) {}

Option& Option::range(double least, double most) {
  values_.emplace_back([this, least, most] {
    for (const double value : numbers_in(value_())) {
      if (std::isfinite(value) && value >= least && value <= most) continue;
      throw usage_error(
          fmt::format("--{} {:g} must lie between {:g} and {:g}", name_, value, least, most));
    }
  });
  return *this;
}

Option& Option::one_of(const std::vector<std::string>& known) {
  values_.emplace_back([this, known] {
    const Json given = value_();
    const std::string value = given.is_string() ? given.get<std::string>() : "";
    if (std::ranges::find(known, value) != known.end()) return;
    throw usage_error(fmt::format("--{} '{}' is unknown{}: choose one of {}", name_, value,
                                  did_you_mean(value, known), fmt::join(known, ", ")));
  });
  only_words_ = true;
  return offers(known);
}

Option& Option::offers(std::vector<std::string> words) {
  if (text_) corrections_.emplace_back([this, words] { *text_ = as_known(*text_, words); });
  words_ = std::move(words);
  return *this;
}

void Option::describe(OptionRow& row) const {
  row.words = words_;
  row.only_words = only_words_;
  row.list = default_.is_array();
}

Option& Option::formerly(std::string& value, const char* before, const char* now) {
  corrections_.emplace_back([&value, before, now] {
    if (value == before) value = now;
  });
  return *this;
}

Option& Option::correct(std::function<void()> correct) {
  corrections_.push_back(std::move(correct));
  return *this;
}

Option& Option::excludes(const char* other, const char* sentence) {
  return refused_if([this, other] { return set_->given(other); }, sentence);
}

Option& Option::needs(const char* other, const char* sentence) {
  return refused_if([this, other] { return !set_->given(other); }, sentence);
}

Option& Option::refused_if(std::function<bool()> wrong, const char* sentence) {
  refusals_.push_back({std::move(wrong), sentence});
  return *this;
}

Option& Option::stated(bool& flag) {
  stated_ = &flag;
  return *this;
}

void Option::require_value() const {
  for (const auto& require : values_) require();
}

void Option::require_place() const {
  if (refusals_.empty() || !given()) return;
  for (const Refusal& refusal : refusals_) {
    if (refusal.wrong()) throw usage_error(refusal.sentence);
  }
}

void Option::note(const po::variables_map& values) const {
  for (const auto& correct : corrections_) correct();
  if (stated_) *stated_ = values.count(name_) != 0 && !values[name_].defaulted();
}

void OptionSet::group(const std::string& title, bool shape_result) {
  groups_.emplace_back(title);
  titles_.push_back(title);
  shape_result_ = shape_result;
}

Option& OptionSet::add(const char* name, std::function<Json()> value) {
  return options_.emplace_back(*this, bare(name), shape_result_, std::move(value));
}

Option& OptionSet::text(const char* name, std::string& to, const char* value,
                        const std::string& help) {
  auto* semantic = po::value(&to)->value_name(value);
  if (!to.empty()) semantic->default_value(to);
  groups_.back().add_options()(name, semantic, help.c_str());
  Option& option = add(name, [&to] { return to.empty() ? Json() : Json(to); });
  option.text_ = &to;
  return option;
}

Option& OptionSet::names(const char* name, std::vector<std::string>& to, const char* value,
                         const char* help) {
  return call(
      name, value, help, [&to](const std::string& v) { to = split_list(v); },
      [&to] { return Json(to); }, fmt::format("{}", fmt::join(to, ",")));
}

Option& OptionSet::real(const char* name, double& to, const char* value, const std::string& help) {
  // Text that is read back as the same number; help shows fewer digits.
  auto* semantic = po::value<std::string>()->value_name(value)->default_value(
      fmt::format("{}", to), fmt::format("{:g}", to));
  semantic->notifier(
      [&to, name, value](const std::string& text) { to = parse_real(bare(name), value, text); });
  groups_.back().add_options()(name, semantic, help.c_str());
  return add(name, [&to] { return Json(to); });
}

Option& OptionSet::count(const char* name, std::optional<int>& to, const char* help) {
  return call(
      name, "N", help, [&to, name](const std::string& v) { to = count_in(name, v); },
      [&to] { return to ? Json(*to) : Json(); });
}

Option& OptionSet::amount(const char* name, std::optional<double>& to, const char* value,
                          const char* help) {
  groups_.back().add_options()(name,
                               po::value<std::string>()->value_name(value)->notifier(
                                   [&to, name, value](const std::string& text) {
                                     to = parse_real(bare(name), value, text);
                                   }),
                               help);
  return add(name, [&to] { return to ? Json(*to) : Json(); });
}

Option& OptionSet::flag(const char* name, bool& to, const char* help) {
  groups_.back().add_options()(name, po::bool_switch(&to), help);
  return add(name, [&to] { return Json(to); });
}

Option& OptionSet::seed(std::uint64_t& to, const std::string& help) {
  groups_.back().add_options()("seed", po::value(&to)->value_name("N")->default_value(to),
                               help.c_str());
  return add("seed", [&to] { return Json(to); });
}

Option& OptionSet::call(const char* name, const char* value, const std::string& help,
                        const std::function<void(const std::string&)>& set,
                        const std::function<Json()>& get, const std::string& initial) {
  auto* semantic = po::value<std::string>()->value_name(value)->notifier(set);
  if (!initial.empty()) semantic->default_value(initial);
  groups_.back().add_options()(name, semantic, help.c_str());
  return add(name, get);
}

void OptionSet::refuse_if(std::function<bool()> wrong, const char* sentence) {
  needs_.push_back({std::move(wrong), sentence});
}

void OptionSet::only(std::function<bool()> here, std::string_view options, const char* sentence) {
  only_.push_back({std::move(here), options, sentence});
}

po::options_description OptionSet::description() const {
  po::options_description all(100, 60);  // the help stays within 100 columns
  for (const auto& group : groups_) all.add(group);
  return all;
}

std::vector<OptionRow> OptionSet::rows() const {
  using style = po::command_line_style::style_t;
  std::vector<OptionRow> rows;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    for (const auto& described : groups_[i].options()) {
      OptionRow row;
      row.group = titles_[i];
      row.name = described->long_name();
      const std::string letter = described->canonical_display_name(style::allow_dash_for_short);
      if (letter.starts_with('-')) row.letter = letter[1];
      // "F (=1)": the library joins a value's name and its default.
      const std::string shown = described->format_parameter();
      const auto at = shown.find(" (=");
      row.value = shown.substr(0, at);
      if (at != std::string::npos) row.initial = shown.substr(at + 3, shown.size() - at - 4);
      row.help = described->description();
      const auto option = std::ranges::find(options_, row.name, &Option::name);
      if (option != options_.end()) option->describe(row);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

bool OptionSet::given(std::string_view name) const {
  const auto found = std::ranges::find(options_, name, &Option::name);
  return found != options_.end() && found->given();
}

void OptionSet::require(bool only_printed) const {
  for (const Option& option : options_) option.require_value();
  for (const Need& need : needs_) {
    if (!only_printed && need.wrong()) throw usage_error(need.sentence);
  }
  for (const Option& option : options_) option.require_place();
  for (const Only& only : only_) {
    if (!only.here()) continue;
    for (const Option& option : options_) {
      const bool taken =
          fmt::format(" {} ", only.options).find(fmt::format(" {} ", option.name())) !=
          std::string::npos;
      if (!taken && option.given()) {
        throw usage_error(fmt::format(fmt::runtime(only.sentence), option.name()));
      }
    }
  }
  for (const auto& rule : rules_) rule();
}

int OptionSet::count_in(const char* name, const std::string& text) {
  return parse_count(bare(name), text);
}

}  // namespace gembench::inline cli
