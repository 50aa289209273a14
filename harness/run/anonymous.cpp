#include "harness/run/anonymous.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "harness/run/kept_environment.hpp"
#include "moe_layer/mpi/rank_place.hpp"

namespace gembench::inline run {
namespace {

/// Facts whose values name something: they become NAME0, NAME1, ...
constexpr std::array<std::array<std::string_view, 2>, 3> kNumbered{
    {{"host", "host"}, {"gpu_uuid", "gpu"}, {"device_id", "gpu"}}};

/// Part of a host's name or of a file's.
bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

/// Replaces `name` wherever `fits(before, after)`, the characters around it (0 at an end).
template <class Fits>
std::string replaced(std::string_view text, std::string_view name, std::string_view by,
                     const Fits& fits) {
  std::string result;
  while (!name.empty()) {
    const auto at = text.find(name);
    if (at == std::string_view::npos) break;
    const char before = at > 0 ? text[at - 1] : result.empty() ? '\0' : result.back();
    const auto end = at + name.size();
    result += text.substr(0, at);
    result += fits(before, end < text.size() ? text[end] : '\0') ? by : name;
    text.remove_prefix(end);
  }
  return result + std::string(text);
}

/// Values in the order in which they appear first.
std::vector<std::string> different(const std::vector<std::string>& values) {
  std::vector<std::string> found;
  for (const std::string& value : values) {
    if (std::ranges::find(found, value) == found.end()) found.push_back(value);
  }
  return found;
}

/// A CPU's device_id is a list of CPUs, and no name.
bool names_gpu(const std::string& value) {
  return value.find("GPU-") != std::string::npos || value.find("MIG-") != std::string::npos;
}

void number(std::vector<std::string>& values, std::string_view what) {
  std::vector<std::string> known;
  for (std::string& value : values) {
    if (value.empty() || (what == "gpu" && !names_gpu(value))) continue;
    const auto found = std::ranges::find(known, value);
    const auto place = found - known.begin();
    if (found == known.end()) known.push_back(value);
    value = fmt::format("{}{}", what, place);
  }
}

}  // namespace

Identity identity_of(const Comm& comm) {
  Identity identity;
  if (const char* home = std::getenv("HOME")) identity.home = home;
  while (identity.home.ends_with('/')) identity.home.pop_back();  // a home of / is none
  if (const passwd* entry = getpwuid(geteuid())) identity.user = entry->pw_name;
  if (identity.user.empty()) {
    if (const char* user = std::getenv("USER")) identity.user = user;
  }
  identity.hosts = different(comm.gather(place_of_this_rank().host));
  return identity;
}

std::string anonymous(std::string_view text, const Identity& identity) {
  std::string result = replaced(text, identity.home, "~", [](char before, char after) {
    return !in_word(before) && before != '/' && !in_word(after) && after != '.';
  });
  result = replaced(result, identity.user, "user", [](char before, char after) {
    return before == '/' && !in_word(after) && after != '.';
  });
  for (std::size_t i = 0; i < identity.hosts.size(); ++i) {
    const std::string name = fmt::format("host{}", i);
    const std::string_view whole = identity.hosts[i];
    const auto alone = [](char before, char after) {
      return !in_word(before) && !in_word(after) && before != '.';
    };
    result = replaced(result, whole, name, alone);
    result = replaced(result, whole.substr(0, whole.find('.')), name, alone);
  }
  return result;
}

void anonymise(std::map<std::string, std::vector<std::string>>& rank_facts,
               const Identity& identity) {
  std::size_t ranks = 0;
  for (auto& [name, values] : rank_facts) {
    ranks = values.size();
    const auto numbered =
        std::ranges::find(kNumbered, name, [](const auto& row) { return row[0]; });
    if (numbered != kNumbered.end()) {
      number(values, (*numbered)[1]);
    } else {
      for (std::string& value : values) value = anonymous(value, identity);
    }
  }
  rank_facts["anonymous"].assign(ranks, "yes");
}

void anonymise(RunInfo& info, const Identity& identity) {
  std::erase_if(info.facts, [](const auto& fact) {
    const auto& [name, value] = fact;
    return names_job(name) || (name.starts_with("env_") && names_gpu(value));
  });
  for (auto& [name, value] : info.facts) value = anonymous(value, identity);
  for (Placement& placement : info.placements) {
    placement.strategy = anonymous(placement.strategy, identity);
  }
  for (std::string& label : info.labels) label = anonymous(label, identity);
  for (std::string* text :
       {&info.config, &info.command_line, &info.profile.model, &info.profile.device}) {
    *text = anonymous(*text, identity);
  }
  anonymise(info.rank_facts, identity);
}

void anonymise(RunEnd& end, const Identity& identity) {
  for (std::string* text : {&end.check.message, &end.stopped}) *text = anonymous(*text, identity);
}

}  // namespace gembench::inline run
