#pragma once

#include <boost/program_options.hpp>
#include <concepts>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/cli/command_page.hpp"

namespace gembench::inline cli {

class OptionSet;

/// An option that writes into a variable, which also holds its default, with the values that it
/// rejects. It counts as given once its value differs from the default, since a configuration
/// states defaults too.
class Option {
 public:
  using Json = nlohmann::ordered_json;

  Option(const OptionSet& set, std::string name, bool shapes_result, std::function<Json()> value);

  /// Rejects numbers outside of the range; in lists, any number outside.
  Option& range(double least, double most);
  /// One of these, in any case.
  Option& one_of(const std::vector<std::string>& known);
  /// Words that completions offer, in any case; other words are accepted too.
  Option& offers(std::vector<std::string> words);
  /// A value's name in older versions: note() replaces it by the current name.
  Option& formerly(std::string& value, const char* before, const char* now);
  /// Corrects the value as it was typed, before anything reads it.
  Option& correct(std::function<void()> correct);
  /// Rejected together with another option, without another option, or if `wrong` is true; in the
  /// order of the calls.
  Option& excludes(const char* other, const char* sentence);
  Option& needs(const char* other, const char* sentence);
  Option& refused_if(std::function<bool()> wrong, const char* sentence);
  /// Set if the user states the option, even with its default value.
  Option& stated(bool& flag);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool shapes_result() const { return shapes_result_; }
  [[nodiscard]] Json value() const { return value_(); }
  [[nodiscard]] bool given() const { return value_() != default_; }
  /// Adds what this knows of its words to a row.
  void describe(OptionRow& row) const;
  void require_value() const;
  void require_place() const;
  void note(const boost::program_options::variables_map& values) const;

 private:
  struct Refusal {
    std::function<bool()> wrong;
    const char* sentence;
  };
  const OptionSet* set_;
  std::string name_;
  bool shapes_result_;
  std::function<Json()> value_;
  Json default_;
  std::vector<std::string> words_;
  bool only_words_ = false;
  std::vector<std::function<void()>> corrections_;
  std::vector<std::function<void()>> values_;
  std::vector<Refusal> refusals_;
  bool* stated_ = nullptr;
  std::string* text_ = nullptr;  // of an option that is a text
  friend class OptionSet;
};

/// The options of a command in the groups that its help shows. Knows no command. Help texts name
/// the kind of a value: "FILE", "S". The variables of the options must outlive the set.
class OptionSet {
 public:
  using Json = Option::Json;

  OptionSet() = default;
  OptionSet(const OptionSet&) = delete;  // options point here
  OptionSet& operator=(const OptionSet&) = delete;

  /// The options added next appear under this title; the flag says whether they affect a result,
  /// see to_json().
  void group(const std::string& title, bool shape_result = true);
  void shape_result(bool yes) { shape_result_ = yes; }

  Option& text(const char* name, std::string& to, const char* value, const std::string& help);
  /// Separated by commas.
  Option& names(const char* name, std::vector<std::string>& to, const char* value,
                const char* help);
  Option& real(const char* name, double& to, const char* value, const std::string& help);
  /// A whole number, as parse_count() takes it.
  template <std::integral Number>
  Option& number(const char* name, Number& to, const std::string& help) {
    return call(
        name, "N", help, [&to, name](const std::string& v) { to = count_in(name, v); },
        [&to] { return Json(to); }, std::to_string(to));
  }
  /// One that may be left out.
  Option& count(const char* name, std::optional<int>& to, const char* help);
  Option& amount(const char* name, std::optional<double>& to, const char* value, const char* help);
  Option& flag(const char* name, bool& to, const char* help);
  Option& seed(std::uint64_t& to, const std::string& help);
  /// Any other: `set` takes its text, `get` gives the value that is stored.
  Option& call(const char* name, const char* value, const std::string& help,
               const std::function<void(const std::string&)>& set, const std::function<Json()>& get,
               const std::string& initial = "");
  /// Options of the command line itself, not of the command: --config, --help.
  boost::program_options::options_description& about_the_line() { return groups_.back(); }

  /// Rejected if `wrong`, for any options: requirements of a command.
  void refuse_if(std::function<bool()> wrong, const char* sentence);
  /// If `here`, allows only these options; `sentence` has a placeholder for the name of another.
  void only(std::function<bool()> here, std::string_view options, const char* sentence);
  /// A check of several options, run last; throws the error.
  void rule(std::function<void()> require) { rules_.push_back(std::move(require)); }

  [[nodiscard]] boost::program_options::options_description description() const;
  [[nodiscard]] const std::deque<Option>& options() const { return options_; }
  /// All of them in the order of description(), those about the line too.
  [[nodiscard]] std::vector<OptionRow> rows() const;
  [[nodiscard]] bool given(std::string_view name) const;
  /// Usage error for the first rejected value or option and, unless the options are only printed,
  /// for missing options.
  void require(bool only_printed) const;

 private:
  static int count_in(const char* name, const std::string& text);
  Option& add(const char* name, std::function<Json()> value);

  struct Need {
    std::function<bool()> wrong;
    const char* sentence;
  };
  struct Only {
    std::function<bool()> here;
    std::string_view options;
    const char* sentence;
  };
  bool shape_result_ = true;
  std::deque<boost::program_options::options_description> groups_;
  std::vector<std::string> titles_;  ///< of the groups
  std::deque<Option> options_;
  std::vector<Need> needs_;
  std::vector<Only> only_;
  std::vector<std::function<void()>> rules_;
};

}  // namespace gembench::inline cli
