#pragma once

#include <string>
#include <vector>

namespace gembench::inline cli {

// The tables of commands and options as plain values, for what is written about them: the manual
// page and the shells' completions.

struct OptionRow {
  std::string group;    ///< title that it stands under
  std::string name;     ///< "output"
  char letter = 0;      ///< 'o' of -o; 0: it has none
  std::string value;    ///< "FILE"; empty: it is a switch
  std::string initial;  ///< its default, as help shows it
  std::string help;
  std::vector<std::string> words;  ///< values it is known to take; there may be others
  bool only_words = false;         ///< there are no others
  bool list = false;               ///< several, separated by commas

  [[nodiscard]] bool takes_file() const {
    return value.find("FILE") != std::string::npos || value == "SOURCE";
  }
};

struct CommandPage {
  std::string name;
  std::string usage;               ///< "compare FILE... [options]"
  std::string summary;             ///< a line
  std::vector<std::string> words;  ///< what may follow it; none: files, or nothing
  std::vector<OptionRow> options;  ///< in the order of help, groups together

  [[nodiscard]] bool takes_files() const {
    return usage.find("FILE") != std::string::npos || usage.find(".json") != std::string::npos;
  }
};

}  // namespace gembench::inline cli
