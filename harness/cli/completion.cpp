#include "harness/cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace gembench::inline cli {
namespace {

using Pages = std::vector<CommandPage>;

/// Of a help text what fits in a list.
std::string first_words(const std::string& help) {
  constexpr std::size_t kShown = 70;
  return help.size() <= kShown ? help : help.substr(0, help.rfind(' ', kShown)) + " ...";
}

std::string escaped(const std::string& text, std::string_view special) {
  std::string safe;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) safe += '\\';
    safe += c;
  }
  return safe;
}

/// Within single quotes of bash and zsh.
std::string single_quoted(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '\'' ? "'\\''" : std::string(1, c);
  return fmt::format("'{}'", safe);
}

std::vector<std::string> names(const CommandPage& page) {
  std::vector<std::string> all;
  for (const OptionRow& option : page.options) {
    all.push_back("--" + option.name);
    if (option.letter != 0) all.push_back(fmt::format("-{}", option.letter));
  }
  return all;
}

std::vector<std::string> commands_of(const Pages& pages) {
  std::vector<std::string> all;
  for (const CommandPage& page : pages) all.push_back(page.name);
  return all;
}

// ---- bash

/// "--output | -o".
std::string bash_pattern(const OptionRow& option) {
  return option.letter == 0 ? "--" + option.name
                            : fmt::format("--{} | -{}", option.name, option.letter);
}

/// What follows an option: `values`, whether files do, whether commas separate several.
std::string bash_option(const OptionRow& option) {
  if (option.value.empty()) return "";
  std::string does;
  if (!option.words.empty()) does += fmt::format(" values='{}'", fmt::join(option.words, " "));
  if (option.takes_file()) does += " files=1";
  if (option.list) does += " list=1";
  return fmt::format("        {}) value=1{} ;;\n", bash_pattern(option), does);
}

std::string bash_command(const CommandPage& page) {
  std::string text =
      fmt::format("    {})\n      options='{}'\n      words='{}'\n      case $prev in\n", page.name,
                  fmt::join(names(page), " "), fmt::join(page.words, " "));
  for (const OptionRow& option : page.options) text += bash_option(option);
  return text +
         fmt::format("        *) files={} ;;\n      esac\n      ;;\n", page.takes_files() ? 1 : 0);
}

std::string bash_script(const Pages& pages) {
  std::string text =
      "# bash completion of gembench, as 'gembench completion bash' prints it.\n"
      "# shellcheck shell=bash\n\n"
      "_gembench() {\n"
      "  # Words are split at blanks alone: bash itself would also split at : and =.\n"
      "  local line=${COMP_LINE:0:COMP_POINT} all cur='' prev value=0 values='' files=0 list=0\n"
      "  local options='' words='' done='' whole i\n"
      "  read -ra all <<<\"$line\"\n"
      "  if [[ $line != *[[:space:]] ]]; then\n"
      "    cur=${all[-1]}\n"
      "    unset 'all[-1]'\n"
      "  fi\n"
      "  COMPREPLY=()\n"
      "  if ((${#all[@]} == 0)); then return; fi\n"
      "  prev=${all[-1]}\n"
      "  if [[ $cur == --*=* ]]; then prev=${cur%%=*} cur=${cur#*=}; fi\n"
      "  if ((${#all[@]} == 1)); then\n";
  text += fmt::format(
      "    mapfile -t COMPREPLY < <(compgen -W '{} --help --version' -- \"$cur\")\n    return\n"
      "  fi\n  case ${{all[1]}} in\n",
      fmt::join(commands_of(pages), " "));
  for (const CommandPage& page : pages) text += bash_command(page);
  return text +
         "    *) return ;;\n"
         "  esac\n"
         "  if ((!value)); then\n"
         "    if ((${#all[@]} == 2)); then values=$words; fi\n"
         "    if [[ $cur == -* ]]; then values=$options files=0; fi\n"
         "  fi\n"
         "  whole=$cur\n"
         "  if ((list)) && [[ $cur == *,* ]]; then done=${cur%,*}, cur=${cur##*,}; fi\n"
         "  if [[ -n $values ]]; then mapfile -t COMPREPLY < <(compgen -W \"$values\" -- "
         "\"$cur\"); fi\n"
         "  for i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=$done${COMPREPLY[i]}; done\n"
         "  if [[ $whole == *:* && ${COMP_WORDBREAKS:-} == *:* ]]; then  # it keeps what is "
         "before\n"
         "    COMPREPLY=(\"${COMPREPLY[@]#\"${whole%\"${whole##*:}\"}\"}\")\n"
         "  fi\n"
         "  if ((list)); then compopt -o nospace 2>/dev/null; fi\n"
         "  # With no words to offer readline offers files.\n"
         "  if ((!files)); then compopt +o default +o bashdefault 2>/dev/null; fi\n"
         "}\n"
         "complete -o default -F _gembench gembench\n";
}

// ---- zsh

/// What an option's value is completed with; ':' would end it.
std::string zsh_action(const OptionRow& option) {
  std::vector<std::string> words;
  for (const std::string& word : option.words) words.push_back(escaped(word, ":"));
  if (words.empty()) return option.takes_file() ? "_files" : "";
  if (option.list) return fmt::format("_sequence compadd - {}", fmt::join(words, " "));
  if (option.takes_file()) return fmt::format("{{compadd - {}; _files}}", fmt::join(words, " "));
  return fmt::format("({})", fmt::join(words, " "));
}

std::string zsh_option(const OptionRow& option) {
  std::string tail = fmt::format("[{}]", escaped(first_words(option.help), "\\[]:"));
  if (!option.value.empty()) {
    tail += fmt::format(":{}:{}", escaped(option.value, "\\:"), zsh_action(option));
  }
  const std::string name = fmt::format("--{}{}", option.name, option.value.empty() ? "" : "=");
  if (option.letter == 0) return fmt::format("        {}", single_quoted(name + tail));
  const std::string letter = fmt::format("-{}{}", option.letter, option.value.empty() ? "" : "+");
  return fmt::format("        '(--{} -{})'{{{},{}}}{}", option.name, option.letter, letter, name,
                     single_quoted(tail));
}

std::string zsh_command(const CommandPage& page) {
  std::string text = fmt::format("    {})\n      _arguments -S", page.name);
  for (const OptionRow& option : page.options) text += fmt::format(" \\\n{}", zsh_option(option));
  if (!page.words.empty()) {
    text += fmt::format(" \\\n        '1:what:({})'", fmt::join(page.words, " "));
  }
  if (page.takes_files()) text += " \\\n        '*:FILE:_files'";
  return text + "\n      ;;\n";
}

std::string zsh_script(const Pages& pages) {
  std::string text =
      "#compdef gembench\n"
      "# zsh completion of gembench, as 'gembench completion zsh' prints it.\n\n"
      "_gembench() {\n"
      "  local -a commands=(\n";
  for (const CommandPage& page : pages) {
    text += fmt::format("    {}\n", single_quoted(page.name + ":" + escaped(page.summary, "\\:")));
  }
  text +=
      "  )\n"
      "  if ((CURRENT == 2)); then\n"
      "    _describe command commands\n"
      "    _arguments '--help[this text]' '--version[versions]'\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  ((CURRENT -= 1))\n"
      "  case $command in\n";
  for (const CommandPage& page : pages) text += zsh_command(page);
  return text +
         "  esac\n"
         "}\n\n"
         "# Loaded by itself from fpath, or sourced.\n"
         "if [[ $funcstack[1] == _gembench ]]; then _gembench \"$@\"; else compdef _gembench "
         "gembench; fi\n";
}

// ---- fish

std::string fish_quoted(const std::string& text) {
  return fmt::format("'{}'", escaped(text, "\\'"));
}

std::string fish_option(const std::string& command, const OptionRow& option) {
  std::string text =
      fmt::format("complete -c gembench -n '__gembench_in {}' -l {}", command, option.name);
  if (option.letter != 0) text += fmt::format(" -s {}", option.letter);
  if (!option.value.empty()) {
    text += option.takes_file() ? " -r -F" : " -x";
    const std::string words = fmt::format("{}", fmt::join(option.words, " "));
    if (option.list && !words.empty()) {
      text += fmt::format(" -a '(__gembench_list {})'", words);
    } else if (!words.empty()) {
      text += fmt::format(" -a '{}'", words);
    }
  }
  return text + fmt::format(" -d {}\n", fish_quoted(first_words(option.help)));
}

std::string fish_script(const Pages& pages) {
  std::string text =
      "# fish completion of gembench, as 'gembench completion fish' prints it.\n\n"
      "function __gembench_in --description 'Is this the command that is typed?'\n"
      "    set -l words (commandline -opc)\n"
      "    test (count $words) -ge 2; and contains -- $words[2] $argv\n"
      "end\n"
      "function __gembench_first --description 'Is the command still to be typed?'\n"
      "    test (count (commandline -opc)) -eq 1\n"
      "end\n"
      "function __gembench_next --description 'Is the word after the command typed?'\n"
      "    test (count (commandline -opc)) -eq 2\n"
      "end\n"
      "function __gembench_list --description 'Words after what is typed up to the last comma'\n"
      "    set -l typed (string replace -r -- '^--[a-z-]+=' '' (commandline -ct))\n"
      "    set -l before (string match -r -- '^.*,' $typed)\n"
      "    for word in $argv\n"
      "        echo \"$before$word\"\n"
      "    end\n"
      "end\n\n"
      "complete -c gembench -f\n"
      "complete -c gembench -n __gembench_first -l help -d 'this text'\n"
      "complete -c gembench -n __gembench_first -l version -d 'versions'\n";
  for (const CommandPage& page : pages) {
    text += fmt::format("\ncomplete -c gembench -n __gembench_first -a {} -d {}\n", page.name,
                        fish_quoted(first_words(page.summary)));
    if (page.takes_files()) {
      text += fmt::format("complete -c gembench -n '__gembench_in {}' -F\n", page.name);
    }
    if (!page.words.empty()) {
      text +=
          fmt::format("complete -c gembench -n '__gembench_in {}; and __gembench_next' -a '{}'\n",
                      page.name, fmt::join(page.words, " "));
    }
    for (const OptionRow& option : page.options) text += fish_option(page.name, option);
  }
  return text;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<CommandPage>& commands) {
  if (shell == "zsh") return zsh_script(commands);
  return shell == "fish" ? fish_script(commands) : bash_script(commands);
}

}  // namespace gembench::inline cli
