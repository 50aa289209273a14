// Device functions of one CUDA thread. Fences are nothing, since threads run one at a time.
// Included by simulated_kernel.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <type_traits>

#include "tests/cuda_simulation/clock.hpp"

/// Loads and stores with a cache hint.
template <class T>
T __ldg(const T* at) {
  return *at;
}
template <class T>
T __ldcg(const T* at) {
  return *at;
}
template <class T>
T __ldcs(const T* at) {
  return *at;
}
template <class T>
void __stcs(T* at, std::type_identity_t<T> value) {
  *at = value;
}
template <class T>
void __stcg(T* at, std::type_identity_t<T> value) {
  *at = value;
}

// Atomic and without any order, as a GPU's are: blocks may run on several threads.
template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*at).fetch_add(value, std::memory_order_relaxed);
}
template <class T>
T atomicSub(T* at, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*at).fetch_sub(value, std::memory_order_relaxed);
}
template <class T, class F>
T gembench_atomic_update(T* at, F&& next) {
  const std::atomic_ref<T> place(*at);
  T before = place.load(std::memory_order_relaxed);
  while (!place.compare_exchange_weak(before, next(before), std::memory_order_relaxed)) continue;
  return before;
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> value) {
  return gembench_atomic_update(at, [&](T before) { return std::max(before, value); });
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> value) {
  return gembench_atomic_update(at, [&](T before) { return std::min(before, value); });
}
template <class T>
T atomicExch(T* at, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*at).exchange(value, std::memory_order_relaxed);
}
template <class T>
T atomicOr(T* at, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*at).fetch_or(value, std::memory_order_relaxed);
}
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*at).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;
}
#if !defined(GEMBENCH_BLOCKS_ON_THREADS)  // ThreadSanitizer knows no fences
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
#endif

inline int __popc(unsigned bits) {
  return std::popcount(bits);
}
inline int __popcll(unsigned long long bits) {
  return std::popcount(bits);
}
inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}
inline int __clz(int bits) {
  return std::countl_zero(static_cast<unsigned>(bits));
}

inline float rsqrtf(float x) {
  return 1.0F / std::sqrt(x);
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float __logf(float x) {
  return std::log(x);
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float __frcp_rn(float x) {
  return 1.0F / x;
}
inline float __int_as_float(int bits) {
  return std::bit_cast<float>(bits);
}
inline int __float_as_int(float value) {
  return std::bit_cast<int>(value);
}
inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}

/// ns of the GPU's clock: clock.hpp.
inline unsigned long long gembench_simulated_timer() {
  return gembench::simulation::read_clock();
}
inline long long clock64() {
  return static_cast<long long>(gembench_simulated_timer());
}
inline void __nanosleep(unsigned ns) {
  const unsigned long long end = gembench_simulated_timer() + ns;
  while (gembench_simulated_timer() < end) continue;
}
[[noreturn]] inline void __trap() {
  std::abort();
}
