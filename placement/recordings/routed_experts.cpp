#include "placement/recordings/routed_experts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <string_view>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/base64.hpp"
#include "placement/encodings/npy.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/ids_file.hpp"
#include "placement/recordings/routed_json.hpp"
#include "placement/recordings/token_sieve.hpp"

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

/// Takes the answers of a recording, response by response.
class Answers {
 public:
  Answers(const RecordingInput& input, bool has_shape, TokenRecording& recording)
      : input_(input), has_shape_(has_shape), recording_(recording) {}

  void add(const RoutedResponse& response) {
    std::vector<std::string> bytes;  // that the ids of the answers lie in
    std::vector<Ids> ids;
    bytes.reserve(response.answers.size());
    for (const auto& answer : response.answers) {
      if (!answer.ids.empty()) {
        ids.push_back({answer.shape, 2, as_bytes(answer.ids)});
        continue;
      }
      bytes.push_back(decode_base64(answer.base64));
      ids.push_back(has_shape_ ? of_npy(bytes.back(), "its array") : without_shape(bytes.back()));
    }
    std::vector<std::int64_t> rows;
    for (const auto& one : ids) rows.push_back(rows_of(one));
    ++responses_;
    const auto prompt = prompt_rows(response, rows);
    if (!prompt) return;
    for (std::size_t i = 0; i < ids.size(); ++i) add(ids[i], rows[i], *prompt);
  }
  /// An answer that does not say how long its prompt was.
  void add(const Ids& ids) { add(ids, rows_of(ids), -1); }

  /// After the last response.
  void finish() {
    if (!disagreement_.empty() && recording_.requests.empty()) throw usage_error(disagreement_);
    if (!disagreement_.empty())
      recording_.notes.push_back(fmt::format(
          "left out {} of {} responses whose routes and numbers of tokens disagree; the "
          "first: {}",
          left_out_, responses_, disagreement_));
  }

 private:
  static std::string_view as_bytes(const std::vector<std::uint16_t>& ids) {
    return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(ids[0])};
  }
  [[nodiscard]] Ids without_shape(std::string_view bytes) const {
    if (input_.layers < 1 || input_.topk < 1)
      throw usage_error(
          "it does not say how many layers it lists and how many experts a token gets; pass "
          "--layers (dense ones counted) and --topk (fused shared experts counted)");
    return {{}, 4, bytes};
  }
  /// The first answer sets the shape.
  std::int64_t rows_of(const Ids& ids) {
    if (!ids.shape.empty()) {
      same(recording_.layers, ids.shape[1], "layers");
      same(recording_.topk, ids.shape[2], "choices");
    } else if (recording_.topk == 0) {
      recording_.topk = input_.topk;
    }
    const auto each = recording_.ids_per_token() * static_cast<std::size_t>(ids.width);
    const auto tokens = ids.elements.size() / each;
    const bool whole = ids.elements.size() % each == 0 &&
                       (ids.shape.empty() || ids.shape[0] == static_cast<std::int64_t>(tokens));
    if (!whole || tokens > std::size_t{1} << 30)
      throw usage_error(
          fmt::format("an answer has {} bytes, which are no whole tokens of {} layers "
                      "with top-k {}; check both",
                      ids.elements.size(), recording_.layers, recording_.topk));
    return static_cast<std::int64_t>(tokens);
  }
  static void same(int& has, std::int64_t given, const char* what) {
    if (given < 1 || given > kMaxTokenExperts || (has != 0 && given != has))
      throw usage_error(
          fmt::format("an answer has {} {} where {} are expected; check --layers "
                      "and --topk, or import other answers apart",
                      given, what, has));
    has = static_cast<int>(given);
  }

  /// Rows of the prompt in each answer of a response; -1: unknown; none if the numbers disagree.
  /// An answer lists its last rows completely (a row for each generated token but the last), and a
  /// server may have been asked to leave out the first tokens of the prompt.
  std::optional<std::int64_t> prompt_rows(const RoutedResponse& response,
                                          const std::vector<std::int64_t>& rows) {
    const auto answers = static_cast<std::int64_t>(rows.size());
    const auto shortest = *std::min_element(rows.begin(), rows.end());
    const auto prompt = response.prompt_tokens, completion = response.completion_tokens;
    if (prompt < 0 || response.without_routes > 0) return -1;
    if (completion < 0) return prompt;  // as much of it as is listed
    const auto all = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
    const auto decode = std::max<std::int64_t>(completion - answers, 0);
    const auto of_prompts = all - decode;
    if (of_prompts >= 0 && of_prompts % answers == 0 && of_prompts / answers <= prompt &&
        of_prompts / answers <= shortest)
      return of_prompts / answers;
    ++left_out_;
    if (disagreement_.empty())
      disagreement_ = fmt::format(
          "response {} has {} rows of routes where {} prompt and {} completion tokens of {} "
          "answers have at most {} and at least {}; record it again",
          responses_, all, prompt, completion, answers, prompt * answers + decode, decode);
    return std::nullopt;
  }

  void add(const Ids& ids, std::int64_t tokens, std::int64_t prompt) {
    if (recording_.ids.size() + static_cast<std::size_t>(tokens) * recording_.ids_per_token() >
        kMaxHeldIds)
      throw usage_error(fmt::format("more than {} ids; import fewer answers", kMaxHeldIds));
    RecordedRequest request;
    request.first = recording_.tokens();
    request.prompt = static_cast<int>(std::clamp<std::int64_t>(prompt, 0, tokens));
    request.decode = static_cast<int>(tokens) - request.prompt;
    recording_.phases_known &= prompt >= 0;
    std::vector<std::uint16_t> widened;
    widen_ids(ids.elements, ids.width, widened);
    recording_.ids.insert(recording_.ids.end(), widened.begin(), widened.end());
    if (tokens > 0) recording_.requests.push_back(request);
  }

  const RecordingInput& input_;
  bool has_shape_;
  TokenRecording& recording_;
  std::int64_t responses_ = 0, left_out_ = 0;
  std::string disagreement_;  // the first
};

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
    if (has_extension(at->path(), {".json", ".jsonl", ".sse", ".npy"})) files.push_back(at->path());
    if (files.size() > kMaxFiles) break;
  }
  if (error || files.empty() || files.size() > kMaxFiles)
    throw usage_error(
        fmt::format("{} is not a folder of up to {} .json, .jsonl, .sse and .npy files",
                    input.paths[0].string(), kMaxFiles));
  std::sort(files.begin(), files.end());
  return files;
}

/// The user's top-k may count the shared experts that were left out, or not.
void require_topk(const RecordingInput& input, const TokenRecording& recording, int recorded) {
  if (input.topk == 0 || input.topk == recording.topk || input.topk == recorded) return;
  throw usage_error(
      fmt::format("{}: an answer has {} choices where {} are expected; check --layers and --topk, "
                  "or import other answers apart",
                  recording.source, recorded, input.topk));
}

TokenRecording read_routed(const RecordingInput& input, bool has_shape) {
  TokenRecording recording;
  recording.layers = input.layers;
  recording.experts = input.experts;
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
  for (const auto& file : files) {
    Answers answers(input, has_shape, recording);
    try {
      if (has_shape && is_npy(first_bytes(file, kNpyPrefix))) {
        const auto bytes = ByteStream(file).read_rest(kMaxHeldIds * 2);
        answers.add(of_npy(bytes, file.string()));
        continue;
      }
      if (for_each_routed_response(file, [&](const RoutedResponse& one) { answers.add(one); }))
        recording.notes.push_back(
            fmt::format("left out the last line of {}, which was cut off", file.string()));
      answers.finish();
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
  const int recorded = recording.topk;
  drop_dense_layers(recording);
  sift(recording);
  require_topk(input, recording, recorded);
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

/// Whether the first of them are lists of numbers.
bool lists_numbers(const RecordingInput& input) {
  constexpr std::string_view kName = "\"routed_experts\"";
  const auto files = files_of(input);
  const auto start = files.empty() ? "" : first_bytes(files[0], kRecognised);
  const auto name = start.find(kName);
  if (name == std::string::npos) return false;
  const auto colon = start.find_first_not_of(" \t\r\n", name + kName.size());
  const auto value =
      colon == std::string::npos ? colon : start.find_first_not_of(" \t\r\n", colon + 1);
  return value != std::string::npos && start[colon] == ':' && start[value] == '[';
}

bool is_vllm_routed(const RecordingInput& input) {
  return mentions(input, {"\"routed_experts\"", "k05VTVBZ"}) ||  // a .npy's magic in base64
         (mentions(input, {"\"routed_experts\""}) && lists_numbers(input));
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
