#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gembench::inline encodings {

/// The subset of YAML that engines' files need: mappings, lists, plain values. It works event by
/// event, so that a hostile file cannot build large structures. Aliases, anchors and tags are
/// rejected. Usage errors name the line.
class YamlEvents {
 public:
  enum class Kind { mapping, end_mapping, list, end_list, value, end };

  /// `text` must outlive it.
  explicit YamlEvents(std::string_view text);
  ~YamlEvents();
  YamlEvents(const YamlEvents&) = delete;
  YamlEvents& operator=(const YamlEvents&) = delete;

  /// Advances; value() is that of the event.
  Kind next();
  [[nodiscard]] const std::string& value() const { return value_; }
  /// Advances and refuses another kind than this.
  void expect(Kind kind, std::string_view what);
  /// The value as a whole number of 32 bits, not negative.
  [[nodiscard]] std::int32_t count() const;
  [[noreturn]] void refuse(std::string_view why) const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  std::string value_;
  std::int64_t events_ = 0;
};

}  // namespace gembench::inline encodings
