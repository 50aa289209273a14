#include "placement/exchange/ids_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "placement/checked.hpp"
#include "placement/exchange/npy_header.hpp"
#include "placement/exchange/requests_file.hpp"
#include "placement/exchange/step_gatherer.hpp"

namespace gembench {
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

IdsShape checked(const std::filesystem::path& path, const IdsShape& shape) {
  if (shape.layers < 1 || shape.experts < 1 || shape.topk < 1 || shape.topk > shape.experts ||
      shape.experts > kMaxTokenExperts)
    throw usage_error(
        fmt::format("{} cannot have {} layers, {} experts and top-k {}; state the "
                    "model's",
                    path.string(), shape.layers, shape.experts, shape.topk));
  if (shape.id_bytes != 1 && shape.id_bytes != 2)
    throw usage_error(fmt::format("ids of {} bytes are unknown; they have 1 or 2", shape.id_bytes));
  return shape;
}

std::string first(const std::filesystem::path& path, std::size_t count) {
  std::string bytes(count, '\0');
  bytes.resize(ByteStream(path).read(bytes));
  return bytes;
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

IdsFile::IdsFile(const std::filesystem::path& path, const IdsShape& shape)
    : in_(path),
      shape_(checked(path, shape)),
      checker_(shape.layers, shape.experts, shape.topk),
      width_(shape.id_bytes) {
  if (first(path, kNpyMagic.size()) != kNpyMagic) {
    if (width_ == 1 && shape.experts > 256)
      in_.refuse(fmt::format("has ids of 1 byte, too small for {} experts; pass --id-bytes 2",
                             shape.experts));
    return;
  }
  npy_ = true;
  NpyHeader header;
  try {
    header = read_npy_header([&](std::span<char> to) { in_.read_exactly(to); });
  } catch (const Error& error) {
    throw usage_error(fmt::format("{}: {}", path.string(), error.what()));
  }
  const auto& dims = header.shape;
  if (header.kind == 'f' || dims.size() != 3 ||
      dims[1] != static_cast<std::uint64_t>(shape.layers) ||
      dims[2] != static_cast<std::uint64_t>(shape.topk))
    in_.refuse(
        fmt::format("must hold whole numbers [token][{} layers][{} choices]; check layers "
                    "and top-k",
                    shape.layers, shape.topk));
  width_ = header.bytes;
  declared_ = dims[0];
}

std::span<const std::uint16_t> IdsFile::read(std::size_t most) {
  const auto each = static_cast<std::size_t>(shape_.layers) * static_cast<std::size_t>(shape_.topk);
  if (npy_) most = std::min<std::uint64_t>(most, declared_ - tokens_);
  const auto id_bytes = static_cast<std::size_t>(width_);
  bytes_.resize(most * each * id_bytes);
  const auto got = in_.read(bytes_);
  if (got % (each * id_bytes) != 0 || (npy_ && got < bytes_.size()))
    in_.refuse(
        fmt::format("ends within token {}, after {} bytes; check layers and top-k, or it "
                    "was cut off",
                    tokens_ + got / (each * id_bytes), in_.position()));
  widen_ids(std::span(bytes_).first(got), width_, ids_);
  const auto at = checker_.wrong(ids_);
  if (at != TokenChecker::npos)
    in_.refuse(
        fmt::format("names expert {} of {} {}in token {}, layer {}; check experts, layers "
                    "and top-k",
                    ids_[at], shape_.experts, ids_[at] < shape_.experts ? "twice " : "",
                    tokens_ + at / each, at % each / static_cast<std::size_t>(shape_.topk)));
  tokens_ += ids_.size() / each;
  return ids_;
}

void window_ids(const std::filesystem::path& path, const IdsShape& shape, int window, bool keep_ids,
                const KeepSteps& keep) {
  IdsFile file(path, shape);
  const auto window_size =
      checked_product({window, shape.layers, shape.topk}, "a window of " + path.string());
  if (window_size == 0) throw usage_error("a window of 0 tokens; give at least 1");
  Trace trace;
  trace.layers = shape.layers;
  trace.experts = shape.experts;
  trace.topk = shape.topk;
  trace.source = fmt::format("{}; windows of {} tokens", path.string(), window);
  StepGatherer steps(trace, keep_ids, keep);
  const auto windows = std::max<std::size_t>(1, kBlock / window_size);
  const auto each = window_size / static_cast<std::size_t>(window);
  for (bool more = true; more;) {
    const auto ids = file.read(windows * static_cast<std::size_t>(window));
    more = ids.size() == windows * window_size;
    for (std::size_t at = 0; at + window_size <= ids.size(); at += window_size) {
      for (std::size_t token = at; token < at + window_size; token += each)
        steps.add(ids.subspan(token, each));
      steps.end_step();
    }
  }
  if (steps.steps() == 0)
    throw usage_error(fmt::format("{} has {} tokens, too few for a window of {}; use smaller ones",
                                  path.string(), file.tokens(), window));
  steps.finish();
}

TokenRecording read_ids(const std::filesystem::path& path, const IdsShape& shape,
                        const std::filesystem::path& requests) {
  IdsFile file(path, shape);
  TokenRecording recording;
  recording.layers = shape.layers;
  recording.experts = shape.experts;
  recording.topk = shape.topk;
  recording.source = path.string();
  const auto block = std::max<std::size_t>(1, kBlock / recording.ids_per_token());
  for (bool more = true; more;) {
    const auto ids = file.read(block);
    more = ids.size() == block * recording.ids_per_token();
    if (recording.ids.size() + ids.size() > kMaxHeldIds)
      throw usage_error(
          fmt::format("{} holds more than {} ids, too many for requests; cut it, or import windows "
                      "without requests",
                      path.string(), kMaxHeldIds));
    recording.ids.insert(recording.ids.end(), ids.begin(), ids.end());
  }
  cut_into_requests(recording, requests);
  return recording;
}

}  // namespace gembench
