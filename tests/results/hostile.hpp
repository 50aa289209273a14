#pragma once

#include <gtest/gtest.h>
#include <hdf5.h>

#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "results/profile_file.hpp"
#include "results/run_reader.hpp"
#include "results/run_writer.hpp"
#include "results/trace_file.hpp"
#include "tests/results/example.hpp"

/// Ways to spoil files, and how a reader must take them.
namespace gembench::hostile {

inline const RunShape kShape{
    .placements = 2, .steps = 16, .layers = 2, .ranks = 4, .experts = 8, .slots = 2};

inline Trace small_trace() {
  Trace trace;
  trace.steps = 4;
  trace.layers = 2;
  trace.experts = 8;
  trace.topk = 2;
  trace.tokens.assign(4 * 2 * 8, 3);
  trace.task = {0, 0, 1, 1};
  trace.phase = {0, 1, 2, 0};
  trace.layer_ids = {1, 2};
  trace.model_layers = 3;
  trace.sources = 3;
  trace.source_tokens.assign(4 * 2 * 3 * 8, 1);
  return trace;
}

/// The three kinds of files with a good example of each.
struct Kind {
  const char* name;
  void (*write)(const std::filesystem::path&);
  void (*read)(const std::filesystem::path&);
};
inline const Kind kKinds[] = {
    {"results",
     [](const std::filesystem::path& path) {
       RunWriter writer(path, true);
       const auto info = example::info(kShape, 1, 16);
       writer.describe(info);
       for (int segment = 0; segment < 2; ++segment) writer.write(example::block(info, segment));
       writer.finish(example::end(kShape, 2),
                     [](const RunReader&) { return example::summary(kShape, 3); });
     },
     [](const std::filesystem::path& path) {
       const RunReader reader(path);
       (void)reader.blocks(1);
       for (int segment = 0; segment < reader.info().shape.segments; ++segment) {
         (void)reader.measured(segment);
         (void)reader.read_segment(segment);
       }
       (void)reader.read(1, 0, reader.info().shape.steps);
       for (int rank = 0; rank < reader.info().shape.ranks; ++rank) (void)reader.series(rank);
     }},
    {"trace", [](const std::filesystem::path& path) { write_trace(path, small_trace(), true); },
     [](const std::filesystem::path& path) { (void)read_trace(path); }},
    {"profile",
     [](const std::filesystem::path& path) {
       Random random(1);
       write_profile(path, example::profile_file(3, random), true);
     },
     [](const std::filesystem::path& path) { (void)read_profile(path); }},
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string content(std::filesystem::file_size(path), '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  return content;
}

inline void spill(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// Reads and expects a usage error in one line that holds `part`.
inline void expect_refused(const Kind& kind, const std::filesystem::path& path,
                           const std::string& part, const std::string& what) {
  try {
    kind.read(path);
    ADD_FAILURE() << kind.name << " accepted: " << what;
  } catch (const Error& error) {
    const std::string sentence = error.what();
    EXPECT_EQ(error.code(), ExitCode::usage) << sentence;
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
    EXPECT_NE(sentence.find(part), std::string::npos) << what << ": " << sentence;
  } catch (const std::exception& error) {
    ADD_FAILURE() << kind.name << " " << what << ": " << error.what();
  }
}

inline hid_t simple(const std::vector<hsize_t>& dims) {
  return H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
}

/// Puts another dataset in the place of `name`, without content.
inline void replace(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& dims,
                    const std::vector<hsize_t>& chunk = {}) {
  H5Ldelete(file, name, H5P_DEFAULT);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  if (!chunk.empty()) {
    H5Pset_chunk(list, static_cast<int>(chunk.size()), chunk.data());
    H5Pset_deflate(list, 4);
  }
  const hid_t space = simple(dims);
  const hid_t made = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  ASSERT_GE(made, 0) << name;
  H5Dclose(made);
  H5Sclose(space);
  H5Pclose(list);
}

/// Puts a scalar in the place of an attribute.
inline void set(hid_t file, const char* object, const char* name, hid_t type, const void* value) {
  H5Adelete_by_name(file, object, name, H5P_DEFAULT);
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t made =
      H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(H5Awrite(made, type, value), 0) << name;
  H5Aclose(made);
  H5Sclose(space);
}

inline void set_text(hid_t file, const char* name, const char* value, const char* object = "/") {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  set(file, object, name, type, &value);
  H5Tclose(type);
}

inline void set_integer(hid_t file, const char* object, const char* name, std::int64_t value) {
  set(file, object, name, H5T_NATIVE_INT64, &value);
}

template <class T>
void fill(hid_t file, const char* name, hid_t type, T value) {
  const hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
  const hid_t space = H5Dget_space(set);
  const std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)), value);
  ASSERT_GE(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Sclose(space);
  H5Dclose(set);
}

struct Attack {
  const char* what;
  int kind;  ///< in kKinds
  std::function<void(hid_t)> change;
  const char* part;  ///< of the sentence
};

inline constexpr hsize_t kHuge = hsize_t{1} << 40;
inline constexpr hsize_t kBig = 2'000'000'000;

/// Changes a good file of the attack's kind and expects it to be refused.
inline void expect_refused(const Attack& attack) {
  const example::Folder folder;
  const auto path = folder / "f.h5";
  const auto& kind = kKinds[attack.kind];
  static const example::Folder good;  // each kind's is written once
  const auto original = good / std::to_string(attack.kind);
  if (!std::filesystem::exists(original)) kind.write(original);
  std::filesystem::copy_file(original, path);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  attack.change(file);
  H5Fclose(file);
  expect_refused(kind, path, attack.part, attack.what);
}

}  // namespace gembench::hostile
