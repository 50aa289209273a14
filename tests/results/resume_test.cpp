// Runs that ended early and go on: nothing that was measured may be lost or change.
#include "tests/results/resume.hpp"

#include "tests/results/hostile.hpp"

namespace gembench {
namespace {

using namespace resuming;
using hostile::slurp;
using hostile::spill;

TEST(Resume, EqualsARunInOneGo) {
  ASSERT_EQ(kInfo.shape.segments, kSegments);
  for (const int segments : {0, 1, 13, kSegments}) {
    const example::Folder folder;
    write_partial(folder / "r.h5", segments);
    EXPECT_EQ(count_segments(folder / "r.h5.partial"), segments);
    resume(folder / "r.h5");
    expect_whole(folder, folder / "r.h5");
  }
}

TEST(Resume, AgainAndAgain) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 4);
  for (int segments = 4; segments < kSegments; segments += 7) {
    EXPECT_EQ(count_segments(folder / "r.h5.partial"), segments);
    resume(folder / "r.h5", 7);
  }
  expect_whole(folder, folder / "r.h5");
}

TEST(Resume, TakesNoMoreSpace) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 13);
  resume(folder / "r.h5");
  write_whole(folder / "whole.h5");
  EXPECT_LT(fs::file_size(folder / "r.h5"), fs::file_size(folder / "whole.h5") + 1000);
}

TEST(Resume, TakesOverOnceEverythingIsCopied) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 13);
  const RunReader earlier(folder / "r.h5.partial");
  {
    RunWriter writer(folder / "r.h5", earlier, kNoFacts);
    EXPECT_TRUE(fs::exists(folder / "r.h5.partial"));
    EXPECT_FALSE(fs::exists(folder / "r.h5.partial.new"));
    EXPECT_TRUE(earlier.measured(12));  // still reads what it opened
    example::expect_equal(earlier.notes()[12], example::notes(12));
    EXPECT_THROW(writer.describe(kInfo), std::logic_error);
  }
  EXPECT_EQ(count_segments(folder / "r.h5.partial"), 13);
}

TEST(Resume, FactsAreAddedAndReplaced) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 3);
  resume(folder / "r.h5", kSegments, {{"device", "another"}, {"resumed_by", "gembench ü"}});
  auto info = kInfo;
  info.facts["device"] = "another";
  info.facts["resumed_by"] = "gembench ü";
  expect_whole(folder, folder / "r.h5", info);
  write_partial(folder / "s.h5", 3);
  EXPECT_THROW(resume(folder / "s.h5", kSegments, {{"seed", "7"}}), std::invalid_argument);
  EXPECT_EQ(count_segments(folder / "s.h5.partial"), 3);
  EXPECT_FALSE(fs::exists(folder / "s.h5.partial.new"));
}

/// A step whose `block` is missing was not written whole: its segment is measured again.
TEST(Resume, DropsASegmentThatIsNotWhole) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 13);
  const auto& at = kInfo.segments[12];
  const hid_t file = H5Fopen((folder / "r.h5.partial").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t set = H5Dopen2(file, "block", H5P_DEFAULT), space = H5Dget_space(set);
  const hsize_t start[] = {static_cast<hsize_t>(at.placement),
                           static_cast<hsize_t>(at.first_step + at.steps - 1)};
  const hsize_t count[] = {1, 1};
  const hid_t one = H5Screate_simple(2, count, nullptr);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, count, nullptr);
  const std::int32_t missing = -1;
  ASSERT_GE(H5Dwrite(set, H5T_NATIVE_INT32, one, space, H5P_DEFAULT, &missing), 0);
  for (const hid_t object : {one, space}) H5Sclose(object);
  H5Dclose(set);
  H5Fclose(file);
  EXPECT_EQ(count_segments(folder / "r.h5.partial"), 12);
  resume(folder / "r.h5", 0);
  EXPECT_EQ(count_segments(folder / "r.h5.partial"), 12);
  {
    const RunReader reader(folder / "r.h5.partial");
    example::expect_equal(reader.notes()[12], SegmentNotes{});
    EXPECT_TRUE(std::isnan(reader.read(at.placement, at.first_step, 1).step_time.at(0)));
    EXPECT_EQ(reader.blocks(at.placement).at(static_cast<std::size_t>(at.first_step)), -1);
  }
  resume(folder / "r.h5");
  expect_whole(folder, folder / "r.h5");
}

TEST(Resume, RefusesAFinishedFile) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 13);
  const auto before = slurp(folder / "r.h5.partial");
  spill(folder / "r.h5", "precious");
  try {
    resume(folder / "r.h5");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::output);
    EXPECT_NE(std::string(error.what()).find("r.h5 exists"), std::string::npos) << error.what();
  }
  EXPECT_EQ(slurp(folder / "r.h5"), "precious");
  EXPECT_EQ(slurp(folder / "r.h5.partial"), before);
  EXPECT_FALSE(fs::exists(folder / "r.h5.partial.new"));
  fs::remove(folder / "r.h5");
  {  // or one that appears while it runs
    const RunReader earlier(folder / "r.h5.partial");
    RunWriter writer(folder / "r.h5", earlier, kNoFacts);
    write_segments(writer, 13, kSegments);
    spill(folder / "r.h5", "precious");
    EXPECT_THROW(writer.finish(example::end(kShape, 2)), Error);
  }
  EXPECT_EQ(slurp(folder / "r.h5"), "precious");
  EXPECT_TRUE(fs::exists(folder / "r.h5.partial"));
}

TEST(Resume, LeftoversOfAnotherResumeDoNotMatter) {
  const example::Folder folder;
  write_partial(folder / "other.h5", 29);
  const auto other = slurp(folder / "other.h5.partial");
  for (const auto& leftover :
       {std::string(), std::string("garbage"), other.substr(0, 5000), other}) {
    write_partial(folder / "r.h5", 13);
    spill(folder / "r.h5.partial.new", leftover);
    resume(folder / "r.h5");
    expect_whole(folder, folder / "r.h5");
  }
  write_partial(folder / "r.h5", 13);
  fs::create_symlink(folder / "other.h5.partial", folder / "r.h5.partial.new");
  resume(folder / "r.h5");
  expect_whole(folder, folder / "r.h5");
  EXPECT_EQ(slurp(folder / "other.h5.partial"), other);
}

}  // namespace
}  // namespace gembench
