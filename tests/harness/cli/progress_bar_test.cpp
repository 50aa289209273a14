#include "harness/cli/progress_bar.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gembench {
namespace {

TEST(ProgressBar, shows_the_share_that_is_done) {
  EXPECT_EQ(progress_bar({"measuring", 0.5, "8 s to go"}, 80),
            "gembench: measuring [###############---------------]  50 %, 8 s to go");
  EXPECT_EQ(progress_bar({"profiling", 0, ""}, 40), "gembench: profiling [------------]   0 %");
}

TEST(ProgressBar, never_is_wider_than_the_terminal) {
  for (int columns = 1; columns < 120; ++columns) {
    for (const double share : {-1.0, 0.0, 0.3, 1.0, 7.0, std::nan("")}) {
      const auto line = progress_bar({"planning exact", share, "3 of 24 layers, slowly"}, columns);
      EXPECT_LE(line.size(), static_cast<std::size_t>(columns));
    }
  }
}

}  // namespace
}  // namespace gembench
