#pragma once

#include <string>
#include <string_view>

namespace gembench::inline encodings {

/// The bytes of a base64 text (RFC 4648, padded or not, nothing else in it). Usage error for
/// anything else.
[[nodiscard]] std::string decode_base64(std::string_view text);

}  // namespace gembench::inline encodings
