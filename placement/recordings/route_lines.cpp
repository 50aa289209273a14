// Routes as hooks in engines log them: a JSON line for every token and layer with the chosen
// experts, or for every batch and layer with those of its tokens. Lines may come in any order.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <span>
#include <tuple>
#include <unordered_map>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/encodings/json_lines.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/token_recording.hpp"
#include "placement/recordings/token_sieve.hpp"

namespace gembench::inline recordings {
namespace {

using Names = std::initializer_list<const char*>;

constexpr std::size_t kMaxLine = std::size_t{16} << 20;
constexpr std::int64_t kMaxValues = std::int64_t{1} << 22;  // of a line
constexpr std::size_t kMaxEntries = std::size_t{1} << 26;   // 1.5 GiB
constexpr std::size_t kMaxRequests = std::size_t{1} << 24;
constexpr std::int64_t kMaxLayer = 1 << 20;
constexpr std::int64_t kMaxToken = std::numeric_limits<std::int32_t>::max();

// As different hooks call them.
constexpr Names kIds{"topk_ids", "expert_ids", "topk_experts", "selected_experts", "experts"};
constexpr Names kLayer{"layer", "layer_id", "layer_idx"};
constexpr Names kRequest{"req_id", "request_id", "seq_id", "batch_id"};
constexpr Names kToken{"token_idx", "token_index", "token_id", "token", "pos", "position"};
constexpr Names kExperts{"num_experts", "n_experts"};
constexpr Names kTopk{"top_k", "topk", "k"};

const Json* find(const Json& record, Names names) {
  for (const auto* name : names)
    if (const auto found = record.find(name); found != record.end()) return &*found;
  return nullptr;
}

/// The choices of a token in a layer.
struct Entry {
  std::uint32_t request, turn;  ///< turn: how often the token came before
  std::int32_t token, layer;
  std::size_t ids;  ///< of its first one
  [[nodiscard]] auto key() const { return std::tie(request, token, layer); }
};

class RouteLines {
 public:
  explicit RouteLines(const RecordingInput& input) : input_(input) {
    recording_.experts = input.experts;
    recording_.topk = input.topk;
  }

  void take(const Json& record) {
    if (!record.is_object()) throw usage_error("it is no JSON object");
    const auto* ids = find(record, kIds);
    const auto* layer = find(record, kLayer);
    if (!ids || !layer) return take_header(record);
    const auto of_layer =
        static_cast<std::int32_t>(whole_between(*layer, 0, kMaxLayer, "its layer"));
    const auto* number = find(record, kToken);
    const auto token = number ? whole_between(*number, 0, kMaxToken, "its token") : 0;
    const auto request = request_of(record);
    if (!ids->is_array() || ids->empty()) throw usage_error("its experts are no list");
    if (!(*ids)[0].is_array()) return add(request, token, of_layer, *ids);
    for (std::size_t i = 0; i < ids->size(); ++i)
      add(request, token + static_cast<std::int64_t>(i), of_layer, (*ids)[i]);
  }

  TokenRecording finish(const std::string& name) {
    recording_.source = name;
    if (entries_.empty())
      throw usage_error(fmt::format("{} has no line with a layer and its experts", name));
    if (recording_.experts < 1)
      throw usage_error(fmt::format(
          "{} does not say how many experts there are; pass --experts, or --model", name));
    number_turns();
    settle_layers();
    gather();
    sift(recording_);
    validate(recording_);
    return std::move(recording_);
  }

 private:
  /// What hooks say about the model once.
  void take_header(const Json& record) {
    const auto agree = [&](int& has, Names names, const char* what) {
      const auto* value = find(record, names);
      if (!value || !value->is_number_integer()) return;
      const auto given = whole_between(*value, 1, kMaxTokenExperts, what);
      if (has != 0 && has != given)
        throw usage_error(fmt::format("it has {} {} where {} were stated", what, given, has));
      has = static_cast<int>(given);
    };
    agree(recording_.experts, kExperts, "experts");
    agree(recording_.topk, kTopk, "choices");
  }
  std::uint32_t request_of(const Json& record) {
    const auto* request = find(record, kRequest);
    const auto next = static_cast<std::uint32_t>(requests_.size());
    if (requests_.size() == kMaxRequests)
      throw usage_error(fmt::format("more than {} requests; cut the file", kMaxRequests));
    return requests_.emplace(request ? request->dump() : "", next).first->second;
  }
  void add(std::uint32_t request, std::int64_t token, std::int32_t layer, const Json& ids) {
    if (!ids.is_array() || ids.empty() || ids.size() > static_cast<std::size_t>(kMaxTokenExperts))
      throw usage_error("its experts are no list of numbers");
    if (recording_.topk == 0) recording_.topk = static_cast<int>(ids.size());
    if (ids.size() != static_cast<std::size_t>(recording_.topk))
      throw usage_error(
          fmt::format("it has {} experts of a token where {} are expected; check --topk",
                      ids.size(), recording_.topk));
    if (entries_.size() == kMaxEntries || ids_.size() + ids.size() > kMaxHeldIds)
      throw usage_error("the file is too long; import a part of it");
    entries_.push_back({request, 0, static_cast<std::int32_t>(token), layer, ids_.size()});
    for (const auto& id : ids) {
      const auto expert = whole_between(id, -1, kMaxTokenExperts, "an expert");
      ids_.push_back(static_cast<std::uint16_t>(expert));
    }
  }

  /// Hooks that count tokens from 0 in every pass name a token of a request several times. Where a
  /// log lacks lines, begins within a pass or ends in one, layers have different numbers of turns;
  /// then only the order of the file tells which lines are of one pass.
  void number_turns() {
    const auto before = [](const Entry& a, const Entry& b) {
      return std::pair(a.key(), a.ids) < std::pair(b.key(), b.ids);
    };
    std::sort(entries_.begin(), entries_.end(), before);
    for (std::size_t i = 1; i < entries_.size(); ++i)
      if (entries_[i].key() == entries_[i - 1].key()) entries_[i].turn = entries_[i - 1].turn + 1;
    leave_out_mixed_passes();
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.request, a.turn, a.token, a.layer) <
             std::tie(b.request, b.turn, b.token, b.layer);
    });
  }
  /// Entries are sorted by token, layer and place in the file.
  void leave_out_mixed_passes() {
    const auto same_token = [](const Entry& a, const Entry& b) {
      return a.request == b.request && a.token == b.token;
    };
    auto kept = entries_.begin();
    for (auto first = entries_.begin(); first != entries_.end();) {
      const auto end = std::find_if(first, entries_.end(),
                                    [&](const Entry& e) { return !same_token(e, *first); });
      if (mixes_passes({first, end})) {
        const auto turns = std::max_element(
            first, end, [](const Entry& a, const Entry& b) { return a.turn < b.turn; });
        mixed_ += turns->turn + 1;
      } else {
        kept = std::move(first, end, kept);
      }
      first = end;
    }
    entries_.erase(kept, entries_.end());
    if (entries_.empty())
      throw usage_error(fmt::format(
          "{} lacks lines, and does not tell which lines are of one pass; record it again",
          recording_.source));
  }
  /// Of one token: layers have different numbers of turns, and the file does not go through them
  /// pass by pass and layer by layer.
  static bool mixes_passes(std::span<const Entry> token) {
    std::vector<std::uint32_t> turns;  // of every layer
    for (const auto& entry : token) {
      if (entry.turn == 0) turns.push_back(0);
      turns.back() = entry.turn + 1;
    }
    if (std::ranges::adjacent_find(turns, std::not_equal_to{}) == turns.end()) return false;
    std::vector<Entry> by_pass(token.begin(), token.end());
    std::ranges::stable_sort(by_pass, {}, &Entry::turn);
    return !std::ranges::is_sorted(by_pass, {}, &Entry::ids);
  }
  void settle_layers() {
    std::vector<std::int32_t> layers;
    for (const auto& entry : entries_) layers.push_back(entry.layer);
    std::sort(layers.begin(), layers.end());
    layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
    recording_.layers = static_cast<int>(layers.size());
    if (input_.layers > 0 && input_.layers != recording_.layers)
      throw usage_error(
          fmt::format("{} has routes of {} layers where {} were stated; check --layers",
                      recording_.source, recording_.layers, input_.layers));
    if (layers.back() + 1 != recording_.layers) recording_.layer_ids = std::move(layers);
  }
  /// Tokens in order, request by request; those that lack layers are left out.
  void gather() {
    const auto layers = static_cast<std::size_t>(recording_.layers);
    const auto topk = static_cast<std::size_t>(recording_.topk);
    std::size_t incomplete = 0;
    for (std::size_t first = 0; first < entries_.size();) {
      const auto& entry = entries_[first];
      auto end = first + 1;
      while (end < entries_.size() && entries_[end].request == entry.request &&
             entries_[end].turn == entry.turn && entries_[end].token == entry.token)
        ++end;
      if (recording_.requests.empty() || last_request_ != entry.request) {
        recording_.requests.push_back({recording_.tokens(), 0, 0, 0});
        last_request_ = entry.request;
      }
      if (end - first == layers) {
        for (auto i = first; i < end; ++i)
          recording_.ids.insert(recording_.ids.end(),
                                ids_.begin() + static_cast<std::ptrdiff_t>(entries_[i].ids),
                                ids_.begin() + static_cast<std::ptrdiff_t>(entries_[i].ids + topk));
        ++recording_.requests.back().decode;
      } else {
        ++incomplete;
      }
      first = end;
    }
    if (incomplete > 0)
      recording_.notes.push_back(fmt::format(
          "left out {} tokens without routes in all of the {} layers", incomplete, layers));
    if (mixed_ > 0)
      recording_.notes.push_back(fmt::format(
          "left out {} tokens whose lines of several passes cannot be told apart, since the file "
          "lacks some",
          mixed_));
    recording_.requests_known = !requests_.contains("");
    std::erase_if(recording_.requests, [](const auto& request) { return request.decode == 0; });
  }

  const RecordingInput& input_;
  TokenRecording recording_;
  std::unordered_map<std::string, std::uint32_t> requests_;
  std::vector<Entry> entries_;
  std::vector<std::uint16_t> ids_;
  std::uint32_t last_request_ = 0;
  std::size_t mixed_ = 0;  // tokens left out
};

TokenRecording read(const RecordingInput& input) {
  RouteLines routes(input);
  std::vector<std::string> notes;
  for (const auto& path : input.paths) {
    JsonLines lines(path, kMaxLine);
    if (lines.for_each(
            [&](const std::string& text) { routes.take(parse_bounded_json(text, kMaxValues)); }))
      notes.push_back(
          fmt::format("left out the last line of {}, which was cut off", path.string()));
  }
  auto recording = routes.finish(name_of(input));
  recording.notes.insert(recording.notes.begin(), notes.begin(), notes.end());
  return recording;
}

bool recognise(const RecordingInput& input) {
  if (input.paths.empty()) return false;
  const auto start = first_bytes(input.paths[0], 1 << 16);
  if (start.find('{') == std::string::npos) return false;
  const auto names = [&](Names of) {
    return std::any_of(of.begin(), of.end(), [&](const char* name) {
      return start.find(fmt::format("\"{}\":", name)) != std::string::npos;
    });
  };
  return names(kIds) && names(kLayer) && (names(kToken) || names(kRequest));
}

}  // namespace

const RecordingFormat kRouteLines{
    "route-lines", "per token: JSON lines of hooks, each with a token's experts in a layer",
    recognise, nullptr, read};

}  // namespace gembench::inline recordings
