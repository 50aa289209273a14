// Files written before names changed: results before segments, profiles before load points.
#include "tests/results/expect_equal.hpp"
#include "tests/results/hostile.hpp"

namespace gembench {
namespace {

using namespace hostile;

/// Gives a file the names of before.
void rename_back(const std::filesystem::path& path, const char* version,
                 const std::vector<std::pair<const char*, const char*>>& names) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  for (const auto& [now, before] : names) {
    ASSERT_GE(H5Lmove(file, now, file, before, H5P_DEFAULT, H5P_DEFAULT), 0) << now;
  }
  set_text(file, "schema_version", version);
  H5Fclose(file);
}

TEST(OlderNames, AResultsFileIsReadAsANewOne) {
  const example::Folder folder;
  const auto path = folder / "r.h5";
  kKinds[0].write(path);
  std::vector<SegmentRecord> written;
  RunInfo info;
  {
    const RunReader reader(path);
    info = reader.info();
    for (int i = 0; i < info.shape.segments; ++i) written.push_back(reader.read_segment(i));
  }
  ASSERT_FALSE(written.empty());
  ASSERT_FALSE(info.profile.load_points.empty());
  rename_back(path, "2.6.0",
              {{"assignments", "tokens"},
               {"load_point", "knot"},
               {"segments/segment", "segments/turn"},
               {"segments", "turns"}});
  const RunReader reader(path);
  example::expect_equal(reader.info(), info);
  for (int i = 0; i < info.shape.segments; ++i) {
    example::expect_equal(reader.read_segment(i), written[static_cast<std::size_t>(i)]);
  }
}

TEST(OlderNames, AProfileIsReadAsANewOne) {
  const example::Folder folder;
  const auto path = folder / "p.h5";
  kKinds[2].write(path);
  const Profile written = read_profile(path);
  rename_back(path, "1.2.0", {{"load_point", "knot"}});
  const Profile read = read_profile(path);
  EXPECT_EQ(read.load_points, written.load_points);
  EXPECT_EQ(read.latency, written.latency);
}

TEST(OlderNames, WhatNeitherNameIsThereForIsNamedAsToday) {
  const example::Folder folder;
  kKinds[2].write(folder / "p.h5");
  rename_back(folder / "p.h5", "1.2.0", {{"load_point", "elsewhere"}});
  expect_refused(kKinds[2], folder / "p.h5", "no dataset load_point", "neither name");
}

}  // namespace
}  // namespace gembench
