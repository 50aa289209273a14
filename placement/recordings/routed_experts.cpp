#include "placement/recordings/routed_experts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/base64.hpp"
#include "placement/encodings/npy.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/ids_file.hpp"
#include "placement/recordings/routed_json.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::size_t kRecognised = std::size_t{1} << 20;  // an answer's text may come first
constexpr std::size_t kMaxFiles = 1 << 20;

/// Elements of one answer, as they lie in the file.
struct Ids {
  std::vector<std::int64_t> shape;  // [token, layer, k]; empty: not said
  int width = 4;
  std::string_view elements;
};

Ids of_npy(std::string_view bytes, const std::string& name) {
  const auto array = parse_npy_header(bytes, name);
  if (!holds_ids(array)) throw usage_error("its .npy must hold whole numbers [token][layer][k]");
  return {array.shape, static_cast<int>(size_of(array.element)),
          bytes.substr(npy_header_bytes(bytes.substr(0, kNpyPrefix), name))};
}

/// Adds an answer to the recording; the first answer sets the shape.
void add(TokenRecording& recording, const Ids& ids, std::int64_t prompt_tokens) {
  if (!ids.shape.empty()) {
    const auto same = [&](int& has, std::int64_t given, const char* what) {
      if (given < 1 || given > kMaxTokenExperts || (has != 0 && given != has))
        throw usage_error(
            fmt::format("an answer has {} {} where {} are expected; check --layers "
                        "and --topk, or import other answers apart",
                        given, what, has));
      has = static_cast<int>(given);
    };
    same(recording.layers, ids.shape[1], "layers");
    same(recording.topk, ids.shape[2], "choices");
  }
  const auto each = recording.ids_per_token() * static_cast<std::size_t>(ids.width);
  const auto tokens = ids.elements.size() / each;
  const bool whole = ids.elements.size() % each == 0 &&
                     (ids.shape.empty() || ids.shape[0] == static_cast<std::int64_t>(tokens));
  if (!whole || tokens > std::size_t{1} << 30)
    throw usage_error(
        fmt::format("an answer has {} bytes, which are no whole tokens of {} layers "
                    "with top-k {}; check both",
                    ids.elements.size(), recording.layers, recording.topk));
  if (recording.ids.size() + tokens * recording.ids_per_token() > kMaxHeldIds)
    throw usage_error(fmt::format("more than {} ids; import fewer answers", kMaxHeldIds));
  RecordedRequest request;
  request.first = recording.tokens();
  request.prompt = static_cast<int>(
      std::clamp<std::int64_t>(prompt_tokens, 0, static_cast<std::int64_t>(tokens)));
  request.decode = static_cast<int>(tokens) - request.prompt;
  recording.phases_known &= prompt_tokens >= 0;
  std::vector<std::uint16_t> widened;
  widen_ids(ids.elements, ids.width, widened);
  recording.ids.insert(recording.ids.end(), widened.begin(), widened.end());
  if (tokens > 0) recording.requests.push_back(request);
}

bool has_extension(const std::filesystem::path& path, std::initializer_list<const char*> known) {
  auto name = path.filename().string();
  for (const std::string packed : {".gz", ".xz", ".zst"})
    if (name.ends_with(packed)) name.resize(name.size() - packed.size());
  return std::any_of(known.begin(), known.end(),
                     [&](const char* end) { return name.ends_with(end); });
}

/// The files of the input; those of a folder in order of their names.
std::vector<std::filesystem::path> files_of(const RecordingInput& input) {
  std::error_code error;
  if (input.paths.size() != 1 || !std::filesystem::is_directory(input.paths[0], error))
    return input.paths;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator at(input.paths[0], error), end; !error && at != end;
       at.increment(error)) {
    if (has_extension(at->path(), {".json", ".jsonl", ".npy"})) files.push_back(at->path());
    if (files.size() > kMaxFiles) break;
  }
  if (error || files.empty() || files.size() > kMaxFiles)
    throw usage_error(fmt::format("{} is not a folder of up to {} .json, .jsonl and .npy files",
                                  input.paths[0].string(), kMaxFiles));
  std::sort(files.begin(), files.end());
  return files;
}

TokenRecording read_routed(const RecordingInput& input, bool has_shape) {
  TokenRecording recording;
  recording.layers = input.layers;
  recording.experts = input.experts;
  recording.topk = input.topk;
  recording.phases_known = true;
  const auto files = files_of(input);
  if (files.empty()) throw usage_error("no file to import; name one");
  recording.source = files.size() == 1
                         ? files[0].string()
                         : fmt::format("{} and {} more", files[0].string(), files.size() - 1);
  if (input.experts < 1)
    throw usage_error(
        fmt::format("{} does not say how many experts there are; pass --experts, or "
                    "--model",
                    recording.source));
  if (!has_shape && (input.layers < 1 || input.topk < 1))
    throw usage_error(
        fmt::format("{} does not say how many layers it lists and how many experts a "
                    "token gets; pass --layers (dense ones counted) and --topk",
                    recording.source));
  for (const auto& file : files) {
    try {
      if (has_shape && is_npy(first_bytes(file, kNpyPrefix))) {
        const auto bytes = ByteStream(file).read_rest(kMaxHeldIds * 2);
        add(recording, of_npy(bytes, file.string()), -1);
        continue;
      }
      for_each_routed_answer(file, [&](const RoutedAnswer& answer) {
        const auto bytes = decode_base64(answer.base64);
        add(recording, has_shape ? of_npy(bytes, "its array") : Ids{{}, 4, bytes},
            answer.prompt_tokens);
      });
    } catch (const Error& error) {
      const std::string why = error.what();
      throw usage_error(why.starts_with(file.string()) ? why
                                                       : fmt::format("{}: {}", file.string(), why));
    }
  }
  if (recording.requests.empty())
    throw usage_error(
        fmt::format("{} has no answer with routed_experts; serve with "
                    "--enable-return-routed-experts",
                    recording.source));
  drop_dense_layers(recording);
  validate(recording);
  return recording;
}

bool mentions(const RecordingInput& input, std::initializer_list<std::string_view> words) {
  try {
    const auto files = files_of(input);
    if (files.empty()) return false;
    const auto start = first_bytes(files[0], kRecognised);
    return std::all_of(words.begin(), words.end(), [&](std::string_view word) {
      return start.find(word) != std::string::npos;
    });
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TokenRecording read_vllm_routed(const RecordingInput& input) {
  return read_routed(input, true);
}

TokenRecording read_sglang_routed(const RecordingInput& input) {
  return read_routed(input, false);
}

namespace {

bool is_vllm_routed(const RecordingInput& input) {
  return mentions(input, {"\"routed_experts\"", "k05VTVBZ"});  // the magic of a .npy in base64
}

bool is_sglang_routed(const RecordingInput& input) {
  return mentions(input, {"\"routed_experts\""}) && !is_vllm_routed(input);
}

}  // namespace

const RecordingFormat kVllmRouted{"vllm-routed", "per token: vLLM's routed_experts in responses",
                                  is_vllm_routed, nullptr, read_vllm_routed};
const RecordingFormat kSglangRouted{"sglang-routed",
                                    "per token: SGLang's routed_experts in responses",
                                    is_sglang_routed, nullptr, read_sglang_routed};

}  // namespace gembench::inline recordings
