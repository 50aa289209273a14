#include "placement/encodings/yaml_events.hpp"

#include <fmt/format.h>
#include <yaml.h>

#include <charconv>
#include <new>

#include "placement/base/error.hpp"

namespace gembench::inline encodings {
namespace {

constexpr std::int64_t kMaxEvents = std::int64_t{1} << 24;

/// An event is freed whatever happens to it.
struct Event {
  yaml_event_t event{};
  Event() = default;
  ~Event() { yaml_event_delete(&event); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
};

}  // namespace

struct YamlEvents::Parser {
  yaml_parser_t parser{};
};

YamlEvents::YamlEvents(std::string_view text) : parser_(std::make_unique<Parser>()) {
  if (yaml_parser_initialize(&parser_->parser) == 0) throw std::bad_alloc();
  yaml_parser_set_input_string(&parser_->parser,
                               reinterpret_cast<const unsigned char*>(text.data()), text.size());
}

YamlEvents::~YamlEvents() {
  yaml_parser_delete(&parser_->parser);
}

YamlEvents::Kind YamlEvents::next() {
  for (;;) {
    Event got;
    if (yaml_parser_parse(&parser_->parser, &got.event) == 0)
      refuse(parser_->parser.problem ? parser_->parser.problem : "it is no YAML");
    if (++events_ > kMaxEvents) refuse("it has too many values for a placement");
    const auto plain = [&](const unsigned char* anchor, const unsigned char* tag) {
      if (anchor || tag) refuse("anchors and tags have no place here");
    };
    switch (got.event.type) {
      case YAML_MAPPING_START_EVENT:
        plain(got.event.data.mapping_start.anchor, got.event.data.mapping_start.tag);
        return Kind::mapping;
      case YAML_MAPPING_END_EVENT:
        return Kind::end_mapping;
      case YAML_SEQUENCE_START_EVENT:
        plain(got.event.data.sequence_start.anchor, got.event.data.sequence_start.tag);
        return Kind::list;
      case YAML_SEQUENCE_END_EVENT:
        return Kind::end_list;
      case YAML_SCALAR_EVENT: {
        const auto& scalar = got.event.data.scalar;
        plain(scalar.anchor, scalar.tag);
        value_.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
        return Kind::value;
      }
      case YAML_ALIAS_EVENT:
        refuse("aliases have no place here");
      case YAML_DOCUMENT_END_EVENT:
      case YAML_STREAM_END_EVENT:
        return Kind::end;
      case YAML_NO_EVENT:
      case YAML_STREAM_START_EVENT:
      case YAML_DOCUMENT_START_EVENT:
        break;
    }
  }
}

void YamlEvents::expect(Kind kind, std::string_view what) {
  if (next() != kind) refuse(fmt::format("here must be {}", what));
}

std::int32_t YamlEvents::count() const {
  std::int32_t number = -1;
  const char* end = value_.data() + value_.size();
  const auto [stop, error] = std::from_chars(value_.data(), end, number);
  if (error != std::errc() || stop != end || number < 0)
    refuse(fmt::format("'{}' is no whole number of 32 bits from 0", shown(value_)));
  return number;
}

void YamlEvents::refuse(std::string_view why) const {
  throw usage_error(fmt::format("line {}: {}", parser_->parser.mark.line + 1, why));
}

}  // namespace gembench::inline encodings
