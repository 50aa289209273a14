#include "placement/recordings/routed_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "placement/base/error.hpp"
#include "placement/encodings/json_lines.hpp"
#include "placement/recordings/token_recording.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 30;
constexpr std::size_t kMaxDepth = 64;
constexpr std::string_view kRoutes = "routed_experts";

/// Collects lists [token][layer][k] of numbers.
class NestedRoutes {
 public:
  void enter() {
    if (++depth_ > 3) refuse();
    if (depth_ > 1) ++sizes_[depth_ - 2];
    if (depth_ < 3) sizes_[depth_] = 0;
    sizes_[depth_ - 1] = 0;
  }
  /// True after the last list.
  bool leave() {
    auto& expected = answer.shape;
    if (expected.empty()) expected.assign(3, -1);
    auto& size = expected[depth_ - 1];
    if (size >= 0 && size != sizes_[depth_ - 1]) refuse();
    size = sizes_[depth_ - 1];
    return --depth_ == 0;
  }
  void number(std::int64_t id) {
    if (depth_ != 3) refuse();
    if (id < -1 || id > kNoExpert)
      throw usage_error(fmt::format("its routed_experts name expert {}; check the file", id));
    ++sizes_[2];
    answer.ids.push_back(static_cast<std::uint16_t>(id));
  }
  [[noreturn]] static void refuse() {
    throw usage_error("its routed_experts are no lists [token][layer][k] of whole numbers");
  }

  RoutedAnswer answer;

 private:
  std::array<std::int64_t, 3> sizes_{};
  std::size_t depth_ = 0;
};

/// nlohmann's SAX interface: finds answers without holding anything else of a response.
struct Finder {
  struct Scope {                            // an object or array that is open
    std::string key;                        // of the value that comes next
    std::vector<RoutedAnswer> answers;      // that wait for a statement of their tokens
    std::vector<RoutedResponse> responses;  // that have one
    std::int64_t prompt_tokens = -1, completion_tokens = -1;
    int without_routes = 0;
    bool says_usage = false;  // it is the value of `usage` or `meta_info`
  };
  const std::function<void(RoutedResponse)>& keep;
  std::vector<Scope> open;
  std::string broken;
  std::unique_ptr<NestedRoutes> nested = nullptr;

  bool enter() {
    if (open.size() > kMaxDepth) throw usage_error("it is nested too deeply for a response");
    const auto& key = open.back().key;
    Scope scope;
    scope.says_usage = key == "usage" || key == "meta_info";
    open.push_back(std::move(scope));
    return true;
  }
  static void complete(Scope& scope) {
    if (scope.answers.empty()) return;
    scope.responses.push_back({std::exchange(scope.answers, {}), scope.prompt_tokens,
                               scope.completion_tokens, std::exchange(scope.without_routes, 0)});
  }
  /// Answers whose prompt is known are complete; others wait for the enclosing object.
  bool leave() {
    Scope scope = std::move(open.back());
    open.pop_back();
    Scope& around = open.back();
    if (scope.prompt_tokens >= 0) complete(scope);
    for (auto& answer : scope.answers) around.answers.push_back(std::move(answer));
    around.without_routes += scope.without_routes;
    for (auto& response : scope.responses) around.responses.push_back(std::move(response));
    if (scope.says_usage && around.prompt_tokens < 0) {
      around.prompt_tokens = scope.prompt_tokens;
      around.completion_tokens = scope.completion_tokens;
    }
    if (open.size() > 1) return true;
    complete(around);
    for (auto& response : std::exchange(around.responses, {})) keep(std::move(response));
    return true;
  }
  bool whole(std::uint64_t value) {
    if (nested) {
      nested->number(static_cast<std::int64_t>(std::min(value, std::uint64_t{1} << 32)));
    } else if (value <= 1U << 30) {
      auto& scope = open.back();
      if (scope.key == "prompt_tokens") scope.prompt_tokens = static_cast<std::int64_t>(value);
      if (scope.key == "completion_tokens")
        scope.completion_tokens = static_cast<std::int64_t>(value);
    }
    return true;
  }
  bool other() {
    if (nested) NestedRoutes::refuse();
    return true;
  }

  bool null() {
    if (!nested && open.back().key == kRoutes) ++open.back().without_routes;
    return other();
  }
  bool boolean(bool) { return other(); }
  bool number_integer(std::int64_t value) {
    if (nested) nested->number(value);
    return true;
  }
  bool number_unsigned(std::uint64_t value) { return whole(value); }
  bool number_float(double, const std::string&) { return other(); }
  bool binary(nlohmann::json::binary_t&) { return other(); }
  bool string(std::string& text) {
    if (nested) NestedRoutes::refuse();
    auto& scope = open.back();
    if (scope.key != kRoutes) return true;
    if (text.empty())
      ++scope.without_routes;
    else
      scope.answers.push_back({std::move(text), {}, {}});
    return true;
  }
  bool key(std::string& name) {
    open.back().key = name.size() <= 32 ? name : std::string();
    return true;
  }
  bool start_object(std::size_t) {
    if (nested) NestedRoutes::refuse();
    return enter();
  }
  bool end_object() { return leave(); }
  bool start_array(std::size_t) {
    if (!nested && open.back().key == kRoutes) nested = std::make_unique<NestedRoutes>();
    if (!nested) return enter();
    nested->enter();
    return true;
  }
  bool end_array() {
    if (!nested) return leave();
    if (!nested->leave()) return true;
    if (nested->answer.ids.empty())
      ++open.back().without_routes;
    else
      open.back().answers.push_back(std::move(nested->answer));
    nested.reset();
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception&) {
    broken = fmt::format("it is no JSON from byte {} on", at);
    return false;
  }
};

void find_answers(const std::string& text, const std::function<void(RoutedResponse)>& keep) {
  Finder finder{keep, {Finder::Scope{}}, ""};
  nlohmann::json::sax_parse(text, &finder);
  if (!finder.broken.empty()) throw usage_error(finder.broken);
}

}  // namespace

bool for_each_routed_response(const std::filesystem::path& path,
                              const std::function<void(RoutedResponse)>& keep) {
  JsonLines lines(path, kMaxText);
  bool first = true;
  return lines.for_each([&](std::string& text) {
    if (std::exchange(first, false) && !nlohmann::json::accept(text)) {
      text += '\n';  // a document over several lines
      text += lines.rest(kMaxText - text.size());
    }
    find_answers(text, keep);
  });
}

}  // namespace gembench::inline recordings
