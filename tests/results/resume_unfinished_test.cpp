// Resumes of killed runs, and resumes that end early themselves: killed, or out of disk.
#include "tests/results/child.hpp"
#include "tests/results/hostile.hpp"
#include "tests/results/resume.hpp"

namespace gembench {
namespace {

using namespace resuming;
using hostile::slurp;

TEST(ResumeUnfinished, AfterARunKilledAtAnyMoment) {
  for (int trial = 0; trial < 7; ++trial) {
    const example::Folder folder;
    const int done = 1 + 4 * trial;
    {
      example::Reporter child([&](const auto& report) {
        RunWriter writer(folder / "r.h5", false);
        writer.describe(kInfo);
        for (int segment = 0; segment < kSegments; ++segment)
          write_segments(writer, segment, segment + 1), report();
        pause();
      });
      ASSERT_TRUE(child.wait_for(done));
      usleep(static_cast<useconds_t>(137 * trial));
    }
    EXPECT_GE(count_segments(folder / "r.h5.partial"), done);
    resume(folder / "r.h5");
    expect_whole(folder, folder / "r.h5", kInfo, 1);
  }
}

/// The signal of a file that grows beyond its limit kills at the same place each time.
TEST(ResumeUnfinished, KilledWhileCopyingItLosesNothing) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 20);
  const auto before = slurp(folder / "r.h5.partial");
  for (unsigned trial = 1; trial < 13; ++trial) {  // each finds what the last one left
    EXPECT_EQ(example::in_child([&] {
                const rlimit none{0, 0};
                setrlimit(RLIMIT_CORE, &none);
                example::limit_file_size(before.size() * trial / 13);
                signal(SIGXFSZ, SIG_DFL);
                resume(folder / "r.h5");
              }),
              -SIGXFSZ);
    EXPECT_TRUE(fs::exists(folder / "r.h5.partial.new"));
    EXPECT_EQ(slurp(folder / "r.h5.partial"), before);
  }
  EXPECT_EQ(count_segments(folder / "r.h5.partial"), 20);
  resume(folder / "r.h5");
  expect_whole(folder, folder / "r.h5");
}

TEST(ResumeUnfinished, KilledAtAnyMomentItLosesNothing) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 5);
  int segments = 5;
  constexpr int kKills = 16;
  for (int trial = 0; trial < kKills; ++trial) {
    const int more = std::min(trial % 4, kSegments - segments);
    {
      example::Reporter child([&](const auto& report) {
        const RunReader earlier(folder / "r.h5.partial");
        report();
        RunWriter writer(folder / "r.h5", earlier, kNoFacts);
        for (int segment = segments; segment < kSegments; ++segment)
          write_segments(writer, segment, segment + 1), report();
        pause();
      });
      ASSERT_TRUE(child.wait_for(1 + more));
      usleep(static_cast<useconds_t>(1371 * trial));
    }
    const int before = segments;
    segments = count_segments(folder / "r.h5.partial");
    EXPECT_GE(segments, before + more);
  }
  resume(folder / "r.h5");
  expect_whole(folder, folder / "r.h5", kInfo, kKills);
}

TEST(ResumeUnfinished, AFullDiskWhileCopyingChangesNothing) {
  const example::Folder folder;
  write_partial(folder / "r.h5", 20);
  const auto before = slurp(folder / "r.h5.partial");
  for (unsigned trial = 0; trial < 15; ++trial) {
    const auto limit = before.size() * trial / 15;
    EXPECT_EQ(example::in_child([&] {
                example::limit_file_size(limit);
                if (std::freopen("/dev/null", "w", stderr) == nullptr) throw std::exception();
                resume(folder / "r.h5");
              }),
              static_cast<int>(ExitCode::output))
        << limit;
    EXPECT_EQ(slurp(folder / "r.h5.partial"), before) << limit;
    EXPECT_FALSE(fs::exists(folder / "r.h5.partial.new")) << limit;
    EXPECT_FALSE(fs::exists(folder / "r.h5")) << limit;
  }
  EXPECT_EQ(count_segments(folder / "r.h5.partial"), 20);
  resume(folder / "r.h5");
  expect_whole(folder, folder / "r.h5");
}

}  // namespace
}  // namespace gembench
