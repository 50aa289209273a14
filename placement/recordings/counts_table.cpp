#include "placement/recordings/counts_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/error.hpp"
#include "placement/base/plain_text.hpp"
#include "placement/encodings/table_reader.hpp"

namespace gembench::inline recordings {
namespace {

using Role = CountColumns::Role;

constexpr std::size_t kMaxLine = std::size_t{2} << 20;  // kMaxExperts counts of many digits
constexpr std::int64_t kMaxNumber = std::int64_t{1} << 53;
constexpr std::int64_t kMaxLayer = 1 << 20;
constexpr const char* kMustBe = "it must be step,layer,e0,e1,... or step,layer,expert,count";

struct Name {
  std::string_view name;
  Role role;
};
constexpr Name kNames[] = {{"", Role::index},
                           {"index", Role::index},
                           {"step", Role::step},
                           {"step_id", Role::step},
                           {"iteration", Role::step},
                           {"iter", Role::step},
                           {"pass", Role::step},
                           {"forward_pass_id", Role::step},
                           {"layer", Role::layer},
                           {"layer_id", Role::layer},
                           {"layer_idx", Role::layer},
                           {"layer_index", Role::layer},
                           {"rank", Role::rank},
                           {"rank_id", Role::rank},
                           {"ep_rank", Role::rank},
                           {"source", Role::rank},
                           {"gpu", Role::rank},
                           {"device", Role::rank},
                           {"expert", Role::expert},
                           {"expert_id", Role::expert},
                           {"expert_idx", Role::expert},
                           {"expert_index", Role::expert},
                           {"count", Role::count},
                           {"counts", Role::count},
                           {"tokens", Role::count},
                           {"token_count", Role::count},
                           {"num_tokens", Role::count},
                           {"load", Role::count},
                           {"activations", Role::count},
                           {"hits", Role::count}};

/// Without blanks and quotes around it.
std::string_view bare(std::string_view cell) {
  const auto trim = [&](std::string_view chars) {
    const auto first = cell.find_first_not_of(chars);
    if (first == std::string_view::npos) return std::string_view();
    return cell.substr(first, cell.find_last_not_of(chars) - first + 1);
  };
  cell = trim(" \t");
  if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"')
    cell = cell.substr(1, cell.size() - 2);
  return cell;
}

std::string_view take_cell(std::string_view& rest, bool& more, char separator) {
  const auto end = rest.find(separator);
  const auto cell = rest.substr(0, end);
  more = end != std::string_view::npos;
  rest.remove_prefix(more ? end + 1 : rest.size());
  return bare(cell);
}

/// The expert of a wide column: e7, expert_7, expert7, 7; -1 for other names.
int wide_expert(std::string_view name) {
  for (const std::string_view prefix : {"expert_", "expert", "e"})
    if (name.starts_with(prefix)) {
      name.remove_prefix(prefix.size());
      break;
    }
  int expert = -1;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), expert);
  return error == std::errc{} && stop == name.data() + name.size() ? expert : -1;
}

}  // namespace

bool CountColumns::has(Role role) const {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

std::string CountColumns::unused() const {
  std::string unused;
  for (std::size_t i = 0; i < roles.size(); ++i)
    if (roles[i] == Role::none) unused += fmt::format("{}{}", unused.empty() ? "" : ", ", names[i]);
  return unused;
}

std::optional<CountColumns> parse_count_header(std::string_view line, std::string& why) {
  CountColumns columns;
  columns.separator = separator_of(line);
  bool more = true;
  for (auto rest = line; more;) {
    const auto name = lower_case(take_cell(rest, more, columns.separator));
    const auto* known = std::find_if(std::begin(kNames), std::end(kNames),
                                     [&](const Name& one) { return one.name == name; });
    auto role = known != std::end(kNames)       ? known->role
                : name.starts_with("unnamed: ") ? Role::index
                                                : Role::none;
    if (role != Role::none && role != Role::index && columns.has(role)) role = Role::none;
    if (const int expert = role == Role::none ? wide_expert(name) : -1; expert >= 0) {
      if (expert != columns.experts) {
        why = fmt::format("the header says '{}' where 'e{}' belongs; {}", shown(name),
                          columns.experts, kMustBe);
        return std::nullopt;
      }
      role = Role::wide;
      if (++columns.experts > kMaxExperts) {
        why = fmt::format("more than {} experts", kMaxExperts);
        return std::nullopt;
      }
    }
    columns.roles.push_back(role);
    columns.names.push_back(shown(name));
    if (columns.roles.size() > static_cast<std::size_t>(kMaxExperts) + 64) {
      why = "too many columns";
      return std::nullopt;
    }
  }
  const bool is_long =
      columns.experts == 0 && columns.has(Role::expert) && columns.has(Role::count);
  if (columns.has(Role::layer) && (columns.experts > 0 || is_long)) return columns;
  why = fmt::format("the header says '{}' and names no {}; {}", shown(line.substr(0, 60)),
                    columns.has(Role::layer) ? "column of counts" : "layer", kMustBe);
  return std::nullopt;
}

CountsTable::CountsTable(const std::filesystem::path& path) : path_(path), in_(path) {
  number_ = 1;
  if (!in_.read_line(line_, kMaxLine))
    refuse("the file is empty; it needs step,layer,e0,e1,... or step,layer,expert,count");
  std::string why;
  auto found = parse_count_header(line_, why);
  if (!found) refuse(why);
  columns_ = std::move(*found);
}

void CountsTable::refuse(std::int64_t line, const std::string& why) const {
  throw usage_error(fmt::format("{}:{}: {}", path_.string(), line, why));
}

std::int64_t CountsTable::whole(std::string_view cell, std::size_t column,
                                std::int64_t most) const {
  std::int64_t value = 0;
  const auto* end = cell.data() + cell.size();
  auto [stop, error] = std::from_chars(cell.data(), end, value);
  // 7.0 is whole; 7,0 is, where commas do not separate.
  if (error == std::errc{} && stop != end &&
      (*stop == '.' || (*stop == ',' && columns_.separator != ','))) {
    const auto* decimals = stop + 1;
    stop = std::find_if(decimals, end, [](char c) { return c != '0'; });
    if (stop == end && end - decimals == 3)
      refuse(fmt::format("column {}: {} may be {} or thousands; write whole numbers",
                         columns_.names[column], shown(cell), value));
  }
  if (error == std::errc{} && stop == end && value >= 0 && value <= most) return value;
  const auto refuse_as = [&](const char* as, std::string_view text) {
    refuse(fmt::format("column {}: {} {}", columns_.names[column], text, as));
  };
  if (error == std::errc{} && stop == end && value < 0) refuse_as("is negative", shown(cell));
  if (error == std::errc::result_out_of_range || (error == std::errc{} && stop == end))
    refuse_as("is too large", shown(cell));
  refuse_as("is not a whole number", fmt::format("'{}'", shown(cell)));
  return 0;
}

bool CountsTable::next(CountRow& row, bool with_counts) {
  do {
    if (!in_.read_line(line_, kMaxLine)) return false;
    ++number_;
  } while (line_.find_first_not_of(" \t") == std::string::npos);
  row.line = number_;
  row.counts.clear();
  std::string_view rest = line_;
  bool more = true;
  for (std::size_t column = 0; column < columns_.roles.size(); ++column) {
    if (!more)
      refuse(fmt::format("{} cells where the header names {}; was it cut off?", column,
                         columns_.roles.size()));
    const auto cell = take_cell(rest, more, columns_.separator);
    switch (columns_.roles[column]) {
      case Role::step:
        row.step = whole(cell, column, kMaxNumber);
        break;
      case Role::layer:
        row.layer = static_cast<std::int32_t>(whole(cell, column, kMaxLayer));
        break;
      case Role::rank:
        row.rank = whole(cell, column, kMaxNumber);
        break;
      case Role::expert:
        if (columns_.experts == 0)
          row.expert = static_cast<std::int32_t>(whole(cell, column, kMaxExperts - 1));
        break;
      case Role::count:
        if (columns_.experts == 0 && with_counts)
          row.counts.push_back(whole(cell, column, kMaxNumber));
        break;
      case Role::wide:
        if (with_counts) row.counts.push_back(whole(cell, column, kMaxNumber));
        break;
      case Role::none:
      case Role::index:
        break;
    }
  }
  if (more) refuse(fmt::format("more cells than the {} the header names", columns_.roles.size()));
  return true;
}

}  // namespace gembench::inline recordings
