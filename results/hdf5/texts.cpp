#include "results/hdf5/texts.hpp"

#include <hdf5.h>

#include <string_view>

namespace gembench::h5 {
namespace {

/// Copies strings that HDF5 allocated and gives them back; an empty one may be a null pointer.
std::vector<std::string> take(const std::vector<char*>& texts) {
  std::vector<std::string> result;
  result.reserve(texts.size());
  for (char* text : texts) {
    result.emplace_back(text != nullptr ? text : "");
    H5free_memory(text);
  }
  return result;
}

/// Without what fills it up to its length.
std::string_view without_padding(std::string_view cell, H5T_str_t padding) {
  if (padding == H5T_STR_NULLTERM) return cell.substr(0, cell.find('\0'));
  const char filler = padding == H5T_STR_SPACEPAD ? ' ' : '\0';
  return cell.substr(0, cell.find_last_not_of(filler) + 1);
}

}  // namespace

Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> result;
  result.reserve(texts.size());
  for (const auto& text : texts) result.push_back(text.c_str());
  return result;
}

bool is_readable_text(std::int64_t type, std::uint64_t count) {
  if (H5Tget_class(type) != H5T_STRING) return false;
  const std::uint64_t size = H5Tget_size(type);
  return size > 0 && count <= kMaxTextBytes / size;
}

std::vector<std::string> read_texts_of(std::int64_t type, std::size_t count,
                                       const std::function<void(void*)>& read) {
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> texts(count);
    read(texts.data());
    return take(texts);
  }
  const std::size_t size = H5Tget_size(type);
  std::vector<char> cells(count * size);
  read(cells.data());
  std::vector<std::string> result;
  result.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    result.emplace_back(without_padding({cells.data() + i * size, size}, H5Tget_strpad(type)));
  return result;
}

}  // namespace gembench::h5
