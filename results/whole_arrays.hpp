#pragma once

#include <fmt/format.h>

#include <functional>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "results/hdf5/hdf5.hpp"

namespace gembench::inline results {

// Arrays that are created and written at once.

/// std::invalid_argument, naming the array, unless it fills `extents`: the caller's mistake.
template <class T>
void require_size(const std::vector<T>& values, const h5::Extents& extents, std::string_view name) {
  const auto size =
      std::accumulate(extents.begin(), extents.end(), std::uint64_t{1}, std::multiplies<>());
  if (values.size() == size) return;
  throw std::invalid_argument(
      fmt::format("{} holds {} values instead of {}", name, values.size(), size));
}

template <class T>
void add(h5::File& file, const h5::Variable& variable, const h5::Extents& extents,
         const std::vector<T>& values) {
  require_size(values, extents, variable.name);
  file.make(variable, extents);
  file.write(variable, std::span<const T>(values));
}

template <class T>
void add_scale(h5::File& file, const h5::Variable& scale, const std::vector<T>& values) {
  file.make_scale(scale, values.size());
  file.write(scale, std::span<const T>(values));
}

/// A scale of 0, 1, ...
inline void add_index(h5::File& file, const h5::Variable& scale, std::uint64_t count) {
  std::vector<std::int32_t> index(count);
  std::iota(index.begin(), index.end(), 0);
  add_scale(file, scale, index);
}

}  // namespace gembench::inline results
