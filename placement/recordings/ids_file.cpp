#include "placement/recordings/ids_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "placement/base/checked_sizes.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/requests_file.hpp"
#include "placement/recordings/step_gatherer.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;  // bytes read at a time, about

template <class Element>
void widen(std::span<const char> elements, std::uint16_t* to) {
  for (std::size_t at = 0; at + sizeof(Element) <= elements.size(); at += sizeof(Element)) {
    Element value;
    std::memcpy(&value, elements.data() + at, sizeof(Element));
    *to++ = value < kNoExpert ? static_cast<std::uint16_t>(value) : kNoExpert;
  }
}

RecordingInput checked(RecordingInput input, const std::optional<NpyHeader>& array) {
  if (input.layers == 0 && array && array->shape.size() == 2) input.layers = 1;
  if (input.layers < 1 || input.experts < 1 || input.topk < 1 || input.topk > input.experts ||
      input.experts > kMaxTokenExperts)
    throw usage_error(
        fmt::format("{} cannot have {} layers, {} experts and top-k {}; state the model's with "
                    "--model, or --layers, --experts and --topk",
                    name_of(input), input.layers, input.experts, input.topk));
  if (input.id_bytes != 1 && input.id_bytes != 2)
    throw usage_error(fmt::format("ids of {} bytes are unknown; they have 1 or 2", input.id_bytes));
  return input;
}

}  // namespace

void widen_ids(std::span<const char> elements, int width, std::vector<std::uint16_t>& ids) {
  ids.resize(elements.size() / static_cast<std::size_t>(width));
  // Negative elements, read as unsigned, are too large.
  switch (width) {
    case 1:
      return widen<std::uint8_t>(elements, ids.data());
    case 2:
      return widen<std::uint16_t>(elements, ids.data());
    case 4:
      return widen<std::uint32_t>(elements, ids.data());
    default:
      return widen<std::uint64_t>(elements, ids.data());
  }
}

bool holds_ids(const NpyHeader& array) {
  return array.shape.size() == 3 && array.element < Element::float16;  // floats come last
}

IdsFile::Opened IdsFile::open(const RecordingInput& input) {
  const auto& path = only_path(input);
  if (!is_npz(path) && !is_npy(first_bytes(path, kNpyPrefix)) && input.array.empty())
    return {ByteStream(path), std::nullopt};
  auto [in, header] = open_npy(path, input.array);
  return {std::move(in), std::move(header)};
}

IdsFile::IdsFile(const RecordingInput& input) : IdsFile(input, open(input)) {}

IdsFile::IdsFile(const RecordingInput& input, Opened opened)
    : in_(std::move(opened.in)),
      input_(checked(input, opened.array)),
      sieve_(input_.layers, input_.experts, input_.topk),
      width_(input.id_bytes) {
  if (!opened.array) {
    if (width_ == 1 && input.experts > 256)
      in_.refuse(fmt::format("has ids of 1 byte, too small for {} experts; pass --id-bytes 2",
                             input.experts));
    return;
  }
  auto array = std::move(*opened.array);
  if (input_.layers == 1 && array.shape.size() == 2) array.shape.insert(array.shape.begin() + 1, 1);
  if (!holds_ids(array) || array.shape[1] != input_.layers || array.shape[2] != input_.topk)
    in_.refuse(
        fmt::format("must hold whole numbers [token][{} layers][{} choices]; check layers "
                    "and top-k",
                    input_.layers, input_.topk));
  npy_ = true;
  width_ = static_cast<int>(size_of(array.element));
  declared_ = static_cast<std::uint64_t>(array.shape[0]);
}

std::span<const std::uint16_t> IdsFile::read(std::size_t most) {
  const auto each = static_cast<std::size_t>(input_.layers) * static_cast<std::size_t>(input_.topk);
  if (npy_) most = std::min<std::uint64_t>(most, declared_ - tokens_);
  const auto id_bytes = static_cast<std::size_t>(width_);
  bytes_.resize(most * each * id_bytes);
  const auto got = in_.read(bytes_);
  if (got % (each * id_bytes) != 0 || (npy_ && got < bytes_.size()))
    in_.refuse(
        fmt::format("ends within token {}, after {} bytes; check layers and top-k, or it "
                    "was cut off",
                    tokens_ + got / (each * id_bytes), in_.position()));
  at_end_ = got < bytes_.size() || (npy_ && declared_ == tokens_ + most);
  widen_ids(std::span(bytes_).first(got), width_, ids_);
  const auto first = tokens_;
  tokens_ += ids_.size() / each;
  try {
    sieve_.sift(ids_);
  } catch (const Error& error) {
    in_.refuse(fmt::format("is wrong: {}", error.what()));
  }
  if (ids_.empty()) return ids_;  // all without routes: nothing tells top-k yet
  if (!checker_) checker_.emplace(input_.layers, input_.experts, sieve_.topk());
  const auto kept = static_cast<std::size_t>(input_.layers * sieve_.topk());
  const auto at = checker_->wrong(ids_);
  if (at == TokenChecker::npos) return ids_;
  auto token = first + at / kept;
  for (const auto removed : sieve_.removed())
    if (removed >= first && removed <= token) ++token;
  in_.refuse(
      fmt::format("names expert {} of {} {}in token {}, layer {}; check experts, layers "
                  "and top-k",
                  ids_[at], input_.experts, ids_[at] < input_.experts ? "twice " : "", token,
                  at % kept / static_cast<std::size_t>(sieve_.topk())));
}

namespace {

void refuse_without_routes(const RecordingInput& input, const IdsFile& file) {
  if (file.tokens() > 0 && file.sieve().removed().size() == file.tokens())
    throw usage_error(
        fmt::format("{} has no token with a route, all ids are -1; check --id-bytes and --experts",
                    name_of(input)));
}

}  // namespace

std::vector<std::string> window_ids(const RecordingInput& input, int window, bool keep_ids,
                                    const KeepSteps& keep) {
  IdsFile file(input);
  const auto window_size =
      checked_product({window, file.layers(), input.topk}, "a window of " + name_of(input));
  if (window_size == 0) throw usage_error("a window of 0 tokens; give at least 1");
  const auto block =
      static_cast<std::size_t>(window) * std::max<std::size_t>(1, kBlock / window_size);
  std::optional<StepGatherer> steps;  // the first block with routes tells top-k
  std::vector<std::uint16_t> waiting;
  while (!file.at_end()) {
    const auto ids = file.read(block);
    waiting.insert(waiting.end(), ids.begin(), ids.end());
    if (ids.empty()) continue;
    if (!steps) {
      Trace trace;
      trace.layers = file.layers();
      trace.experts = input.experts;
      trace.topk = file.sieve().topk();
      trace.source = fmt::format("{}; windows of {} tokens", name_of(input), window);
      steps.emplace(trace, keep_ids, keep);
    }
    const auto each = static_cast<std::size_t>(file.layers() * file.sieve().topk());
    const auto whole = each * static_cast<std::size_t>(window);
    std::size_t at = 0;
    for (; at + whole <= waiting.size(); at += whole) {
      for (std::size_t token = at; token < at + whole; token += each)
        steps->add(std::span(waiting).subspan(token, each));
      steps->end_step();
    }
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(at));
  }
  refuse_without_routes(input, file);
  if (!steps || steps->steps() == 0)
    throw usage_error(fmt::format("{} has {} tokens, too few for a window of {}; use smaller ones",
                                  name_of(input), file.tokens(), window));
  steps->finish();
  return file.sieve().notes();
}

TokenRecording read_ids(const RecordingInput& input) {
  IdsFile file(input);
  TokenRecording recording;
  recording.layers = file.layers();
  recording.experts = input.experts;
  recording.topk = input.topk;
  recording.source = name_of(input);
  const auto block = std::max<std::size_t>(1, kBlock / recording.ids_per_token());
  while (!file.at_end()) {
    const auto ids = file.read(block);
    if (recording.ids.size() + ids.size() > kMaxHeldIds)
      throw usage_error(
          fmt::format("{} holds more than {} ids, too many for requests; cut it, or import windows "
                      "without requests",
                      name_of(input), kMaxHeldIds));
    recording.ids.insert(recording.ids.end(), ids.begin(), ids.end());
  }
  refuse_without_routes(input, file);
  recording.topk = file.sieve().topk();
  recording.notes = file.sieve().notes();
  if (!input.requests.empty()) {
    cut_into_requests(recording, input.requests, file.tokens());
  } else {
    recording.requests.push_back({0, 0, static_cast<int>(file.tokens()), 0});
    recording.requests_known = false;
  }
  move_requests(recording.requests, file.sieve().removed());
  return recording;
}

namespace {

bool never(const RecordingInput&) {
  return false;  // raw bytes cannot be recognised
}

}  // namespace

const RecordingFormat kIds{"ids",
                           "per token: raw ids [token][layer][k], or a .npy or .npz of that shape",
                           never, nullptr, read_ids};

}  // namespace gembench::inline recordings
