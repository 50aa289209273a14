#pragma once

#include <cstdint>

namespace gembench::inline base {

/// SplitMix64 finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
/// generators"): a bijective 64-bit mixer, used as a counter-based generator so that any value can
/// be made anywhere from its coordinates alone, bit-identical on every device.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

__extension__ typedef unsigned __int128 uint128;  // not ISO C++, on every 64-bit compiler

/// Key of a stream of values: fold coordinates in one after the other.
[[nodiscard]] constexpr std::uint64_t fold(std::uint64_t key, std::uint64_t coordinate) {
  return mix64(key ^ mix64(coordinate));
}

/// A small sequential generator over mix64 for planners and generators (std distributions differ
/// between libraries, so they are not used anywhere results depend on them).
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : key_(mix64(seed)) {}
  constexpr std::uint64_t next() { return fold(key_, ++counter_); }
  /// Uniform in [0, 1), 53 bits.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  /// Uniform in [0, n), n > 0; the bias of n / 2^64 is ignored.
  constexpr std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<uint128>(next()) * n) >> 64);
  }
  /// Fisher-Yates.
  template <class Range>
  constexpr void shuffle(Range&& range) {
    for (std::uint64_t i = range.size(); i > 1; --i) {
      auto j = below(i);
      auto kept = range[i - 1];
      range[i - 1] = range[j];
      range[j] = kept;
    }
  }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

}  // namespace gembench::inline base
