#include "placement/recordings/arrivals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#include "placement/base/error.hpp"
#include "placement/base/plain_text.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/encodings/json_lines.hpp"
#include "placement/encodings/table_reader.hpp"
#include "placement/recordings/recording.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::int64_t kMostTokens = 1 << 24;   // of one request
constexpr std::size_t kMostRequests = 1 << 24;  // 400 MB
constexpr std::size_t kMostLine = 1 << 20;      // its hashes of blocks are read over
constexpr std::int64_t kMostValues = 1 << 17;
constexpr double kMostSeconds = 3.2e9;  // a century: more has a wrong unit

/// Seconds of `2023-11-16 18:17:03.9799600`, with or without `T`, `Z` or `+00:00`.
double date_of(const TableReader& table, std::size_t column) {
  const std::string& text = table.cell(column);
  int year = 0, end = -1;
  unsigned month = 0, day = 0, hour = 0, minute = 0;
  double second = 0;
  const int found = std::sscanf(text.c_str(), "%4d-%2u-%2u%*1[ T]%2u:%2u:%20lf%n", &year, &month,
                                &day, &hour, &minute, &second, &end);
  const std::string rest = found == 6 && end > 0 ? text.substr(static_cast<std::size_t>(end)) : "?";
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  const bool zone_known = rest.empty() || rest == "Z" || rest == "+00:00";
  if (!zone_known || !date.ok() || hour > 23 || minute > 59 || !(second >= 0 && second < 61))
    table.refuse("the time is not like 2023-11-16 18:17:03.97996");
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + second;
}

void require_room(const std::vector<Arrival>& arrivals) {
  if (arrivals.size() == kMostRequests)
    throw usage_error(fmt::format("more than {} requests; cut the file", kMostRequests));
}

std::vector<Arrival> read_table(const std::filesystem::path& path) {
  TableReader table(path);
  const auto time = table.need_column({"TIMESTAMP", "timestamp_ms"});
  const auto prompt = table.need_column({"ContextTokens", "input_length", "Request tokens"});
  const auto generated = table.need_column({"GeneratedTokens", "output_length", "Response tokens"});
  const bool milliseconds = table.column({"timestamp_ms"}).has_value() ||
                            (table.column({"timestamp"}) && table.column({"input_length"}));
  std::vector<Arrival> arrivals;
  while (table.next()) {
    if (arrivals.size() == kMostRequests)
      table.refuse(fmt::format("more than {} requests; cut the file", kMostRequests));
    // Azure's are dates, which have dashes within.
    const bool date = table.column({"ContextTokens"}) || table.cell(time).find('-', 1) == 4;
    const double seconds = date           ? date_of(table, time)
                           : milliseconds ? table.real(time) / 1000
                                          : table.real(time);
    arrivals.push_back({seconds, static_cast<int>(table.number(prompt, kMostTokens)),
                        static_cast<int>(table.number(generated, kMostTokens))});
  }
  return arrivals;
}

/// Mooncake's JSON lines.
std::vector<Arrival> read_lines(const std::filesystem::path& path,
                                std::vector<std::string>* notes) {
  std::vector<Arrival> arrivals;
  JsonLines lines(path, kMostLine);
  const bool cut = lines.for_each([&](const std::string& text) {
    require_room(arrivals);
    const auto record = parse_bounded_json(text, kMostValues);
    const auto& time = field(record, "timestamp");
    if (!time.is_number() || !std::isfinite(time.get<double>()))
      throw usage_error("'timestamp' is no number of milliseconds");
    const auto tokens = [&](const char* name) {
      return static_cast<int>(
          whole_between(field(record, name), 0, kMostTokens, fmt::format("'{}'", name)));
    };
    const int prompt = tokens("input_length"), generated = tokens("output_length");
    arrivals.push_back({time.get<double>() / 1000, prompt, generated});
  });
  if (cut && notes)
    notes->push_back(fmt::format("left out the last line of {}, which was cut off", path.string()));
  return arrivals;
}

}  // namespace

std::vector<Arrival> read_arrivals(const std::filesystem::path& path,
                                   std::vector<std::string>* notes) {
  const auto start = first_bytes(path, 4096);
  const auto text = without_bom(start);
  const auto first = text.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string_view::npos && text[first] == '{';
  auto arrivals = is_json ? read_lines(path, notes) : read_table(path);
  if (arrivals.empty())
    throw usage_error(fmt::format("{} has no request; give some", path.string()));
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.seconds < b.seconds; });
  const double begin = arrivals.front().seconds;
  for (auto& arrival : arrivals) arrival.seconds -= begin;
  if (!(arrivals.back().seconds <= kMostSeconds))
    throw usage_error(fmt::format(
        "{}: the requests arrive over more than a century; check the times", path.string()));
  return arrivals;
}

}  // namespace gembench::inline recordings
