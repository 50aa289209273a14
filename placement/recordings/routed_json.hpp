#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gembench::inline recordings {

/// The routes of one answer of a server: a text, or numbers.
struct RoutedAnswer {
  std::string base64;               ///< its `routed_experts`; empty where these are numbers
  std::vector<std::uint16_t> ids;   ///< its `routed_experts` as lists of numbers
  std::vector<std::int64_t> shape;  ///< of `ids`: [token, layer, k]
};

/// Answers that share a statement of how many tokens there were: the choices of one response.
struct RoutedResponse {
  std::vector<RoutedAnswer> answers;
  std::int64_t prompt_tokens = -1;      ///< -1: not said
  std::int64_t completion_tokens = -1;  ///< of all answers together; -1: not said
  int without_routes = 0;               ///< answers more, which completion_tokens counts too
};

/// Every response in a file of JSON lines, of server-sent events, or of one document, in order.
/// Holds one line, or the document. Usage error naming the file and line for what is no JSON,
/// nested too deeply or too long. True if the last line was cut off, which is left out.
bool for_each_routed_response(const std::filesystem::path& path,
                              const std::function<void(RoutedResponse)>& keep);

}  // namespace gembench::inline recordings
