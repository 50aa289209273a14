// Files that are not ours, not whole or not honest: one sentence, no crash, no huge allocation.
#include <sys/stat.h>

#include "placement/cost/cost_choice.hpp"
#include "results/run_series.hpp"
#include "tests/results/hostile.hpp"

namespace gembench {
namespace {

namespace fs = std::filesystem;
using namespace hostile;

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

/// As many rows of a series as are read at most, none of them in the file.
void replace_series(hid_t file, hsize_t ranks) {
  const hsize_t rows = kMostSeriesRows;
  for (const auto& [name, type] :
       {std::pair("series/time", H5T_IEEE_F64LE), std::pair("series/took", H5T_IEEE_F32LE),
        std::pair("series/clock", H5T_IEEE_F32LE), std::pair("series/memory_clock", H5T_IEEE_F32LE),
        std::pair("series/power", H5T_IEEE_F32LE), std::pair("series/temperature", H5T_IEEE_F32LE),
        std::pair("series/energy", H5T_IEEE_F64LE),
        std::pair("series/throttle_reasons", H5T_STD_I64LE),
        std::pair("series/job", H5T_STD_I32LE)}) {
    replace(file, name, type, {ranks, rows}, {1, rows});
  }
}

const Attack kAttacks[] = {
    {"other major", 2, [](hid_t f) { set_text(f, "schema_version", ""); }, "reads 1.x"},
    {"other major", 1, [](hid_t f) { set_text(f, "schema_version", "10.0.0"); }, "reads 1.x"},
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
    {"unknown phase", 1, [](hid_t f) { fill<std::int32_t>(f, "phase", H5T_NATIVE_INT32, 3); },
     "phase 3"},
    {"short phases", 1, [](hid_t f) { replace(f, "phase", H5T_STD_I32LE, {3}, {3}); }, "phase"},
    {"same layer twice", 1, [](hid_t f) { fill<std::int32_t>(f, "layer_id", H5T_NATIVE_INT32, 1); },
     "ascend"},
    {"layers too many", 1, [](hid_t f) { replace(f, "layer_id", H5T_STD_I32LE, {kBig}, {1}); },
     "layer_id"},
    {"model too small", 1, [](hid_t f) { set_integer(f, "/", "model_layers", 2); }, "model of 2"},
    {"model impossible", 1, [](hid_t f) { set_integer(f, "/", "model_layers", 1LL << 40); },
     "model_layers"},
    {"other sources", 1,
     [](hid_t f) { fill<std::int32_t>(f, "source_tokens", H5T_NATIVE_INT32, 2); }, "sum to 6"},
    {"unbacked sources", 1,
     [](hid_t f) {
       replace(f, "source_tokens", H5T_STD_I32LE, {4, 2, kBig, 8}, {1, 1, 1, 1});
     },
     "larger than the file"},
    {"unbacked profile", 2, [](hid_t f) { replace(f, "rank", H5T_STD_I32LE, {kBig}, {1}); },
     "follow"},
    {"one load point", 2, [](hid_t f) { replace(f, "load_point", H5T_STD_I64LE, {1}); },
     "dataset load_point"},
    {"zero load points", 2,
     [](hid_t f) { fill<std::int64_t>(f, "load_point", H5T_NATIVE_INT64, 0); }, ""},
    {"samples of other load points", 2,
     [](hid_t f) {
       replace(f, "samples", H5T_IEEE_F64LE, {3, 3, 7});
     },
     "samples"},
    {"huge samples", 2,
     [](hid_t f) {
       replace(f, "samples", H5T_IEEE_F64LE, {3, 4, kHuge}, {1, 1, 1});
     },
     "larger than the file"},
    {"a sample below zero", 2,
     [](hid_t f) { fill<double>(f, "active_samples", H5T_NATIVE_DOUBLE, -1); }, "no time"},
    {"samples of one sweep only", 2, [](hid_t f) { H5Ldelete(f, "active_samples", H5P_DEFAULT); },
     "active_samples"},
    {"more active than slots", 2, [](hid_t f) { set_integer(f, "/", "slots", 15); }, "slots"},
    {"impossible slots", 2, [](hid_t f) { set_integer(f, "/", "slots", 1LL << 40); }, "slots"},
    {"slots unknown", 2, [](hid_t f) { H5Adelete(f, "slots"); }, "0 slots"},
    {"active loads of zero", 2,
     [](hid_t f) { fill<std::int64_t>(f, "active_load", H5T_NATIVE_INT64, 0); }, "ascend"},
    {"active sweep without its scale", 2, [](hid_t f) { H5Ldelete(f, "active", H5P_DEFAULT); },
     "active"},
    {"routed loads below zero", 2,
     [](hid_t f) { fill<std::int32_t>(f, "routed_tokens", H5T_NATIVE_INT32, -1); }, "-1 tokens"},
    {"routed loads of other slots", 2,
     [](hid_t f) {
       replace(f, "routed_tokens", H5T_STD_I32LE, {3, 3, 15});
     },
     "routed_tokens"},
    {"huge routed loads", 2,
     [](hid_t f) {
       replace(f, "routed_tokens", H5T_STD_I32LE, {3, 3, kHuge}, {1, 1, 1});
     },
     "larger than the file"},
    {"routed loads without tokens", 2, [](hid_t f) { H5Ldelete(f, "routed_tokens", H5P_DEFAULT); },
     "routed_tokens"},
    {"routed loads without samples", 2,
     [](hid_t f) { H5Ldelete(f, "routed_samples", H5P_DEFAULT); }, "routed_samples"},
    {"a routed time below zero", 2,
     [](hid_t f) { fill<double>(f, "routed_latency", H5T_NATIVE_DOUBLE, -1); }, "routed latency"},
    {"half a state", 2, [](hid_t f) { H5Ldelete(f, "state/power_after", H5P_DEFAULT); }, "power"},
    {"huge series", 2, [](hid_t f) { replace_series(f, 3); }, "larger than the file"},
    {"huge series", 0, [](hid_t f) { replace_series(f, 4); }, "larger than the file"},
    {"one huge column of a series", 0,
     [](hid_t f) {
       const auto rows = static_cast<hsize_t>(kSeriesRows);
       replace(f, "series/energy", H5T_IEEE_F64LE, {4, rows}, {1, rows});
     },
     "larger than the file"},
    {"hosts of other ranks", 2, [](hid_t f) { replace(f, "environment/host", H5T_STD_I32LE, {3}); },
     "host"},
    {"elsewhere", 2,
     [](hid_t f) {
       H5Ldelete(f, "overhead", H5P_DEFAULT);
       H5Lcreate_external("other.h5", "overhead", f, "overhead", H5P_DEFAULT, H5P_DEFAULT);
     },
     "cannot read"},
};

/// The same with 1.1.0, which knew no routed loads.
TEST(Hostile, AProfileWithoutRoutedLoadsIsNone) {
  const example::Folder folder;
  const auto path = folder / "p.h5";
  kKinds[2].write(path);
  const ProfileFile whole = read_profile_file(path);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  for (const char* name :
       {"routed", "routed_slot", "routed_latency", "routed_tokens", "routed_samples"}) {
    ASSERT_GE(H5Ldelete(file, name, H5P_DEFAULT), 0) << name;
  }
  for (const char* name : {"routed_tokens_median", "routed_tokens_worst", "routed_experts_median",
                           "routed_experts_worst"}) {
    ASSERT_GE(H5Adelete(file, name), 0) << name;
  }
  set_text(file, "schema_version", "1.1.0");
  H5Fclose(file);
  const auto old = read_profile_file(path);
  EXPECT_EQ(old.profile.active.latency, whole.profile.active.latency);
  EXPECT_TRUE(old.profile.routed.empty());
  EXPECT_EQ(old.samples.points, whole.samples.points - whole.profile.routed.points);
  EXPECT_EQ(choose_cost(old.profile).kind, CostKind::sum);
}

/// What gembench wrote before 1.1.0 is still read.
TEST(Hostile, AnOldProfileIsNone) {
  const example::Folder folder;
  const auto path = folder / "p.h5";
  kKinds[2].write(path);
  const Profile whole = read_profile(path);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  for (const char* name : {"samples", "active_samples", "active_latency", "active_load", "active",
                           "low", "high", "outliers", "round", "state", "environment", "routed",
                           "routed_slot", "routed_latency", "routed_tokens", "routed_samples"}) {
    ASSERT_GE(H5Ldelete(file, name, H5P_DEFAULT), 0) << name;
  }
  for (const char* name :
       {"slots", "warmup_rounds", "warm", "tight", "seconds", "measured", "fit_tokens_mean",
        "fit_tokens_worst", "fit_experts_mean", "fit_experts_worst"}) {
    ASSERT_GE(H5Adelete(file, name), 0) << name;
  }
  set_text(file, "schema_version", "1.0.0");
  H5Fclose(file);
  const auto old = read_profile_file(path);
  EXPECT_EQ(old.profile.latency, whole.latency);
  EXPECT_EQ(old.profile.slots, 0);
  EXPECT_TRUE(old.profile.active.empty());
  EXPECT_TRUE(old.profile.routed.empty());
  EXPECT_EQ(old.samples.points, 0U);
  EXPECT_EQ(old.measured, "");
}

TEST(Hostile, ChangedTracesAndProfiles) {
  for (const auto& attack : kAttacks) expect_refused(attack);
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
