#include "placement/trace_import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>

#include "placement/checked.hpp"
#include "placement/input_file.hpp"

namespace gembench {
namespace {

// Thousands of steps of the largest models; parsed counts take up to a few times this.
constexpr std::uintmax_t kMaxInputBytes = std::uintmax_t{512} << 20;

}  // namespace

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
