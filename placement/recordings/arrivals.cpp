#include "placement/recordings/arrivals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#include "placement/encodings/table_reader.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::int64_t kMostTokens = 1 << 24;   // of one request
constexpr std::size_t kMostRequests = 1 << 24;  // 400 MB
constexpr double kMostSeconds = 3.2e9;          // a century: more has a wrong unit

/// Seconds of `2023-11-16 18:17:03.9799600`, with or without `T`, `Z` or `+00:00`.
double seconds_of(const TableReader& table, std::size_t column) {
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

}  // namespace

std::vector<Arrival> read_arrivals(const std::filesystem::path& path) {
  TableReader table(path);
  const auto date = table.column({"TIMESTAMP"});
  const auto time = date ? *date : table.need_column({"timestamp_ms", "TIMESTAMP"});
  const auto prompt = table.need_column({"ContextTokens", "input_length"});
  const auto generated = table.need_column({"GeneratedTokens", "output_length"});
  std::vector<Arrival> arrivals;
  while (table.next()) {
    if (arrivals.size() == kMostRequests)
      table.refuse(fmt::format("more than {} requests; cut the file", kMostRequests));
    arrivals.push_back({date ? seconds_of(table, time) : table.real(time) / 1000,
                        static_cast<int>(table.number(prompt, kMostTokens)),
                        static_cast<int>(table.number(generated, kMostTokens))});
  }
  if (arrivals.empty()) table.refuse("no request after the header");
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.seconds < b.seconds; });
  const double first = arrivals.front().seconds;
  for (auto& arrival : arrivals) arrival.seconds -= first;
  if (!(arrivals.back().seconds <= kMostSeconds))
    table.refuse("the requests arrive over more than a century; check the column of times");
  return arrivals;
}

}  // namespace gembench::inline recordings
