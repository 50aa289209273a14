#include "placement/encodings/elements.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace gembench::inline encodings {
namespace {

static_assert(std::endian::native == std::endian::little);

double of_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

double of_float16(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
  if (exponent == 0x1f) return std::numeric_limits<double>::quiet_NaN();  // or infinite
  const double value =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

template <class Widen>
bool convert_16_bits(std::span<const char> bytes, std::span<std::int64_t> values, Widen widen) {
  bool whole = true;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof bits, sizeof bits);
    const double wide = widen(bits);
    const bool fits = wide == std::nearbyint(wide) && std::abs(wide) < 9007199254740992.0;
    whole = whole && fits;
    values[i] = fits ? static_cast<std::int64_t>(wide) : 0;
  }
  return whole;
}

template <class T>
bool convert(std::span<const char> bytes, std::span<std::int64_t> values) {
  bool whole = true;
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value{};
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::is_floating_point_v<T>) {
      const double wide = value;
      const bool fits = wide == std::nearbyint(wide) && std::abs(wide) < 9007199254740992.0;
      whole = whole && fits;
      values[i] = fits ? static_cast<std::int64_t>(wide) : 0;
    } else {
      values[i] = std::int64_t{value};
    }
  }
  return whole;
}

}  // namespace

std::size_t size_of(Element element) {
  switch (element) {
    case Element::int8:
    case Element::uint8:
      return 1;
    case Element::int16:
    case Element::uint16:
    case Element::float16:
    case Element::bfloat16:
      return 2;
    case Element::int32:
    case Element::uint32:
    case Element::float32:
      return 4;
    case Element::int64:
    case Element::float64:
      return 8;
  }
  return 0;
}

std::int64_t exact_up_to(Element element) {
  return element == Element::bfloat16 ? 256 : element == Element::float16 ? 2048 : 0;
}

bool to_integers(Element element, std::span<const char> bytes, std::span<std::int64_t> values) {
  switch (element) {
    case Element::int8:
      return convert<std::int8_t>(bytes, values);
    case Element::uint8:
      return convert<std::uint8_t>(bytes, values);
    case Element::int16:
      return convert<std::int16_t>(bytes, values);
    case Element::uint16:
      return convert<std::uint16_t>(bytes, values);
    case Element::int32:
      return convert<std::int32_t>(bytes, values);
    case Element::uint32:
      return convert<std::uint32_t>(bytes, values);
    case Element::int64:
      return convert<std::int64_t>(bytes, values);
    case Element::float16:
      return convert_16_bits(bytes, values, of_float16);
    case Element::bfloat16:
      return convert_16_bits(bytes, values, of_bfloat16);
    case Element::float32:
      return convert<float>(bytes, values);
    case Element::float64:
      return convert<double>(bytes, values);
  }
  return false;
}

}  // namespace gembench::inline encodings
