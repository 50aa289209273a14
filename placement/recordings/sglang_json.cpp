// SGLang's counts as JSON: {"logical_count": [layer][expert]} or [step][layer][expert]; layers are
// those of the model, dense ones included. Read value by value: files may be larger than memory.
#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "placement/base/error.hpp"
#include "placement/base/plain_text.hpp"
#include "placement/encodings/byte_stream.hpp"
#include "placement/encodings/nan_filter.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

using json = nlohmann::json;

constexpr std::size_t kMaxCells = std::size_t{1} << 24;  // of a step
constexpr int kMaxDepth = 16;                            // of values that are skipped
constexpr std::size_t kMaxToken = std::size_t{1} << 20;  // bytes; the parser holds one token
constexpr std::string_view kKey = "logical_count";

/// Bytes for the parser, which holds no more than a token of them.
class JsonBytes {
 public:
  explicit JsonBytes(ByteStream& in) : in_(in) {
    advance();
    advance();
  }
  [[nodiscard]] bool at_end() const { return at_end_; }
  [[nodiscard]] char current() const { return current_; }
  void advance() {
    if (++token_ > kMaxToken)
      in_.refuse(fmt::format("has a value of more than {} bytes", kMaxToken));
    const char c = next_;
    at_end_ = next_at_end_;
    if (++at_ >= size_) {
      size_ = in_.read(block_);
      at_ = 0;
    }
    next_at_end_ = size_ == 0;
    next_ = next_at_end_ ? '\0' : block_[at_];
    current_ = started_ && !at_end_ ? nans_.pass(c, next_) : c;
    started_ = true;
  }
  void end_token() { token_ = 0; }

 private:
  ByteStream& in_;
  NanFilter nans_;
  std::vector<char> block_ = std::vector<char>(std::size_t{64} << 10);
  std::size_t at_ = 0, size_ = 0, token_ = 0;
  char current_ = '\0', next_ = '\0';
  bool started_ = false, at_end_ = false, next_at_end_ = false;
};

struct JsonIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  JsonBytes* bytes = nullptr;

  char operator*() const { return bytes->current(); }
  JsonIterator& operator++() {
    bytes->advance();
    return *this;
  }
  friend bool operator==(const JsonIterator& a, const JsonIterator& b) {
    return (a.bytes == nullptr || a.bytes->at_end()) == (b.bytes == nullptr || b.bytes->at_end());
  }
  friend bool operator!=(const JsonIterator& a, const JsonIterator& b) { return !(a == b); }
};

/// Listens to the parser and hands on every step when its array ends.
class CountListener {
 public:
  CountListener(const RecordingInput& input, StepPass& pass, ByteStream& in, JsonBytes& bytes)
      : input_(input), pass_(pass), in_(in), bytes_(bytes) {}

  std::vector<std::string> finish() {
    if (!batches_) in_.refuse("has no logical_count; name a file of SGLang's expert distribution");
    return batches_->finish();
  }

  bool null() { return other_value(); }
  bool boolean(bool) { return other_value(); }
  bool string(std::string&) { return other_value(); }
  bool binary(json::binary_t&) { return other_value(); }
  bool number_integer(std::int64_t value) { return number(value); }
  bool number_unsigned(std::uint64_t value) {
    return number(static_cast<std::int64_t>(std::min(value, std::uint64_t{INT64_MAX})));
  }
  bool number_float(double value, const std::string& text) {
    if (!counting_) return other_value();
    if (value != std::nearbyint(value) || std::abs(value) > 9e15)
      refuse(fmt::format("has the count {}, which is no whole number", shown(text)));
    return number(static_cast<std::int64_t>(value));
  }
  bool start_object(std::size_t) {
    if (counting_) refuse("has something else than numbers in logical_count");
    return enter();
  }
  bool end_object() { return leave(); }
  bool key(std::string& name) {
    bytes_.end_token();
    is_counts_ = depth_ == 1 && name == kKey;
    if (is_counts_ && batches_) refuse("has logical_count twice");
    return true;
  }
  bool start_array(std::size_t) {
    if (is_counts_ && !counting_) {
      counting_ = true;
      counts_depth_ = depth_;
    }
    return enter();
  }
  bool end_array() {
    const int inside = depth_ - counts_depth_;  // 3 = a row of a step, 2 = of totals, or a step
    const auto result = leave();
    if (!counting_) return result;
    if (inside == row_depth_) end_row();
    if (row_depth_ != 0 && inside == row_depth_ - 1) end_step();
    if (inside == 1) {
      counting_ = is_counts_ = false;
      if (row_depth_ == 0) refuse("has an empty logical_count");
    }
    return result;
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) {
    in_.refuse(fmt::format("is no JSON at byte {}; was it cut off?", at));
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    in_.refuse(fmt::format("{} (step {})", why, steps_));
  }
  bool enter() {
    bytes_.end_token();
    if (++depth_ > kMaxDepth) refuse(fmt::format("is nested deeper than {} levels", kMaxDepth));
    return true;
  }
  bool leave() {
    bytes_.end_token();
    --depth_;
    return true;
  }
  bool other_value() {
    bytes_.end_token();
    if (counting_) refuse("has something else than numbers in logical_count");
    return true;
  }
  bool number(std::int64_t value) {
    bytes_.end_token();
    if (!counting_) return true;
    const int inside = depth_ - counts_depth_;
    if (row_depth_ == 0 && (inside == 2 || inside == 3)) row_depth_ = inside;
    if (inside != row_depth_)
      refuse("has a logical_count that is neither [layer][expert] nor [step][layer][expert]");
    if (counts_.size() == kMaxCells) refuse("has too many counts in a step");
    counts_.push_back(value);
    return true;
  }
  void end_row() {
    const auto row = counts_.size() - row_begin_;
    if (experts_ == 0) experts_ = row;
    if (row != experts_ || row == 0)
      refuse(
          fmt::format("has {} experts in layer {} where the first has {}", row, rows_, experts_));
    row_begin_ = counts_.size();
    ++rows_;
  }
  void end_step() {
    if (!batches_) {
      const auto layers = static_cast<int>(rows_);
      batches_.emplace(
          input_,
          RecordedShape{layers, static_cast<std::int64_t>(experts_), 0, 0, {}, layers, true},
          pass_);
    }
    if (counts_.size() != batches_->step_size())
      refuse(fmt::format("has {} layers where the first step has {}", rows_,
                         batches_->step_size() / experts_));
    batches_->add(counts_);
    counts_.clear();
    rows_ = row_begin_ = 0;
    ++steps_;
  }

  const RecordingInput& input_;
  StepPass& pass_;
  ByteStream& in_;
  JsonBytes& bytes_;
  std::optional<StepBatches> batches_;
  std::vector<std::int64_t> counts_;  ///< of the step
  std::size_t experts_ = 0, rows_ = 0, row_begin_ = 0, steps_ = 0;
  int depth_ = 0, counts_depth_ = 0;
  int row_depth_ = 0;  ///< arrays around a count within logical_count; 0 = no count was seen yet
  bool is_counts_ = false, counting_ = false;
};

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  ByteStream in(only_path(input));
  JsonBytes bytes(in);
  CountListener listener(input, pass, in, bytes);
  (void)json::sax_parse(JsonIterator{&bytes}, JsonIterator{}, &listener);
  return listener.finish();
}

bool recognise(const RecordingInput& input) {
  if (input.paths.size() != 1) return false;
  const auto front = first_bytes(input.paths[0], 4096);
  const auto text = without_bom(front);
  return text.find_first_not_of(" \t\r\n") == text.find('{') &&
         text.find(fmt::format("\"{}\"", kKey)) != std::string::npos;
}

}  // namespace

const RecordingFormat kSglangJson{"sglang-json", "SGLang: {\"logical_count\": totals or steps}",
                                  recognise, read};

}  // namespace gembench::inline recordings
