#include "placement/encodings/npy.hpp"

#include <cmath>
#include <limits>

#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using namespace testing;

std::string npy(const std::string& literal, const std::string& data, int version = 1) {
  auto text = literal + "\n";
  const auto length = version == 1 ? raw(static_cast<std::uint16_t>(text.size()))
                                   : raw(static_cast<std::uint32_t>(text.size()));
  return "\x93NUMPY" + std::string{static_cast<char>(version), 0} + length + text + data;
}

std::string header(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
}

template <class T>
void expect_counts(const char* type, int version = 1) {
  const TempDir dir;
  const auto path =
      dir.write("a.npy", npy(header(type, "2, 1, 3"), raw_all<T>({1, 2, 3, 3, 0, 3}), version));
  const auto trace = read_recording("auto", {{path}, 0, 0, 2});
  EXPECT_EQ(trace.steps, 2) << type;
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{1, 2, 3, 3, 0, 3})) << type;
}

TEST(Npy, EveryTypeOfCounts) {
  expect_counts<std::int8_t>("|i1");
  expect_counts<std::uint8_t>("|u1");
  expect_counts<std::int16_t>("<i2");
  expect_counts<std::uint16_t>("<u2");
  expect_counts<std::int32_t>("<i4", 2);
  expect_counts<std::uint32_t>("<u4", 3);
  expect_counts<std::int64_t>("<i8");
  expect_counts<float>("<f4");
  expect_counts<double>("<f8");
}

TEST(Npy, TotalsHaveTwoDimensionsAndDenseLayersKeepTheirPlace) {
  const TempDir dir;
  const auto path =
      dir.write("a.npy", npy(header("<i8", "3, 2"), raw_all<std::int64_t>({0, 0, 2, 3, 4, 1})));
  const auto trace = read_recording("npy", {{path}, 0, 0, 1});
  EXPECT_EQ(trace.steps, 1);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{2, 3, 4, 1}));
  EXPECT_EQ(trace.layer_ids, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(trace.model_layers, 3);
}

TEST(Npy, RoundedCountsAreSaid) {
  const TempDir dir;
  const auto notes = [&](std::uint16_t half) {
    const auto path =
        dir.write("a.npy", npy(header("<f2", "1, 2"), raw_all<std::uint16_t>({half, 0x3c00})));
    const RecordingInput input{{path}, 0, 0, 1};
    return find_format("npy", input).read(input, [](const Trace&) {});
  };
  EXPECT_TRUE(notes(0x6800).empty());   // 2048
  ASSERT_EQ(notes(0x6801).size(), 1U);  // 2050
  EXPECT_NE(notes(0x6801)[0].find("round counts above 2048"), std::string::npos);
}

TEST(Npz, HasOneArrayOrAnswersWhichOne) {
  const TempDir dir;
  const auto counts = npy(header("<i4", "1, 2"), raw_all<std::int32_t>({3, 1}));
  const auto others = npy(header("<i4", "1, 2"), raw_all<std::int32_t>({2, 2}));
  const auto read = [&](const Entries& entries, const char* array,
                        zip_int32_t method = ZIP_CM_STORE) {
    RecordingInput input{{write_zip(dir.at("a.npz"), entries, method)}, 0, 0, 1};
    input.array = array;
    return read_recording("auto", input).tokens;
  };
  const std::vector<std::int32_t> first{3, 1}, second{2, 2};
  for (const auto method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    EXPECT_EQ(read({{"counts.npy", counts}}, "", method), first);
    EXPECT_EQ(read({{"counts.npy", counts}, {"b.npy", others}}, "b", method), second);
  }
  const auto refuse = [&](const char* part, const Entries& entries, const char* array) {
    expect_refused(part, [&] { (void)read(entries, array); });
  };
  refuse("a.npz holds counts, b: name one with --array",
         {{"counts.npy", counts}, {"b.npy", others}}, "");
  refuse("a.npz holds counts, no array 'x': name one with --array", {{"counts.npy", counts}}, "x");
  refuse("a.npz holds no array", {{"notes.txt", "x"}}, "");
  refuse("a.npz: c.npy is no .npy file", {{"c.npy", "twelve bytes"}}, "");
  expect_refused("a.npy is no .npz", [&] {
    RecordingInput input{{dir.write("a.npy", counts)}, 0, 0, 1};
    input.array = "counts";
    (void)read_recording("auto", input);
  });
  expect_refused("is read as csv, which has no arrays", [&] {
    RecordingInput input{{dir.write("a.csv", "step,layer,e0\n0,0,1\n")}, 0, 0, 1};
    input.array = "counts";
    (void)read_recording("auto", input);
  });
}

TEST(Npz, SurvivesDamage) {
  const TempDir dir;
  const auto array = npy(header("<i4", "2, 1, 2"), raw_all<std::int32_t>({1, 1, 2, 2}));
  expect_survives_damage(
      "npy", "a.npz", slurp(write_zip(dir.at("a.npz"), {{"a.npy", array}}, ZIP_CM_DEFLATE)), 100);
}

TEST(Npy, RefusesOthers) {
  const TempDir dir;
  const auto refuse = [&](const char* part, const std::string& bytes) {
    SCOPED_TRACE(part);
    const auto path = dir.write("a.npy", bytes);
    expect_refused(part, [&] { (void)read_raw("npy", {{path}, 0, 0, 1}); });
    expect_refused("a.npy", [&] { (void)read_raw("npy", {{path}, 0, 0, 1}); });
  };
  const auto four = raw_all<std::int32_t>({1, 1, 1, 1});
  refuse("'>i4'; save counts as little-endian", npy(header(">i4", "2, 2"), four));
  refuse("'<c8'", npy(header("<c8", "2, 1"), four));
  refuse("'|O'", npy(header("|O", "2, 1"), four));
  refuse("'<i9'", npy(header("<i9", "2, 1"), four));
  refuse("1 dimensions", npy(header("<i4", "4,"), four));
  refuse("4 dimensions", npy(header("<i4", "1, 1, 2, 2"), four));
  refuse("0 dimensions", npy(header("<i4", ""), four));
  refuse("Fortran order", npy("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 2), }", four));
  refuse("cut off", npy(header("<i4", "2, 2"), four.substr(1)));
  refuse("more than its header says", npy(header("<i4", "2, 2"), four + "x"));
  refuse("0 layers", npy(header("<i4", "0, 2"), ""));
  refuse("no token in any of its 0 steps", npy(header("<i4", "0, 2, 2"), ""));
  refuse("malformed", npy(header("<i4", "-2, 2"), four));
  refuse("malformed", npy(header("<i4", "99999999999999999999, 2"), four));
  refuse("experts", npy(header("<i4", "2, 9223372036854775807"), four));
  refuse("impossible size", npy(header("<i4", "9223372036854775807, 2"), four));
  refuse("cut off", npy(header("<i4", "9223372036854775807, 2, 2"), four));
  refuse("malformed", npy("{'descr': '<i4', 'shape': (2, 2)}", four));
  refuse("malformed",
         npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2,)}", four));
  refuse("malformed", npy("__import__('os').system('true')", four));
  refuse("malformed", npy("{'descr': '<i4", four));
  refuse("no .npy file", "step,layer,e0,e1\n");
  refuse("version 9", std::string("\x93NUMPY\x09\0\x02\0{}\0\0\0", 14));
  refuse("header of 4294967295 bytes", std::string("\x93NUMPY\x02\0\xff\xff\xff\xff", 12));
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), 0.5, 1e300})
    refuse("no whole number in step 0", npy(header("<f8", "1, 2"), raw_all<double>({1, bad})));
  refuse("a count is -1", npy(header("<i4", "1, 2"), raw_all<std::int32_t>({2, -1})));
}

TEST(Npy, SurvivesDamage) {
  expect_survives_damage("npy", "a.npy",
                         npy(header("<i4", "2, 1, 2"), raw_all<std::int32_t>({1, 1, 2, 2})));
}

}  // namespace
}  // namespace gembench
