#include "harness/cli/manual.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gembench::inline cli {
namespace {

/// Text as roff takes it: a '-' that can be copied, no line that starts with a control character.
std::string roff(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '\\') {
      safe += "\\e";
    } else if (c == '-') {
      safe += "\\-";
    } else {
      safe += c;
    }
  }
  return safe.starts_with('.') || safe.starts_with('\'') ? "\\&" + safe : safe;
}

/// "--output FILE, -o FILE" in bold and italics.
std::string option_term(const OptionRow& option) {
  const std::string value =
      option.value.empty() ? "" : fmt::format(" \\fI{}\\fR", roff(option.value));
  std::string term = fmt::format("\\fB{}\\fR{}", roff("--" + option.name), value);
  if (option.letter != 0) {
    term += fmt::format(", \\fB{}\\fR{}", roff(fmt::format("-{}", option.letter)), value);
  }
  return term;
}

std::string option_text(const OptionRow& option) {
  std::string text = option.help;
  if (!option.initial.empty()) text += fmt::format(" (default: {})", option.initial);
  if (!option.words.empty()) {
    text += fmt::format(".{} {}",
                        option.only_words ? " One of" : " Known:", fmt::join(option.words, ", "));
  }
  return roff(text);
}

std::string command_section(const CommandPage& page) {
  std::string text =
      fmt::format(".SS \\fBgembench {}\\fR\n{}.\n", roff(page.usage), roff(page.summary));
  std::string group;
  for (const OptionRow& option : page.options) {
    if (option.group != group) {
      group = option.group;
      text += fmt::format(".P\n\\fI{}\\fR\n", roff(group));
    }
    text += fmt::format(".TP\n{}\n{}\n", option_term(option), option_text(option));
  }
  return text;
}

/// Terms and what they mean.
std::string list(const std::vector<std::pair<const char*, const char*>>& rows) {
  std::string text;
  for (const auto& [term, meaning] : rows) {
    text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(term), roff(meaning));
  }
  return text;
}

}  // namespace

std::string manual_page(const std::vector<CommandPage>& commands, const std::string& version) {
  std::string text = fmt::format(
      ".TH GEMBENCH 1 \"\" \"gembench {}\" \"User Commands\"\n"
      ".SH NAME\n"
      "gembench \\- time that MoE layers lose at their barriers, and expert placements\n"
      ".SH SYNOPSIS\n"
      ".B gembench\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n"
      ".SH DESCRIPTION\n"
      "Runs expert\\-parallel layers of Mixture\\-of\\-Experts models under several placements of "
      "their experts, side by side on MPI ranks, measures how long ranks wait for the slowest one, "
      "and says which placement is faster and how sure that is. It also plans placements without "
      "MPI, and reads and writes the formats of serving engines.\n"
      ".P\n"
      "\\fBrun\\fR and \\fBprofile\\fR are started by mpirun or srun; all other commands run "
      "alone. "
      "Scripts for both lie in \\fIshare/gembench/jobs\\fR below the prefix of the installation.\n"
      ".SH COMMANDS\n",
      roff(version));
  for (const CommandPage& page : commands) text += command_section(page);
  text += ".SH EXIT STATUS\nThe same on all ranks.\n";
  text += list({{"0", "all went well"},
                {"1", "the run failed, or an output was wrong"},
                {"2", "a mistake on the command line, in a configuration or an input file"},
                {"3", "the machine lacks something: a GPU, memory, a library"},
                {"4", "a result exists already or cannot be written"},
                {"5", "ended by --timeout or --hang-timeout"},
                {"6", "advise: not recommended"},
                {"7", "advise: insufficient evidence"}});
  text += ".SH ENVIRONMENT\n";
  text += list({{"GEMBENCH", "executable that the job scripts start instead of the installed one"},
                {"GEMBENCH_SITE", "file that the job scripts read instead of their site.sh"},
                {"GEMBENCH_PYTHON", "Python with h5py, h5netcdf and xarray for gembench-report"}});
  return text +
         ".SH EXAMPLES\n"
         "Compare placements on this machine, and read the result again:\n"
         ".P\n.nf\n"
         "mpirun \\-n 4 gembench run \\-\\-model qwen3\\-30b\\-a3b \\-\\-scale 8 \\-\\-layers 2 "
         "\\-o a.h5\n"
         "gembench compare a.h5 \\-\\-against eplb\n"
         ".fi\n.P\n"
         "Completions in this shell:\n"
         ".P\n.nf\n"
         "source <(gembench completion bash)\n"
         ".fi\n"
         ".SH SEE ALSO\n"
         ".BR mpirun (1),\n.BR srun (1)\n";
}

}  // namespace gembench::inline cli
