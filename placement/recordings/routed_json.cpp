#include "placement/recordings/routed_json.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/encodings/byte_stream.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 30;
constexpr std::size_t kMaxDepth = 64;

/// nlohmann's SAX interface: finds answers without holding anything else of a response.
struct Finder {
  struct Scope {      // an object or array that is open
    std::string key;  // of the value that comes next
    std::vector<RoutedAnswer> answers;
    std::int64_t prompt_tokens = -1;
    bool says_usage = false;  // it is the value of `usage` or `meta_info`
  };
  const std::function<void(RoutedAnswer)>& keep;
  std::vector<Scope> open;
  std::string broken;

  bool enter() {
    if (open.size() > kMaxDepth) throw usage_error("it is nested too deeply for a response");
    const auto& key = open.back().key;
    Scope scope;
    scope.says_usage = key == "usage" || key == "meta_info";
    open.push_back(std::move(scope));
    return true;
  }
  /// Answers whose prompt is known are complete; others wait for the enclosing object.
  bool leave() {
    Scope scope = std::move(open.back());
    open.pop_back();
    Scope& around = open.back();
    for (auto& answer : scope.answers) {
      if (answer.prompt_tokens < 0) answer.prompt_tokens = scope.prompt_tokens;
      around.answers.push_back(std::move(answer));
    }
    if (scope.says_usage && around.prompt_tokens < 0) around.prompt_tokens = scope.prompt_tokens;
    if (open.size() == 1)
      for (auto& answer : std::exchange(around.answers, {})) keep(std::move(answer));
    return true;
  }
  bool whole(std::uint64_t value) {
    if (open.back().key == "prompt_tokens" && value <= 1U << 30)
      open.back().prompt_tokens = static_cast<std::int64_t>(value);
    return true;
  }

  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(std::int64_t) { return true; }
  bool number_unsigned(std::uint64_t value) { return whole(value); }
  bool number_float(double, const std::string&) { return true; }
  bool binary(nlohmann::json::binary_t&) { return true; }
  bool string(std::string& text) {
    if (open.back().key == "routed_experts") open.back().answers.push_back({std::move(text), -1});
    return true;
  }
  bool key(std::string& name) {
    open.back().key = name.size() <= 32 ? name : std::string();
    return true;
  }
  bool start_object(std::size_t) { return enter(); }
  bool end_object() { return leave(); }
  bool start_array(std::size_t) { return enter(); }
  bool end_array() { return leave(); }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception&) {
    broken = fmt::format("it is no JSON from byte {} on", at);
    return false;
  }
};

void find_answers(const std::string& text, const std::function<void(RoutedAnswer)>& keep) {
  Finder finder{keep, {Finder::Scope{}}, ""};
  nlohmann::json::sax_parse(text, &finder);
  if (!finder.broken.empty()) throw usage_error(finder.broken);
}

}  // namespace

void for_each_routed_answer(const std::filesystem::path& path,
                            const std::function<void(RoutedAnswer)>& keep) {
  ByteStream in(path);
  std::string text;
  std::int64_t line = 0;
  try {
    while (in.read_line(text, kMaxText)) {
      ++line;
      if (line == 1 && !nlohmann::json::accept(text)) {  // a document over several lines
        text += '\n';
        text += in.read_rest(kMaxText - text.size());
      }
      if (!text.empty()) find_answers(text, keep);
    }
  } catch (const Error& error) {
    const std::string why = error.what();
    if (why.starts_with(path.string())) throw;
    throw usage_error(fmt::format("{}:{}: {}", path.string(), line, why));
  }
}

}  // namespace gembench::inline recordings
