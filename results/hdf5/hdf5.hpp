#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "placement/base/error.hpp"
#include "results/hdf5/file_lock.hpp"
#include "results/hdf5/handle.hpp"
#include "results/hdf5/variable.hpp"

/// A thin layer over the HDF5 C API for the files of this folder; only its sources include
/// <hdf5.h>.
namespace gembench::h5 {

using Attribute =
    std::variant<std::int64_t, std::uint64_t, double, std::string, std::vector<std::string>>;

/// An open file. A new file's errors are output errors, those of a file being read usage errors.
class File {
 public:
  static File create(const std::filesystem::path& path);  ///< must not exist
  /// To read; `renamed` must outlive it.
  static File open(const std::filesystem::path& path, std::span<const Renamed> renamed = {});
  File(File&&) = default;
  /// After a failed write the file stays in the state of the last flush; otherwise it is closed.
  ~File();
  void close();
  /// Errors name the new path from now on.
  void was_renamed(const std::filesystem::path& path) { path_ = path; }
  /// Whether the path still refers to this file.
  [[nodiscard]] bool is_at(const std::filesystem::path& path) const;
  /// Reserves the disk space first: a full disk is noticed before anything on it is changed.
  void flush();

  void make_group(std::string_view name);
  /// A dimension scale along itself: `scale.dims` is its own name.
  void make_scale(const Variable& scale, std::uint64_t extent);
  /// Attached to scales of its group or, if the group has none of that name, of the root.
  void make(const Variable& variable, const Extents& extents);
  /// New extents of a dataset or scale whose layout is growing; only the first may differ.
  void grow(const Variable& variable, const Extents& extents);
  template <class T>
  void write(const Variable& variable, std::span<const T> values) {
    write_raw(variable, {}, {}, memory_type<T>(), values.data());
  }
  template <class T>
  void write(const Variable& variable, const Extents& start, const Extents& count,
             std::span<const T> values) {
    write_raw(variable, start, count, memory_type<T>(), values.data());
  }
  /// Parts of [row][column], each of one row, in one opening of the dataset. `values_of(i)` are
  /// those of part i, which begins at `starts[i]`.
  template <class T, class ValuesOf>
  void write_rows(const Variable& variable, const std::vector<Extents>& starts,
                  ValuesOf values_of) {
    const auto set = dataset(variable.name);
    for (std::size_t i = 0; i < starts.size(); ++i) {
      const std::vector<T>& values = values_of(i);
      write_raw(set.get(), starts[i], {1, values.size()}, memory_type<T>(), values.data());
    }
  }
  void write(const Variable& variable, const std::vector<std::string>& values);
  /// `object` is "/" or the name of a group or dataset.
  void set(std::string_view object, std::string_view name, const Attribute& value);

  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> members(std::string_view group) const;
  /// Checks that the dataset exists with this type and rank.
  [[nodiscard]] Extents extents(const Variable& variable) const;
  /// Also checks the extents.
  void expect(const Variable& variable, const Extents& extents) const;
  /// Also checks that the file is large enough for all of it; the number of its cells.
  [[nodiscard]] std::size_t stored_size(const Variable& variable, const Extents& extents) const;
  /// Reads all of it, after checking type, extents and that the file is large enough.
  template <class T>
  [[nodiscard]] std::vector<T> read(const Variable& variable, const Extents& extents) const {
    std::vector<T> values(stored_size(variable, extents));
    read_raw(variable, {}, {}, memory_type<T>(), values.data());
    return values;
  }
  /// Reads a part, and checks nothing.
  template <class T>
  void read(const Variable& variable, const Extents& start, const Extents& count, T* values) const {
    read_raw(variable, start, count, memory_type<T>(), values);
  }
  [[nodiscard]] std::vector<std::string> read_texts(const Variable& variable,
                                                    const Extents& extents) const;
  template <class T>  // one of Attribute's
  [[nodiscard]] T get(std::string_view object, std::string_view name) const;
  [[nodiscard]] bool has_text(std::string_view object, std::string_view name) const;
  [[nodiscard]] std::vector<std::string> attributes(std::string_view object) const;

  /// Rejects a file with another `schema` or another major number in `schema_version`.
  void expect_schema(std::string_view schema, std::string_view version) const;
  [[noreturn]] void refuse(const std::string& reason) const;  ///< names the path
  /// Calls validate(value) and reports its errors as errors of this file.
  template <class T>
  void expect_valid(const T& value) const {
    try {
      validate(value);
    } catch (const Error& error) {
      refuse(error.what());
    }
  }

 private:
  File(std::filesystem::path path, ExitCode code) : path_(std::move(path)), code_(code) {}
  std::int64_t check(std::int64_t result) const;
  [[nodiscard]] int descriptor() const;  ///< HDF5's own
  /// The name that this file has for it.
  [[nodiscard]] std::string stored_name(std::string_view name) const;
  [[nodiscard]] Handle dataset(std::string_view name) const;
  [[nodiscard]] Handle attribute(std::string_view object, std::string_view name) const;
  /// The whole dataset's space, or the part from `start` on if `count` is not empty.
  [[nodiscard]] Handle selection(std::int64_t set, const Extents& start,
                                 const Extents& count) const;
  void write_raw(const Variable& variable, const Extents& start, const Extents& count, Type memory,
                 const void* values);
  void write_raw(std::int64_t set, const Extents& start, const Extents& count, Type memory,
                 const void* values);
  void read_raw(const Variable& variable, const Extents& start, const Extents& count, Type memory,
                void* values) const;
  void make_dataset(const Variable& variable, const Extents& extents);

  std::filesystem::path path_;
  ExitCode code_;
  mutable bool failed_ = false;
  std::span<const Renamed> renamed_;
  FileLock lock_;
  Handle id_;
};

}  // namespace gembench::h5
