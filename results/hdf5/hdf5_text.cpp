// Attributes and strings.
#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <charconv>

#include "results/hdf5/hdf5.hpp"
#include "results/hdf5/hdf5_detail.hpp"

namespace gembench::h5 {
namespace {

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> result;
  result.reserve(texts.size());
  for (const auto& text : texts) result.push_back(text.c_str());
  return result;
}

/// Copies strings that HDF5 allocated and gives them back; an empty one may be a null pointer.
std::vector<std::string> take(std::vector<char*>& texts) {
  std::vector<std::string> result;
  result.reserve(texts.size());
  for (char* text : texts) {
    result.emplace_back(text != nullptr ? text : "");
    H5free_memory(text);
  }
  return result;
}

Handle space_for(std::size_t count) {
  const hsize_t dims[] = {count};
  return {H5Screate_simple(1, dims, nullptr), H5Sclose};
}

int major_of(std::string_view version) {
  int major = -1;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major;
}

}  // namespace

void File::write(const Variable& variable, const std::vector<std::string>& values) {
  const auto set = dataset(variable.name);
  check(H5Dwrite(set.get(), text_type().get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                 pointers(values).data()));
}

std::vector<std::string> File::read_texts(const Variable& variable, const Extents& wanted) const {
  std::vector<char*> texts(stored_size(variable, wanted));
  const auto set = dataset(variable.name);
  check(H5Dread(set.get(), text_type().get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, texts.data()));
  return take(texts);
}

void File::set(std::string_view object, std::string_view name, const Attribute& value) {
  const std::string path(object), key(name);
  const auto strings = text_type();
  const char* text = nullptr;
  std::vector<const char*> texts;
  hid_t type = strings.get(), memory = strings.get();
  const void* data = nullptr;
  Handle space(check(H5Screate(H5S_SCALAR)), H5Sclose);
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    type = H5T_STD_I64LE, memory = H5T_NATIVE_INT64, data = number;
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    type = H5T_STD_U64LE, memory = H5T_NATIVE_UINT64, data = natural;
  } else if (const auto* real = std::get_if<double>(&value)) {
    type = H5T_IEEE_F64LE, memory = H5T_NATIVE_DOUBLE, data = real;
  } else if (const auto* one = std::get_if<std::string>(&value)) {
    text = one->c_str(), data = &text;
  } else {
    const auto& list = std::get<std::vector<std::string>>(value);
    texts = pointers(list), data = texts.data(), space = space_for(list.size());
  }
  // Through the open object: HDF5 1.10 may lose sight of an attribute opened by its path alone.
  const Handle owner(check(H5Oopen(id_.get(), path.c_str(), H5P_DEFAULT)), H5Oclose);
  const bool exists = check(H5Aexists(owner.get(), key.c_str())) > 0;
  const Handle attribute(check(exists ? H5Aopen(owner.get(), key.c_str(), H5P_DEFAULT)
                                      : H5Acreate2(owner.get(), key.c_str(), type, space.get(),
                                                   H5P_DEFAULT, H5P_DEFAULT)),
                         H5Aclose);
  check(H5Awrite(attribute.get(), memory, data));
}

Handle File::attribute(std::string_view object, std::string_view name) const {
  const std::string path(object), key(name);
  if (H5Aexists_by_name(id_.get(), path.c_str(), key.c_str(), H5P_DEFAULT) <= 0) {
    refuse(fmt::format("it has no attribute {}{}{}", object == "/" ? "" : object,
                       object == "/" ? "" : "@", name));
  }
  return {check(H5Aopen_by_name(id_.get(), path.c_str(), key.c_str(), H5P_DEFAULT, H5P_DEFAULT)),
          H5Aclose};
}

template <class T>
T File::get(std::string_view object, std::string_view name) const {
  const auto found = attribute(object, name);
  const Handle type(check(H5Aget_type(found.get())), H5Tclose);
  const Handle space(check(H5Aget_space(found.get())), H5Sclose);
  const auto count = H5Sget_simple_extent_npoints(space.get());
  const auto kind = H5Tget_class(type.get());
  constexpr bool list = std::is_same_v<T, std::vector<std::string>>;
  constexpr bool number = std::is_arithmetic_v<T>;
  const bool fits = number ? kind == H5T_INTEGER || (kind == H5T_FLOAT && std::is_same_v<T, double>)
                           : kind == H5T_STRING && H5Tis_variable_str(type.get()) > 0;
  if (!fits || count < 1 || (!list && count != 1)) {
    refuse(fmt::format("its attribute {} has another type", name));
  }
  if constexpr (number) {
    T value{};
    const hid_t memory = std::is_same_v<T, double>         ? H5T_NATIVE_DOUBLE
                         : std::is_same_v<T, std::int64_t> ? H5T_NATIVE_INT64
                                                           : H5T_NATIVE_UINT64;
    check(H5Aread(found.get(), memory, &value));
    return value;
  } else {
    std::vector<char*> texts(static_cast<std::size_t>(count));
    check(H5Aread(found.get(), text_type().get(), texts.data()));
    auto result = take(texts);
    if constexpr (list) return result;
    if constexpr (!list) return result.front();
  }
}

template std::int64_t File::get(std::string_view, std::string_view) const;
template std::uint64_t File::get(std::string_view, std::string_view) const;
template double File::get(std::string_view, std::string_view) const;
template std::string File::get(std::string_view, std::string_view) const;
template std::vector<std::string> File::get(std::string_view, std::string_view) const;

bool File::has_text(std::string_view object, std::string_view name) const {
  const auto found = attribute(object, name);
  const Handle type(check(H5Aget_type(found.get())), H5Tclose);
  const Handle space(check(H5Aget_space(found.get())), H5Sclose);
  return H5Tis_variable_str(type.get()) > 0 && H5Sget_simple_extent_npoints(space.get()) == 1;
}

std::vector<std::string> File::attributes(std::string_view object) const {
  std::vector<std::string> names;
  check(H5Aiterate_by_name(
      id_.get(), std::string(object).c_str(), H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t, const char* name, const H5A_info_t*, void* list) {
        static_cast<std::vector<std::string>*>(list)->emplace_back(name);
        return 0;
      },
      &names, H5P_DEFAULT));
  return names;
}

void File::expect_schema(std::string_view schema, std::string_view version) const {
  const auto names = attributes("/");
  const auto is_there = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end() && has_text("/", name);
  };
  if (!is_there("schema") || get<std::string>("/", "schema") != schema) {
    refuse(fmt::format("it is not a {} file", schema));
  }
  const auto found = is_there("schema_version") ? get<std::string>("/", "schema_version") : "";
  if (major_of(found) != major_of(version)) {
    refuse(fmt::format("its schema version is '{}' and this program reads {}.x", found,
                       major_of(version)));
  }
}

}  // namespace gembench::h5
