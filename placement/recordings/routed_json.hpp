#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace gembench::inline recordings {

/// One answer of a server.
struct RoutedAnswer {
  std::string base64;               ///< its `routed_experts`
  std::int64_t prompt_tokens = -1;  ///< -1: not said
};

/// Every answer in a file of JSON lines, or of one document, in order. Holds one line, or the
/// document. Usage error naming the file and line for what is no JSON, nested too deeply or too
/// long.
void for_each_routed_answer(const std::filesystem::path& path,
                            const std::function<void(RoutedAnswer)>& keep);

}  // namespace gembench::inline recordings
