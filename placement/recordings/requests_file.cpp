#include "placement/recordings/requests_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "placement/encodings/table_reader.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kMostRequests = std::size_t{1} << 24;
constexpr std::size_t kMostTasks = 4096;
constexpr std::size_t kMostLabelBytes = 100;

/// Index of the label, which is added when it is new.
int task_of(std::vector<std::string>& tasks, const TableReader& table, std::size_t column) {
  const auto& label = table.cell(column);
  const auto found = std::find(tasks.begin(), tasks.end(), label);
  if (found != tasks.end()) return static_cast<int>(found - tasks.begin());
  if (tasks.size() == kMostTasks || label.size() > kMostLabelBytes)
    table.refuse(fmt::format("more than {} labels, or one above {} bytes; choose another column",
                             kMostTasks, kMostLabelBytes));
  tasks.push_back(label);
  return static_cast<int>(tasks.size() - 1);
}

}  // namespace

void cut_into_requests(TokenRecording& recording, const std::filesystem::path& requests,
                       std::size_t tokens_of_file) {
  TableReader table(requests);
  const auto decode = table.need_column({"decode_tokens", "tokens"});
  const auto prompt = table.column({"recorded_prompt_tokens"});
  const auto offset = table.column({"token_offset"});
  const auto task = table.column({"task", "dataset"});
  recording.phases_known = table.column({"decode_tokens"}).has_value();
  const auto tokens = static_cast<std::int64_t>(tokens_of_file);
  std::int64_t next = 0;
  std::size_t beyond = 0;
  while (table.next()) {
    if (recording.requests.size() + beyond == kMostRequests)
      table.refuse(fmt::format("more than {} requests; cut the file", kMostRequests));
    RecordedRequest request;
    request.prompt = prompt ? static_cast<int>(table.number(*prompt, kMost)) : 0;
    request.decode = static_cast<int>(table.number(decode, kMost));
    const auto first = offset ? table.number(*offset, std::int64_t{1} << 48) : next;
    const auto end = first + request.prompt + request.decode;
    if (end > std::int64_t{1} << 48) table.refuse("the tokens sum up to too many");
    next = end;
    if (first >= tokens && end > first) {
      ++beyond;
      continue;
    }
    if (end > tokens)
      table.refuse(
          fmt::format("the request has tokens {} to {} of a recording of {}; it was cut "
                      "off, or the table belongs to another",
                      first, end - 1, tokens));
    request.first = static_cast<std::size_t>(first);
    if (task) request.task = task_of(recording.tasks, table, *task);
    recording.requests.push_back(request);
  }
  if (recording.requests.empty()) table.refuse("no request lies within the recording");
  recording.source = fmt::format("{}, requests of {}", recording.source, requests.string());
  if (beyond > 0)
    recording.source += fmt::format(" ({} of {}; the others are not in it)",
                                    recording.requests.size(), recording.requests.size() + beyond);
  if (!recording.tasks.empty())
    recording.source += fmt::format(", tasks from 0: {}", fmt::join(recording.tasks, ", "));
}

}  // namespace gembench::inline recordings
