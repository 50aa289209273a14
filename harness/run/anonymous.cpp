#include "harness/run/anonymous.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "harness/run/kept_environment.hpp"
#include "harness/run/labels.hpp"
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

/// Replaces `name` wherever `fits(before, after)`, the texts around it.
template <class Fits>
std::string replaced(std::string_view text, std::string_view name, std::string_view by,
                     const Fits& fits) {
  std::string result;
  std::size_t done = 0;
  while (!name.empty()) {
    const auto at = text.find(name, done);
    if (at == std::string_view::npos) break;
    result += text.substr(done, at - done);
    done = at + name.size();
    result += fits(text.substr(0, at), text.substr(done)) ? by : name;
  }
  return result.append(text.substr(done));
}

/// Whether a path, or a word, may begin after this text.
bool ends_before_word(std::string_view text) {
  return text.empty() || (!in_word(text.back()) && text.back() != '/' && text.back() != '.');
}

/// The same, or it is glued to a short option: -o/home/alice.
bool ends_before_path(std::string_view text) {
  const auto size = text.size();
  const bool option =
      size >= 2 && text[size - 2] == '-' && std::isalpha(static_cast<unsigned char>(text.back()));
  return ends_before_word(option ? text.substr(0, size - 2) : text);
}

/// Whether the name before this text ends there.
bool begins_after_name(std::string_view text) {
  return text.empty() || (!in_word(text.front()) && text.front() != '.');
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
  using Text = std::string_view;
  std::string result = replaced(text, identity.home, "~", [](Text before, Text after) {
    return ends_before_path(before) && begins_after_name(after);
  });
  result = replaced(result, identity.user, "user", [](Text before, Text after) {
    return (before.ends_with('/') && begins_after_name(after)) ||
           (ends_before_path(before) && after.starts_with('/'));
  });
  for (std::size_t i = 0; i < identity.hosts.size(); ++i) {
    const std::string name = fmt::format("host{}", i);
    const std::string_view whole = identity.hosts[i];
    const auto alone = [](Text before, Text after) {
      const bool begins = before.ends_with('/') || ends_before_word(before);
      return begins && (after.empty() || !in_word(after.front()));
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
  info.labels = labels_of(info.placements);  // two may have become the same
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
