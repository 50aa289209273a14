#include "placement/trace_import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "placement/checked.hpp"
#include "placement/input_file.hpp"

namespace gembench {
namespace {

// Thousands of steps of the largest models; parsed counts take up to a few times this.
constexpr std::uintmax_t kMaxInputBytes = std::uintmax_t{512} << 20;

/// Cuts a text into lines, counting from 1. Accepts CRLF and a missing newline at the end.
class Lines {
 public:
  Lines(std::string_view text, std::string name) : rest_(text), name_(std::move(name)) {}

  bool next(std::string_view& line) {
    if (rest_.empty()) return false;
    const auto end = rest_.find('\n');
    line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number_;
    return true;
  }

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] Error refuse(int line, const std::string& why) const {
    return usage_error(fmt::format("{}:{}: {}", name_, line, why));
  }
  [[nodiscard]] Error refuse(const std::string& why) const { return refuse(number_, why); }

 private:
  std::string_view rest_;
  std::string name_;
  int number_ = 0;
};

/// Takes the next comma-separated cell off the front of a line; false when there is none left.
bool next_cell(std::string_view& line, bool& more, std::string_view& cell) {
  if (!more) return false;
  const auto end = line.find(',');
  cell = line.substr(0, end);
  more = end != std::string_view::npos;
  line.remove_prefix(more ? end + 1 : line.size());
  return true;
}

/// Hostile cells are shown shortened and without control characters.
std::string shown(std::string_view cell) {
  std::string text(cell.substr(0, 24));
  for (auto& c : text)
    if (c < ' ' || c > '~') c = '?';
  return cell.size() > 24 ? text + ".." : text;
}

std::int32_t parse_count(const Lines& lines, std::string_view cell, std::string_view column) {
  std::int64_t value = 0;
  const auto* end = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  if (error == std::errc::result_out_of_range ||
      (error == std::errc{} && value > std::numeric_limits<std::int32_t>::max()))
    throw lines.refuse(fmt::format("column {}: {} is too large", column, shown(cell)));
  if (error != std::errc{} || stop != end)
    throw lines.refuse(fmt::format("column {}: '{}' is not a whole number", column, shown(cell)));
  if (value < 0) throw lines.refuse(fmt::format("column {}: {} is negative", column, shown(cell)));
  return static_cast<std::int32_t>(value);
}

/// Checks `step,layer,e0,e1,..` and returns the number of experts.
int parse_header(const Lines& lines, std::string_view line) {
  if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);  // spreadsheets write a BOM
  bool more = true;
  std::string_view cell;
  int column = 0;
  while (next_cell(line, more, cell)) {
    const auto expected = column == 0   ? std::string("step")
                          : column == 1 ? std::string("layer")
                                        : fmt::format("e{}", column - 2);
    if (cell != expected)
      throw lines.refuse(
          fmt::format("the header says '{}' where '{}' belongs; it must be "
                      "step,layer,e0,e1,..",
                      shown(cell), expected));
    if (++column - 2 > kMaxExperts)
      throw lines.refuse(fmt::format("more than {} experts", kMaxExperts));
  }
  if (column < 3) throw lines.refuse("no expert columns; the header must be step,layer,e0,e1,..");
  return column - 2;
}

struct Row {
  std::int32_t step = 0;
  std::int32_t layer = 0;
  int line = 0;
  std::int32_t batch = 0;  // tokens of the step according to this row
  std::size_t first = 0;   // of its counts
};

/// `topk` 0: whatever the counts sum to.
Row parse_row(const Lines& lines, std::string_view line, int experts, int topk,
              std::vector<std::int32_t>& counts) {
  Row row;
  row.line = lines.number();
  row.first = counts.size();
  bool more = true;
  std::string_view cell;
  if (!next_cell(line, more, cell)) throw lines.refuse("an empty row");
  row.step = parse_count(lines, cell, "step");
  if (!next_cell(line, more, cell)) throw lines.refuse("a row without a layer");
  row.layer = parse_count(lines, cell, "layer");
  std::int64_t sum = 0;
  std::int32_t hottest = 0;
  for (int e = 0; e < experts; ++e) {
    if (!next_cell(line, more, cell))
      throw lines.refuse(fmt::format("{} counts where the header names {} experts", e, experts));
    const auto count = parse_count(lines, cell, fmt::format("e{}", e));
    sum += count;
    hottest = std::max(hottest, count);
    counts.push_back(count);
  }
  if (more) throw lines.refuse(fmt::format("more counts than the {} the header names", experts));
  if (topk == 0) return row;
  if (sum % topk != 0)
    throw lines.refuse(
        fmt::format("counts sum to {}, which is no multiple of top-k {}; check "
                    "top-k",
                    sum, topk));
  if (sum / topk > std::numeric_limits<std::int32_t>::max())
    throw lines.refuse(fmt::format("counts sum to {}, too many for one step", sum));
  row.batch = static_cast<std::int32_t>(sum / topk);
  if (hottest > row.batch)
    throw lines.refuse(
        fmt::format("an expert has {} tokens of a batch of {}; check top-k", hottest, row.batch));
  return row;
}

/// Sorts rows by (step, layer) and refuses anything but a full grid. Returns steps and layers.
std::pair<int, int> arrange(const Lines& lines, std::vector<Row>& rows) {
  std::int64_t steps = 0;
  std::int64_t layers = 0;
  for (const auto& row : rows) {
    steps = std::max(steps, std::int64_t{row.step} + 1);
    layers = std::max(layers, std::int64_t{row.layer} + 1);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.step != b.step ? a.step < b.step : a.layer < b.layer;
  });
  const auto missing = [&](std::int64_t key) {
    return lines.refuse(
        fmt::format("the file ends without a row for step {}, layer {}; steps and "
                    "layers count from 0 without gaps",
                    key / layers, key % layers));
  };
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < rows.size(); ++i, ++expected) {
    const auto key = rows[i].step * layers + rows[i].layer;
    if (i > 0 && rows[i].step == rows[i - 1].step && rows[i].layer == rows[i - 1].layer)
      throw lines.refuse(rows[i].line, fmt::format("step {}, layer {} is already in line {}",
                                                   rows[i].step, rows[i].layer, rows[i - 1].line));
    if (key != expected) throw missing(expected);
    if (rows[i].layer > 0 && rows[i].batch != rows[i - 1].batch)
      throw lines.refuse(rows[i].line,
                         fmt::format("{} tokens where line {} of the same step has {}; every layer "
                                     "of a step needs the same sum",
                                     rows[i].batch, rows[i - 1].line, rows[i - 1].batch));
  }
  if (expected != steps * layers) throw missing(expected);
  return {static_cast<int>(steps), static_cast<int>(layers)};
}

/// `exact_sums`: every layer of a step must sum to as many tokens, and those to top-k of a batch.
Trace read_csv(const std::filesystem::path& path, int topk, bool exact_sums) {
  if (topk < 1) throw usage_error(fmt::format("top-k is {}; give at least 1", topk));
  const auto text = read_input_file(path, kMaxInputBytes);
  Lines lines(text, path.string());
  std::string_view line;
  if (!lines.next(line)) throw lines.refuse(1, "the file is empty; it needs step,layer,e0,e1,..");
  const int experts = parse_header(lines, line);
  if (topk > experts)
    throw lines.refuse(fmt::format("{} experts but top-k {}; give a smaller top-k", experts, topk));

  std::vector<Row> rows;
  std::vector<std::int32_t> counts;  // bounded by the file: a count takes at least two bytes
  while (lines.next(line)) {
    if (line.empty() && lines.at_end()) break;
    rows.push_back(parse_row(lines, line, experts, exact_sums ? topk : 0, counts));
  }
  if (rows.empty()) throw lines.refuse("no rows after the header");

  Trace trace;
  std::tie(trace.steps, trace.layers) = arrange(lines, rows);
  trace.experts = experts;
  trace.topk = topk;
  trace.source = path.string();
  trace.tokens.reserve(counts.size());
  for (const auto& row : rows) {
    const auto* from = counts.data() + row.first;
    trace.tokens.insert(trace.tokens.end(), from, from + experts);
  }
  return trace;
}

}  // namespace

Trace read_counts_csv(const std::filesystem::path& path, int topk) {
  auto trace = read_csv(path, topk, true);
  validate(trace);
  return trace;
}

Trace read_totals_csv(const std::filesystem::path& path, int topk) {
  auto totals = read_csv(path, topk, false);
  if (totals.steps != 1)
    throw usage_error(fmt::format("{} has {} steps; run totals are one step, a row per layer",
                                  path.string(), totals.steps));
  return totals;
}

Trace read_raw_ids(const std::filesystem::path& path, const RawIdsShape& shape) {
  if (shape.layers < 1 || shape.experts < 1 || shape.topk < 1 || shape.tokens_per_step < 1)
    throw usage_error(
        "layers, experts, top-k and tokens per step of a raw file must be at least 1");
  if (shape.experts > 256)
    throw usage_error(fmt::format("{} experts do not fit the bytes of a raw file; use at most 256",
                                  shape.experts));
  if (shape.topk > shape.experts)
    throw usage_error(
        fmt::format("top-k {} with {} experts; give a smaller top-k", shape.topk, shape.experts));
  const auto bytes = read_input_file(path, kMaxInputBytes);
  const auto per_token = checked_product({shape.layers, shape.topk}, "a token of the raw file");
  if (bytes.empty() || bytes.size() % per_token != 0)
    throw usage_error(
        fmt::format("{} has {} bytes, which is no multiple of {} layers times top-k "
                    "{}; check both",
                    path.string(), bytes.size(), shape.layers, shape.topk));
  const auto batch = static_cast<std::size_t>(shape.tokens_per_step);
  const auto steps = bytes.size() / per_token / batch;
  if (steps == 0)
    throw usage_error(
        fmt::format("{} has {} tokens, too few for one step of {}; give fewer tokens "
                    "per step",
                    path.string(), bytes.size() / per_token, shape.tokens_per_step));
  if (steps > std::numeric_limits<int>::max())
    throw usage_error(
        fmt::format("{} has too many steps; give more tokens per step", path.string()));
  Trace trace;
  trace.steps = static_cast<int>(steps);
  trace.layers = shape.layers;
  trace.experts = shape.experts;
  trace.topk = shape.topk;
  trace.source = path.string();
  (void)checked_product({trace.steps, trace.layers, trace.experts}, path.string());
  trace.topk_ids.resize(steps * batch * per_token);
  std::transform(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(trace.topk_ids.size()),
                 trace.topk_ids.begin(), [](char c) { return static_cast<unsigned char>(c); });
  try {
    count_tokens(trace, shape.tokens_per_step);
    validate(trace);
  } catch (const Error& error) {
    throw usage_error(fmt::format("{}: {}", path.string(), error.what()));
  }
  return trace;
}

}  // namespace gembench
