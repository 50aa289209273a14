#include "placement/search/search_kernels.hpp"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__)
#define GEMBENCH_X86 1
#include <immintrin.h>
#else
#define GEMBENCH_X86 0
#endif

namespace gembench::inline search {
namespace {

template <class Units>
void mask_plain(const Exchange<Units>& x, std::size_t words, std::uint64_t* mask) {
  for (std::size_t word = 0; word < words; ++word) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      const auto t = word * 64 + i;
      const bool over =
          x.a_in[t] - x.a_out[t] > x.a_room[t] || x.b_in[t] - x.b_out[t] > x.b_room[t];
      bits |= std::uint64_t{over} << i;
    }
    mask[word] = bits;
  }
}

/// Eight lanes to one number, always in this order.
double total(const double* lanes) {
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
         ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

double seconds_plain(std::span<const RankCost::Line> lines, double load) {
  const auto above = std::max(load, lines[0].start) - lines[0].start;
  double seconds = lines[0].base + lines[0].slope * above;
  for (const auto& line : lines.subspan(1))
    if (load >= line.start) seconds = line.base + line.slope * (load - line.start);
  return seconds;
}

/// Turns loads into seconds in place, by looking each up.
void look_up(const RankCost& curve, double* loads, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) loads[i] = curve(static_cast<std::int64_t>(loads[i]));
}

double seconds_plain(std::span<const RankCost::Line> lines, const RankCost* curve, double load) {
  if (lines.size() <= kFewLines) return seconds_plain(lines, load);
  look_up(*curve, &load, 1);
  return load;
}

std::optional<double> gain_plain(const CriticalSteps& s, double enough) {
  double lanes[kLanes] = {};
  for (std::size_t k = 0; k < s.count; k += kLanes) {
    if (k % kGainBlock == 0 && total(lanes) + s.rest[k / kGainBlock] <= enough) return std::nullopt;
    for (std::size_t l = 0; l < kLanes; ++l) {
      const auto t = k + l;
      const auto a = seconds_plain(s.a_cost, s.a_curve, s.a_kept[t] + s.a_in[t]);
      const auto b = seconds_plain(s.b_cost, s.b_curve, s.b_with[t] - s.b_out[t]);
      lanes[l] += s.weight[t] * (s.now[t] - std::max(std::max(a, b), s.others[t]));
    }
  }
  return total(lanes);
}

#if GEMBENCH_X86
// Vector types in signatures of functions without the feature would change the ABI: everything that
// touches them carries the attribute.
#define GEMBENCH_AVX2 __attribute__((target("avx2")))
#define GEMBENCH_AVX512 __attribute__((target("avx512f,avx512bw")))

template <class Units>
GEMBENCH_AVX2 inline __m256i load256(const Units* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

GEMBENCH_AVX2 inline __m256i over16(const Exchange<std::int16_t>& x, std::size_t t) {
  const auto a = _mm256_sub_epi16(load256(x.a_in + t), load256(x.a_out + t));
  const auto b = _mm256_sub_epi16(load256(x.b_in + t), load256(x.b_out + t));
  return _mm256_or_si256(_mm256_cmpgt_epi16(a, load256(x.a_room + t)),
                         _mm256_cmpgt_epi16(b, load256(x.b_room + t)));
}

GEMBENCH_AVX2 void mask_avx2(const Exchange<std::int16_t>& x, std::size_t words,
                             std::uint64_t* mask) {
  for (std::size_t word = 0; word < words; ++word) {
    std::uint64_t bits = 0;
    for (std::size_t half = 0; half < 2; ++half) {
      const auto t = word * 64 + half * 32;
      // Packing works within 128-bit lanes; the permutation puts the steps back in order.
      const auto bytes =
          _mm256_permute4x64_epi64(_mm256_packs_epi16(over16(x, t), over16(x, t + 16)), 0xd8);
      bits |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(bytes))} << (half * 32);
    }
    mask[word] = bits;
  }
}

GEMBENCH_AVX2 void mask_avx2(const Exchange<std::int32_t>& x, std::size_t words,
                             std::uint64_t* mask) {
  for (std::size_t word = 0; word < words; ++word) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 64; i += 8) {
      const auto t = word * 64 + i;
      const auto a = _mm256_sub_epi32(load256(x.a_in + t), load256(x.a_out + t));
      const auto b = _mm256_sub_epi32(load256(x.b_in + t), load256(x.b_out + t));
      const auto over = _mm256_or_si256(_mm256_cmpgt_epi32(a, load256(x.a_room + t)),
                                        _mm256_cmpgt_epi32(b, load256(x.b_room + t)));
      const auto lanes = _mm256_movemask_ps(_mm256_castsi256_ps(over));
      bits |= std::uint64_t{static_cast<std::uint32_t>(lanes)} << i;
    }
    mask[word] = bits;
  }
}

GEMBENCH_AVX2 inline __m256d seconds_avx2(std::span<const RankCost::Line> lines,
                                          const RankCost* curve, __m256d load) {
  if (lines.size() > kFewLines) {
    double loads[4];
    _mm256_storeu_pd(loads, load);
    look_up(*curve, loads, 4);
    return _mm256_loadu_pd(loads);
  }
  const auto start = _mm256_set1_pd(lines[0].start);
  const auto above = _mm256_sub_pd(_mm256_max_pd(load, start), start);
  auto seconds = _mm256_add_pd(_mm256_set1_pd(lines[0].base),
                               _mm256_mul_pd(_mm256_set1_pd(lines[0].slope), above));
  for (const auto& line : lines.subspan(1)) {
    const auto from = _mm256_set1_pd(line.start);
    const auto there =
        _mm256_add_pd(_mm256_set1_pd(line.base),
                      _mm256_mul_pd(_mm256_set1_pd(line.slope), _mm256_sub_pd(load, from)));
    seconds = _mm256_blendv_pd(seconds, there, _mm256_cmp_pd(load, from, _CMP_GE_OQ));
  }
  return seconds;
}

GEMBENCH_AVX2 inline __m256d saved_avx2(const CriticalSteps& s, std::size_t t) {
  const auto a =
      seconds_avx2(s.a_cost, s.a_curve,
                   _mm256_add_pd(_mm256_loadu_pd(s.a_kept + t), _mm256_loadu_pd(s.a_in + t)));
  const auto b =
      seconds_avx2(s.b_cost, s.b_curve,
                   _mm256_sub_pd(_mm256_loadu_pd(s.b_with + t), _mm256_loadu_pd(s.b_out + t)));
  const auto after = _mm256_max_pd(_mm256_max_pd(a, b), _mm256_loadu_pd(s.others + t));
  return _mm256_mul_pd(_mm256_loadu_pd(s.weight + t),
                       _mm256_sub_pd(_mm256_loadu_pd(s.now + t), after));
}

GEMBENCH_AVX2 std::optional<double> gain_avx2(const CriticalSteps& s, double enough) {
  auto low = _mm256_setzero_pd();
  auto high = _mm256_setzero_pd();
  double lanes[kLanes] = {};
  for (std::size_t k = 0; k < s.count; k += kLanes) {
    if (k % kGainBlock == 0 && total(lanes) + s.rest[k / kGainBlock] <= enough) return std::nullopt;
    low = _mm256_add_pd(low, saved_avx2(s, k));
    high = _mm256_add_pd(high, saved_avx2(s, k + 4));
    _mm256_storeu_pd(lanes, low);
    _mm256_storeu_pd(lanes + 4, high);
  }
  return total(lanes);
}

template <class Units>
GEMBENCH_AVX512 inline __m512i load512(const Units* at) {
  return _mm512_loadu_si512(static_cast<const void*>(at));
}

GEMBENCH_AVX512 void mask_avx512(const Exchange<std::int16_t>& x, std::size_t words,
                                 std::uint64_t* mask) {
  for (std::size_t word = 0; word < words; ++word) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 64; i += 32) {
      const auto t = word * 64 + i;
      const auto a = _mm512_sub_epi16(load512(x.a_in + t), load512(x.a_out + t));
      const auto b = _mm512_sub_epi16(load512(x.b_in + t), load512(x.b_out + t));
      const auto over = _mm512_cmpgt_epi16_mask(a, load512(x.a_room + t)) |
                        _mm512_cmpgt_epi16_mask(b, load512(x.b_room + t));
      bits |= std::uint64_t{static_cast<std::uint32_t>(over)} << i;
    }
    mask[word] = bits;
  }
}

GEMBENCH_AVX512 void mask_avx512(const Exchange<std::int32_t>& x, std::size_t words,
                                 std::uint64_t* mask) {
  for (std::size_t word = 0; word < words; ++word) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 64; i += 16) {
      const auto t = word * 64 + i;
      const auto a = _mm512_sub_epi32(load512(x.a_in + t), load512(x.a_out + t));
      const auto b = _mm512_sub_epi32(load512(x.b_in + t), load512(x.b_out + t));
      const auto over = _mm512_cmpgt_epi32_mask(a, load512(x.a_room + t)) |
                        _mm512_cmpgt_epi32_mask(b, load512(x.b_room + t));
      bits |= std::uint64_t{static_cast<std::uint16_t>(over)} << i;
    }
    mask[word] = bits;
  }
}

// The zero-masked form with nothing masked: GCC 12 warns of an undefined value in the plain one.
GEMBENCH_AVX512 inline __m512d max512(__m512d a, __m512d b) {
  return _mm512_maskz_max_pd(0xff, a, b);
}

GEMBENCH_AVX512 inline __m512d seconds_avx512(std::span<const RankCost::Line> lines,
                                              const RankCost* curve, __m512d load) {
  if (lines.size() > kFewLines) {
    double loads[8];
    _mm512_storeu_pd(loads, load);
    look_up(*curve, loads, 8);
    return _mm512_loadu_pd(loads);
  }
  const auto start = _mm512_set1_pd(lines[0].start);
  const auto above = _mm512_sub_pd(max512(load, start), start);
  auto seconds = _mm512_add_pd(_mm512_set1_pd(lines[0].base),
                               _mm512_mul_pd(_mm512_set1_pd(lines[0].slope), above));
  for (const auto& line : lines.subspan(1)) {
    const auto from = _mm512_set1_pd(line.start);
    const auto there =
        _mm512_add_pd(_mm512_set1_pd(line.base),
                      _mm512_mul_pd(_mm512_set1_pd(line.slope), _mm512_sub_pd(load, from)));
    seconds = _mm512_mask_blend_pd(_mm512_cmp_pd_mask(load, from, _CMP_GE_OQ), seconds, there);
  }
  return seconds;
}

GEMBENCH_AVX512 std::optional<double> gain_avx512(const CriticalSteps& s, double enough) {
  auto sum = _mm512_setzero_pd();
  double lanes[kLanes] = {};
  for (std::size_t k = 0; k < s.count; k += kLanes) {
    if (k % kGainBlock == 0 && total(lanes) + s.rest[k / kGainBlock] <= enough) return std::nullopt;
    const auto a =
        seconds_avx512(s.a_cost, s.a_curve,
                       _mm512_add_pd(_mm512_loadu_pd(s.a_kept + k), _mm512_loadu_pd(s.a_in + k)));
    const auto b =
        seconds_avx512(s.b_cost, s.b_curve,
                       _mm512_sub_pd(_mm512_loadu_pd(s.b_with + k), _mm512_loadu_pd(s.b_out + k)));
    const auto after = max512(max512(a, b), _mm512_loadu_pd(s.others + k));
    sum = _mm512_add_pd(sum, _mm512_mul_pd(_mm512_loadu_pd(s.weight + k),
                                           _mm512_sub_pd(_mm512_loadu_pd(s.now + k), after)));
    _mm512_storeu_pd(lanes, sum);
  }
  return total(lanes);
}
#endif

}  // namespace

bool has_isa(Isa isa) {
  if (isa == Isa::plain) return true;
#if GEMBENCH_X86
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
  return false;
#endif
}

Isa best_isa() {
  return has_isa(Isa::avx512) ? Isa::avx512 : has_isa(Isa::avx2) ? Isa::avx2 : Isa::plain;
}

template <class Units>
StepMask<Units> step_mask(Isa isa) {
#if GEMBENCH_X86
  if (has_isa(isa) && isa == Isa::avx2) return mask_avx2;
  if (has_isa(isa) && isa == Isa::avx512) return mask_avx512;
#endif
  static_cast<void>(isa);
  return mask_plain<Units>;
}

CriticalGain critical_gain(Isa isa) {
#if GEMBENCH_X86
  if (has_isa(isa) && isa == Isa::avx2) return gain_avx2;
  if (has_isa(isa) && isa == Isa::avx512) return gain_avx512;
#endif
  static_cast<void>(isa);
  return gain_plain;
}

template StepMask<std::int16_t> step_mask<std::int16_t>(Isa isa);
template StepMask<std::int32_t> step_mask<std::int32_t>(Isa isa);

}  // namespace gembench::inline search
