// Files that are not ours, not whole or not honest: one sentence, no crash, no huge allocation.
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <iterator>

#include "example.hpp"
#include "results/profile_file.hpp"
#include "results/run_reader.hpp"
#include "results/run_writer.hpp"
#include "results/trace_file.hpp"

namespace gembench {
namespace {

namespace fs = std::filesystem;
const RunShape kShape{
    .placements = 2, .steps = 16, .layers = 2, .ranks = 4, .experts = 8, .slots = 2};

Trace small_trace() {
  Trace trace;
  trace.steps = 4;
  trace.layers = 2;
  trace.experts = 8;
  trace.topk = 2;
  trace.tokens.assign(4 * 2 * 8, 3);
  trace.task = {0, 0, 1, 1};
  return trace;
}

/// The three kinds of files with a good example of each.
struct Kind {
  const char* name;
  void (*write)(const fs::path&);
  void (*read)(const fs::path&);
};
const Kind kKinds[] = {
    {"results",
     [](const fs::path& path) {
       RunWriter writer(path, true);
       writer.describe(example::info(kShape, 1));
       for (int p = 0; p < 2; ++p) writer.write(example::block(kShape, p, 0, 16, 0));
       writer.finish(example::end(kShape, 2));
     },
     [](const fs::path& path) {
       const RunReader reader(path);
       (void)reader.blocks(1);
       (void)reader.read(1, 0, reader.info().shape.steps);
     }},
    {"trace", [](const fs::path& path) { write_trace(path, small_trace(), true); },
     [](const fs::path& path) { (void)read_trace(path); }},
    {"profile",
     [](const fs::path& path) {
       Random random(1);
       write_profile(path, example::profile(3, random), true);
     },
     [](const fs::path& path) { (void)read_profile(path); }},
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void spill(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// Reads and expects a usage error in one line that holds `part`.
void expect_refused(const Kind& kind, const fs::path& path, const std::string& part,
                    const std::string& what) {
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

TEST(Hostile, NotAFileOrNotHdf5) {
  const example::Folder folder;
  spill(folder / "empty", "");
  spill(folder / "text", "step,layer,e0,e1\n0,0,1,2\n");
  spill(folder / "zeros", std::string(100'000, '\0'));
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  fs::create_symlink("loop", folder / "loop");
  for (const auto& kind : kKinds) {
    expect_refused(kind, folder / "missing", "no such file", "missing");
    expect_refused(kind, folder.path(), "not a regular file", "a folder");
    expect_refused(kind, folder / "fifo", "not a regular file", "a fifo");
    expect_refused(kind, "/dev/zero", "not a regular file", "a device");
    expect_refused(kind, folder / "loop", "symbolic links", "a loop of links");
    for (const auto* name : {"empty", "text", "zeros"}) {
      expect_refused(kind, folder / name, "not an HDF5 file", name);
    }
  }
}

TEST(Hostile, TheOtherKindsOfOurFiles) {
  const example::Folder folder;
  for (const auto& written : kKinds) {
    written.write(folder / "f.h5");
    for (const auto& kind : kKinds) {
      if (&kind == &written) {
        EXPECT_NO_THROW(kind.read(folder / "f.h5"));
      } else {
        expect_refused(kind, folder / "f.h5", "it is not a gembench-", written.name);
      }
    }
    fs::remove(folder / "f.h5");
  }
}

TEST(Hostile, TruncatedAnywhere) {
  const example::Folder folder;
  for (const auto& kind : kKinds) {
    kind.write(folder / "whole.h5");
    const auto content = slurp(folder / "whole.h5");
    for (std::size_t i = 0; i < 300; ++i) {
      spill(folder / "cut.h5", content.substr(0, content.size() * i / 300));
      expect_refused(kind, folder / "cut.h5", "cut.h5", "cut at " + std::to_string(i) + "/300");
    }
    spill(folder / "cut.h5", content.substr(0, content.size() - 1));
    expect_refused(kind, folder / "cut.h5", "cut.h5", "without its last byte");
    fs::remove(folder / "whole.h5");
  }
}

hid_t simple(const std::vector<hsize_t>& dims) {
  return H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
}

/// Puts another dataset in the place of `name`, without content.
void replace(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& dims,
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

void set_text(hid_t file, const char* name, const char* value) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  const hid_t space = H5Screate(H5S_SCALAR);
  H5Adelete(file, name);
  const hid_t made = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(H5Awrite(made, type, &value), 0);
  H5Aclose(made);
  H5Sclose(space);
  H5Tclose(type);
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

constexpr hsize_t kHuge = hsize_t{1} << 40;
constexpr hsize_t kBig = 2'000'000'000;

const Attack kAttacks[] = {
    {"no schema", 0, [](hid_t f) { H5Adelete(f, "schema"); }, "not a gembench-results"},
    {"other schema", 0, [](hid_t f) { set_text(f, "schema", "other"); }, "not a gembench-results"},
    {"other major", 0, [](hid_t f) { set_text(f, "schema_version", "2.0.0"); }, "reads 1.x"},
    {"other major", 1, [](hid_t f) { set_text(f, "schema_version", "10.0.0"); }, "reads 1.x"},
    {"other major", 2, [](hid_t f) { set_text(f, "schema_version", ""); }, "reads 1.x"},
    {"no clock", 0, [](hid_t f) { H5Adelete(f, "clock"); }, "no attribute clock"},
    {"seed of text", 0, [](hid_t f) { set_text(f, "seed", "7"); }, "attribute seed"},
    {"one strategy", 0, [](hid_t f) { set_text(f, "strategies", "x"); }, "strategies"},
    {"no dataset", 0, [](hid_t f) { H5Ldelete(f, "tokens", H5P_DEFAULT); }, "no dataset tokens"},
    {"no check", 0, [](hid_t f) { H5Ldelete(f, "check", H5P_DEFAULT); }, "no group check"},
    {"no moves", 0, [](hid_t f) { H5Ldelete(f, "moves", H5P_DEFAULT); }, "moves/move"},
    {"type", 0,
     [](hid_t f) {
       replace(f, "slots", H5T_IEEE_F64LE, {2, 2, 4, 2});
     },
     "slots"},
    {"sign", 0,
     [](hid_t f) {
       replace(f, "order", H5T_STD_U32LE, {2, 16});
     },
     "another type"},
    {"text", 0, [](hid_t f) { replace(f, "placement", H5T_STD_I32LE, {2}); }, "another type"},
    {"rank", 0, [](hid_t f) { replace(f, "block", H5T_STD_I32LE, {32}); }, "dimensions"},
    {"many dims", 0,
     [](hid_t f) { replace(f, "step", H5T_STD_I32LE, std::vector<hsize_t>(30, 1)); }, "dimensions"},
    {"extent", 0,
     [](hid_t f) {
       replace(f, "block", H5T_STD_I32LE, {2, 15});
     },
     "2 x 15"},
    {"no steps", 0, [](hid_t f) { replace(f, "step", H5T_STD_I32LE, {0}); }, "step"},
    {"huge scale", 0, [](hid_t f) { replace(f, "rank", H5T_STD_I32LE, {kHuge}, {1}); }, "rank"},
    {"big scale", 0, [](hid_t f) { replace(f, "step", H5T_STD_I32LE, {kBig}, {1}); }, "follow"},
    {"unbacked knots", 0, [](hid_t f) { replace(f, "knot", H5T_STD_I64LE, {kHuge}, {1}); },
     "larger than the file"},
    {"unbacked moves", 0,
     [](hid_t f) {
       replace(f, "moves/move", H5T_STD_I32LE, {kHuge}, {1});
       replace(f, "moves/to_placement", H5T_STD_I32LE, {kHuge}, {1});
     },
     "larger than the file"},
    {"huge chunk", 0,
     [](hid_t f) {
       replace(f, "bytes_pair", H5T_STD_I64LE, {1, 1, 8192, 8192}, {1, 1, 8192, 8192});
     },
     "unusual"},
    {"unknown expert", 0, [](hid_t f) { fill<std::int32_t>(f, "slots", H5T_NATIVE_INT32, 9); }, ""},
    {"NaN profile", 0, [](hid_t f) { fill<double>(f, "profile_latency", H5T_NATIVE_DOUBLE, NAN); },
     ""},
    {"bad move", 0,
     [](hid_t f) { fill<std::int32_t>(f, "moves/to_placement", H5T_NATIVE_INT32, 2); },
     "unknown placement"},
    {"unbacked trace", 1,
     [](hid_t f) {
       replace(f, "tokens", H5T_STD_I32LE, {kBig, kBig, kBig}, {1, 1, 1});
     },
     "larger than the file"},
    {"wrapping trace", 1,
     [](hid_t f) {
       replace(f, "tokens", H5T_STD_I32LE, {1 << 20, 1 << 20, 1 << 24}, {1, 1, 1});
     },
     "larger than the file"},
    {"empty trace", 1,
     [](hid_t f) {
       replace(f, "tokens", H5T_STD_I32LE, {0, 0, 0});
     },
     ""},
    {"short labels", 1, [](hid_t f) { replace(f, "task", H5T_STD_I32LE, {3}, {3}); }, ""},
    {"negative label", 1, [](hid_t f) { fill<std::int32_t>(f, "task", H5T_NATIVE_INT32, -1); }, ""},
    {"negative tokens", 1, [](hid_t f) { fill<std::int32_t>(f, "tokens", H5T_NATIVE_INT32, -1); },
     ""},
    {"bad ids", 1,
     [](hid_t f) {
       replace(f, "topk_ids", H5T_STD_U16LE, {4, 12, 2, 3});
     },
     "topk_ids"},
    {"unbacked profile", 2, [](hid_t f) { replace(f, "rank", H5T_STD_I32LE, {kBig}, {1}); },
     "follow"},
    {"one knot", 2, [](hid_t f) { replace(f, "knot", H5T_STD_I64LE, {1}); }, "dataset knot"},
    {"zero knots", 2, [](hid_t f) { fill<std::int64_t>(f, "knot", H5T_NATIVE_INT64, 0); }, ""},
    {"elsewhere", 2,
     [](hid_t f) {
       H5Ldelete(f, "overhead", H5P_DEFAULT);
       H5Lcreate_external("other.h5", "overhead", f, "overhead", H5P_DEFAULT, H5P_DEFAULT);
     },
     "cannot read"},
};

TEST(Hostile, ChangedFiles) {
  const example::Folder folder;
  for (const auto& attack : kAttacks) {
    const auto& kind = kKinds[attack.kind];
    const auto path = folder / "f.h5";
    fs::remove(path);
    kind.write(path);
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    attack.change(file);
    H5Fclose(file);
    expect_refused(kind, path, attack.part, attack.what);
  }
}

TEST(Hostile, ExternalRawDataIsNotFollowed) {
  const example::Folder folder;
  kKinds[2].write(folder / "p.h5");
  const hid_t file = H5Fopen((folder / "p.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Ldelete(file, "overhead", H5P_DEFAULT);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = simple({3});
  H5Pset_external(list, "/dev/zero", 0, 24);
  H5Dclose(H5Dcreate2(file, "overhead", H5T_IEEE_F64LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
  H5Pclose(list);
  H5Sclose(space);
  H5Fclose(file);
  expect_refused(kKinds[2], folder / "p.h5", "unusual", "external storage");
}

}  // namespace
}  // namespace gembench
