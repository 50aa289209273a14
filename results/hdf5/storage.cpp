#include "results/hdf5/storage.hpp"

#include <hdf5.h>

#include <algorithm>
#include <limits>

namespace gembench::h5 {
namespace {

constexpr std::uint64_t kMaxWrittenChunk = 1 << 20;  // bytes
constexpr std::uint64_t kStepsOfChunk = 64;
constexpr std::uint64_t kLabelsOfChunk = 4096;  // steps, of datasets with one value a step

}  // namespace

std::int64_t file_type(Type type) {
  switch (type) {
    case Type::float32:
      return H5T_IEEE_F32LE;
    case Type::float64:
      return H5T_IEEE_F64LE;
    case Type::int32:
      return H5T_STD_I32LE;
    case Type::int64:
      return H5T_STD_I64LE;
    case Type::uint16:
      return H5T_STD_U16LE;
    case Type::text:
      break;
  }
  return H5I_INVALID_HID;
}

std::int64_t native_type(Type type) {
  switch (type) {
    case Type::float32:
      return H5T_NATIVE_FLOAT;
    case Type::float64:
      return H5T_NATIVE_DOUBLE;
    case Type::int32:
      return H5T_NATIVE_INT32;
    case Type::int64:
      return H5T_NATIVE_INT64;
    case Type::uint16:
      return H5T_NATIVE_UINT16;
    case Type::text:
      break;
  }
  return H5I_INVALID_HID;
}

Handle space_of(const Extents& extents, bool grows) {
  if (extents.empty()) return {H5Screate(H5S_SCALAR), H5Sclose};
  const std::vector<hsize_t> dims(extents.begin(), extents.end());
  auto most = dims;
  if (grows) most[0] = H5S_UNLIMITED;
  return {H5Screate_simple(static_cast<int>(dims.size()), dims.data(), most.data()), H5Sclose};
}

bool grows(Layout layout) {
  return layout == Layout::growing || layout == Layout::growing_compressed;
}

std::uint64_t product(const Extents& extents, std::uint64_t factor) {
  for (auto extent : extents) {
    if (__builtin_mul_overflow(factor, extent, &factor)) {
      return std::numeric_limits<std::uint64_t>::max();
    }
  }
  return factor;
}

Extents chunk_of(const Variable& variable, const Extents& extents) {
  Extents chunk = extents;
  for (std::size_t d = 0; d < chunk.size(); ++d) {
    if (variable.dims[d] == "placement") chunk[d] = 1;
    if (variable.dims[d] == "step") chunk[d] = std::min(kStepsOfChunk, chunk[d]);
  }
  if (grows(variable.layout)) chunk[0] = variable.rank() == 1 ? kLabelsOfChunk : kStepsOfChunk;
  const auto size = H5Tget_size(file_type(variable.type));
  for (std::size_t d = 0; d < chunk.size(); ++d) {
    while (chunk[d] > 1 && product(chunk, size) > kMaxWrittenChunk) chunk[d] = (chunk[d] + 1) / 2;
  }
  return chunk;
}

}  // namespace gembench::h5
