// results.h5 with parts that are missing, of another type or dishonest.
#include "tests/results/expect_equal.hpp"
#include "tests/results/hostile.hpp"

namespace gembench {
namespace {

using namespace hostile;

const Attack kAttacks[] = {
    {"no schema", 0, [](hid_t f) { H5Adelete(f, "schema"); }, "not a gembench-results"},
    {"other schema", 0, [](hid_t f) { set_text(f, "schema", "other"); }, "not a gembench-results"},
    {"other major", 0, [](hid_t f) { set_text(f, "schema_version", "1.0.0"); }, "reads 2.x"},
    {"no clock", 0, [](hid_t f) { H5Adelete(f, "clock"); }, "no attribute clock"},
    {"seed of text", 0, [](hid_t f) { set_text(f, "seed", "7"); }, "attribute seed"},
    {"one strategy", 0, [](hid_t f) { set_text(f, "strategies", "x"); }, "strategies"},
    {"no dataset", 0, [](hid_t f) { H5Ldelete(f, "assignments", H5P_DEFAULT); },
     "no dataset assignments"},
    {"no check", 0, [](hid_t f) { H5Ldelete(f, "check", H5P_DEFAULT); }, "no group check"},
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
    {"endless texts", 0,
     [](hid_t f) {
       const hid_t type = H5Tcopy(H5T_C_S1);
       H5Tset_size(type, std::size_t{1} << 30);
       replace(f, "placement", type, {2});
       H5Tclose(type);
     },
     "another type"},
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
    {"unbacked load points", 0,
     [](hid_t f) { replace(f, "load_point", H5T_STD_I64LE, {kHuge}, {1}); },
     "larger than the file"},
    {"huge chunk", 0,
     [](hid_t f) {
       replace(f, "bytes_pair", H5T_STD_I64LE, {1, 1, 8192, 8192}, {1, 1, 8192, 8192});
     },
     "unusual"},
    {"unknown expert", 0, [](hid_t f) { fill<std::int32_t>(f, "slots", H5T_NATIVE_INT32, 9); }, ""},
    {"unknown node", 0,
     [](hid_t f) { fill<std::int32_t>(f, "topology/node", H5T_NATIVE_INT32, 4); },
     "impossible node"},
    {"no lost share", 0, [](hid_t f) { H5Ldelete(f, "quiet/lost_after", H5P_DEFAULT); },
     "no dataset quiet/lost_after"},
    {"no barrier skew", 0,
     [](hid_t f) { H5Adelete_by_name(f, "quiet", "barrier_skew_p99_before", H5P_DEFAULT); },
     "no attribute quiet@barrier_skew_p99_before"},
    {"no node", 0, [](hid_t f) { H5Ldelete(f, "topology/node", H5P_DEFAULT); },
     "no dataset topology/node"},
    {"NaN profile", 0, [](hid_t f) { fill<double>(f, "profile_latency", H5T_NATIVE_DOUBLE, NAN); },
     ""},
};

constexpr const char* kOutside = "lies outside of the run";
constexpr const char* kSegmentArrays[] = {"segments/segment", "segments/to_placement",
                                          "segments/first_step", "segments/steps",
                                          "segments/in_block"};

void fill32(hid_t file, const char* name, std::int32_t value) {
  fill<std::int32_t>(file, name, H5T_NATIVE_INT32, value);
}

constexpr auto kMax = std::numeric_limits<std::int32_t>::max();

const Attack kSegments[] = {
    {"no segments", 0, [](hid_t f) { H5Ldelete(f, "segments", H5P_DEFAULT); },
     "no dataset segments/segment"},
    {"segments of one dataset", 0, [](hid_t f) { replace(f, "segments", H5T_STD_I32LE, {2}); },
     "segments/"},
    {"turns that lead nowhere", 0,
     [](hid_t f) {
       H5Ldelete(f, "segments", H5P_DEFAULT);
       H5Lcreate_soft("/nowhere", f, "segments", H5P_DEFAULT, H5P_DEFAULT);
     },
     "segments/segment"},
    {"segments in a circle", 0,
     [](hid_t f) {
       H5Ldelete(f, "segments", H5P_DEFAULT);
       H5Lcreate_soft("/segments", f, "segments", H5P_DEFAULT, H5P_DEFAULT);
     },
     "segments/segment"},
    {"zero segments", 0, [](hid_t f) { replace(f, "segments/segment", H5T_STD_I32LE, {0}); },
     "segment"},
    {"huge segments", 0,
     [](hid_t f) { replace(f, "segments/segment", H5T_STD_I32LE, {kHuge}, {1}); },
     "its dimension segment has an impossible extent"},
    {"big segments", 0, [](hid_t f) { replace(f, "segments/segment", H5T_STD_I32LE, {kBig}, {1}); },
     "follow"},
    {"unbacked segments", 0,
     [](hid_t f) {
       for (const auto* name : kSegmentArrays) replace(f, name, H5T_STD_I32LE, {kBig}, {1});
     },
     "larger than the file"},
    {"another count of segments", 0,
     [](hid_t f) { replace(f, "segments/segment", H5T_STD_I32LE, {3}); }, "follow"},
    {"an impossible start", 0, [](hid_t f) { fill32(f, "segments/job", kMax); },
     "segment 0 is of an impossible start"},
    {"a missing note", 0, [](hid_t f) { H5Ldelete(f, "segments/check_error", H5P_DEFAULT); },
     "no dataset segments/check_error"},
    {"notes of fewer segments", 0,
     [](hid_t f) { replace(f, "segments/experts_moved", H5T_STD_I64LE, {1}); }, "follow"},
    {"unbacked notes", 0,
     [](hid_t f) { replace(f, "segments/bytes_moved", H5T_STD_I64LE, {kBig}, {1}); }, "follow"},
    {"a narrow note", 0, [](hid_t f) { replace(f, "segments/bytes_moved", H5T_STD_I32LE, {2}); },
     "another type"},
    {"a whole note", 0, [](hid_t f) { replace(f, "segments/move_seconds", H5T_STD_I64LE, {2}); },
     "another type"},
    {"a segment of two dimensions", 0,
     [](hid_t f) {
       replace(f, "segments/steps", H5T_STD_I32LE, {2, 1});
     },
     "dimensions"},
    {"unknown placement", 0, [](hid_t f) { fill32(f, "segments/to_placement", 2); }, kOutside},
    {"negative placement", 0, [](hid_t f) { fill32(f, "segments/to_placement", -1); }, kOutside},
    {"late first step", 0, [](hid_t f) { fill32(f, "segments/first_step", 16); }, kOutside},
    {"beyond the last step", 0, [](hid_t f) { fill32(f, "segments/first_step", 1); }, kOutside},
    {"negative first step", 0, [](hid_t f) { fill32(f, "segments/first_step", -1); }, kOutside},
    {"no step", 0, [](hid_t f) { fill32(f, "segments/steps", 0); }, kOutside},
    {"negative steps", 0, [](hid_t f) { fill32(f, "segments/steps", -kMax - 1); }, kOutside},
    {"too many steps", 0, [](hid_t f) { fill32(f, "segments/steps", 17); }, kOutside},
    {"a sum that wraps", 0,
     [](hid_t f) {
       fill32(f, "segments/first_step", kMax);
       fill32(f, "segments/steps", kMax);
     },
     kOutside},
    {"a difference that wraps", 0,
     [](hid_t f) {
       fill32(f, "segments/first_step", -kMax - 1);
       fill32(f, "segments/steps", kMax);
     },
     kOutside},
    {"negative block", 0, [](hid_t f) { fill32(f, "segments/in_block", -1); }, kOutside},
};

const Attack kGroups[] = {
    {"no model", 0, [](hid_t f) { H5Ldelete(f, "model", H5P_DEFAULT); }, "no group model"},
    {"a model that leads nowhere", 0,
     [](hid_t f) {
       H5Ldelete(f, "model", H5P_DEFAULT);
       H5Lcreate_soft("/nowhere", f, "model", H5P_DEFAULT, H5P_DEFAULT);
     },
     "topk"},
    {"no topk", 0, [](hid_t f) { H5Adelete_by_name(f, "model", "topk", H5P_DEFAULT); },
     "no attribute model@topk"},
    {"negative ffn", 0, [](hid_t f) { set_integer(f, "model", "ffn", -1); }, "model/ffn"},
    {"huge hidden", 0, [](hid_t f) { set_integer(f, "model", "hidden", 1LL << 32); },
     "model/hidden is impossible"},
    {"unsigned row_bytes", 0,
     [](hid_t f) {
       const auto most = std::numeric_limits<std::uint64_t>::max();
       set(f, "model", "row_bytes", H5T_NATIVE_UINT64, &most);
     },
     "row_bytes"},
    {"real shared", 0,
     [](hid_t f) {
       const double value = 1;
       set(f, "model", "shared", H5T_NATIVE_DOUBLE, &value);
     },
     "attribute shared has another type"},
    {"topk of text", 0, [](hid_t f) { set_text(f, "topk", "4", "model"); },
     "attribute topk has another type"},
    {"no timing", 0, [](hid_t f) { H5Ldelete(f, "timing", H5P_DEFAULT); }, "no group timing"},
    {"timing of text", 0, [](hid_t f) { set_text(f, "total", "7", "timing"); },
     "attribute total has another type"},
    {"timing that leads nowhere", 0,
     [](hid_t f) {
       H5Ldelete(f, "timing", H5P_DEFAULT);
       H5Lcreate_soft("/nowhere", f, "timing", H5P_DEFAULT, H5P_DEFAULT);
     },
     "cannot read"},
    {"no verdict", 0, [](hid_t f) { H5Adelete_by_name(f, "check", "passed", H5P_DEFAULT); },
     "no attribute check@passed"},
    {"verdict of text", 0, [](hid_t f) { set_text(f, "passed", "1", "check"); },
     "attribute passed has another type"},
    {"mode of a number", 0, [](hid_t f) { set_integer(f, "check", "mode", 1); },
     "attribute mode has another type"},
    {"profile after of other load points", 0,
     [](hid_t f) {
       replace(f, "profile_after", H5T_IEEE_F64LE, {4, 3});
     },
     "follow"},
    {"narrow profile after", 0,
     [](hid_t f) {
       replace(f, "profile_after", H5T_IEEE_F32LE, {4, 4});
     },
     "another type"},
    {"summary in half the precision", 0,
     [](hid_t f) { replace(f, "summary/step_mean", H5T_IEEE_F32LE, {2}); },
     "summary/step_mean has another type"},
    {"summary of integers", 0, [](hid_t f) { replace(f, "summary/steps", H5T_STD_I64LE, {2}); },
     "summary/steps has another type"},
    {"summary of more placements", 0,
     [](hid_t f) { replace(f, "summary/wait_mean_low", H5T_IEEE_F64LE, {3}); },
     "summary/wait_mean_low has extents 3 where 2 follow"},
    {"summary without differences", 0,
     [](hid_t f) { H5Ldelete(f, "summary/difference_mean", H5P_DEFAULT); },
     "no dataset summary/difference_mean"},
    {"differences of one placement", 0,
     [](hid_t f) {
       replace(f, "summary/difference", H5T_IEEE_F64LE, {1, 2});
     },
     "1 x 2"},
    {"huge differences", 0,
     [](hid_t f) {
       replace(f, "summary/difference_low", H5T_IEEE_F64LE, {kHuge, kHuge}, {1, 1});
     },
     "extents"},
    {"shares over the ranks alone", 0,
     [](hid_t f) { replace(f, "summary/last_share", H5T_IEEE_F64LE, {8}); }, "dimensions"},
    {"summary of one dataset", 0,
     [](hid_t f) {
       H5Ldelete(f, "summary", H5P_DEFAULT);
       const hid_t space = simple({2});
       H5Dclose(
           H5Dcreate2(f, "summary", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
       H5Sclose(space);
     },
     "summary/"},
    {"series of other ranks", 0,
     [](hid_t f) {
       replace(f, "series/time", H5T_IEEE_F64LE, {7, 16384});
     },
     "series are not those of its ranks"},
    {"endless series", 0,
     [](hid_t f) {
       replace(f, "series/time", H5T_IEEE_F64LE, {8, kBig}, {1, 1});
     },
     "series are not those of its ranks"},
    {"series of several lengths", 0,
     [](hid_t f) {
       replace(f, "series/power", H5T_IEEE_F32LE, {8, 100});
     },
     "series/power has extents"},
    {"series at no time", 0,
     [](hid_t f) { fill<double>(f, "series/time", H5T_NATIVE_DOUBLE, INFINITY); }, "infinite"},
    {"a stride of none", 0, [](hid_t f) { set_integer(f, "series", "stride", 0); }, "stride"},
    {"a soak without steps", 0, [](hid_t f) { H5Adelete_by_name(f, "soak", "steps", H5P_DEFAULT); },
     "no attribute soak@steps"},
    {"profile after without profile", 0, [](hid_t f) { H5Ldelete(f, "load_point", H5P_DEFAULT); },
     "no dataset load_point"},
};

TEST(HostileRun, Changed) {
  for (const auto& attack : kAttacks) expect_refused(attack);
}

TEST(HostileRun, ChangedSegments) {
  for (const auto& attack : kSegments) expect_refused(attack);
}

TEST(HostileRun, ChangedGroups) {
  for (const auto& attack : kGroups) expect_refused(attack);
}

/// Odd but harmless: it makes no code read beyond an array.
TEST(HostileRun, SegmentsThatOverlapAreRead) {
  const example::Folder folder;
  const auto& kind = kKinds[0];
  kind.write(folder / "f.h5");
  const hid_t file = H5Fopen((folder / "f.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  fill32(file, "segments/to_placement", 1);
  fill32(file, "segments/in_block", kMax);
  fill32(file, "segments/check_passed", kMax);
  H5Fclose(file);
  EXPECT_NO_THROW(kind.read(folder / "f.h5"));
  const RunReader reader(folder / "f.h5");
  EXPECT_FALSE(reader.measured(0));  // the steps are of another block
}

TEST(RunFile, ASummaryOfAnEarlierMinorVersionLacksNumbers) {
  const example::Folder folder;
  kKinds[0].write(folder / "r.h5");
  const hid_t file = H5Fopen((folder / "r.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Ldelete(file, "summary/payload_bytes", H5P_DEFAULT);
  H5Ldelete(file, "summary/step_p99_low", H5P_DEFAULT);
  H5Fclose(file);
  auto expected = example::summary(kShape, 3);
  expected.values[SummaryKey("payload_bytes").place].assign(2, NAN);
  expected.low[SummaryKey("step_p99").place].assign(2, NAN);
  const RunReader reader(folder / "r.h5");
  ASSERT_TRUE(reader.summary());
  example::expect_equal(*reader.summary(), expected);
}

TEST(RunFile, AFileOfAnEarlierMinorVersionLacksWhatCameLater) {
  const example::Folder folder;
  const RunShape shape{
      .placements = 2, .steps = 9, .layers = 2, .ranks = 4, .experts = 8, .slots = 3};
  const auto info = example::info(shape, 1);
  {
    RunWriter writer(folder / "r.h5", false);
    writer.describe(info);
    for (int segment = 0; segment < info.shape.segments; ++segment)
      writer.write(example::block(info, segment));
    writer.finish(example::end(info.shape, 2));
  }
  const hid_t file = H5Fopen((folder / "r.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Ldelete(file, "inter_node_bytes", H5P_DEFAULT);
  H5Ldelete(file, "topology", H5P_DEFAULT);
  H5Ldelete(file, "quiet", H5P_DEFAULT);
  for (const char* name : {"series", "soak", "segments/begin", "segments/end", "segments/job"}) {
    ASSERT_GE(H5Ldelete(file, name, H5P_DEFAULT), 0);  // before 2.10.0
  }
  H5Ldelete(file, "summary", H5P_DEFAULT);
  H5Fclose(file);

  const RunReader reader(folder / "r.h5");
  EXPECT_FALSE(reader.summary());
  EXPECT_TRUE(reader.info().topology.empty());
  EXPECT_TRUE(reader.end().clocks_before.empty());
  EXPECT_TRUE(reader.info().quiet_before.ranks.empty());
  EXPECT_TRUE(reader.end().quiet_after.ranks.empty());
  EXPECT_TRUE(reader.end().quiet_during.empty());
  EXPECT_TRUE(reader.series(0).empty());
  EXPECT_EQ(reader.end().soak.steps, -1);
  const auto block = reader.read_segment(0);
  auto expected = example::block(info, 0);
  auto& later = expected.count[count_at("inter_node_bytes")];
  later.assign(later.size(), -1);
  expected.notes.begin = expected.notes.end = NAN;
  expected.notes.job = -1;
  example::expect_equal(block, expected);
}

}  // namespace
}  // namespace gembench
