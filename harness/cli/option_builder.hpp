#pragma once

#include <boost/program_options.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/cli/option_groups.hpp"

namespace gembench::inline cli {

/// Adds options to a group, each with the Setting it stands for: a value that an option writes to
/// is also where its default comes from. `value` is what the help calls it.
class OptionBuilder {
 public:
  using Group = boost::program_options::options_description;
  using Json = nlohmann::ordered_json;

  explicit OptionBuilder(std::vector<Setting>& settings) : settings_(settings) {}

  void text(Group& group, const char* name, std::string& to, const char* value, const char* help);
  /// Separated by commas.
  void names(Group& group, const char* name, std::vector<std::string>& to, const char* help);
  void real(Group& group, const char* name, double& to, const char* value, const std::string& help);
  /// A whole number, as parse_count() takes it.
  void number(Group& group, const char* name, int& to, const std::string& help);
  void count(Group& group, const char* name, std::optional<int>& to, const char* help);
  /// A number that may be left out.
  void amount(Group& group, const char* name, std::optional<double>& to, const char* value,
              const char* help);
  void flag(Group& group, const char* name, bool& to, const char* help);
  /// Any other.
  void call(Group& group, const char* name, const char* value, const std::string& help,
            const std::function<void(const std::string&)>& set, const std::function<Json()>& get,
            const std::string& initial = "");
  void setting(const std::string& name, std::function<Json()> value);

 protected:
  bool shapes_result_ = true;  ///< of the settings that follow

 private:
  std::vector<Setting>& settings_;
};

/// trace import of recordings of tokens.
[[nodiscard]] OptionBuilder::Group token_recording_options(OptionBuilder& build, Options& options);

}  // namespace gembench::inline cli
