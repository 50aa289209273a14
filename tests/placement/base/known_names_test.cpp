#include "placement/base/known_names.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

const std::vector<std::string> kNames{"linear", "round-robin", "eplb", "eplb-hier", "gem", "gem+"};

TEST(KnownNames, CaseIsForgiven) {
  EXPECT_EQ(as_known("GEM", kNames), "gem");
  EXPECT_EQ(as_known("Eplb-Hier", kNames), "eplb-hier");
  EXPECT_EQ(as_known("gem", kNames), "gem");
  EXPECT_EQ(as_known("Gems", kNames), "Gems") << "no more than case";
  EXPECT_EQ(as_known("A", {"a", "A"}), "A") << "an exact name is taken first";
}

TEST(KnownNames, SlipsOfAllKindsFindTheClosest) {
  struct Case {
    const char* typed;
    const char* meant;  // empty: nothing is close
  };
  for (const Case& c : {Case{"gme", "gem"}, Case{"gm", "gem"}, Case{"gemm", "gem"},
                        Case{"LINAER", "linear"}, Case{"eplb-heir", "eplb-hier"},
                        Case{"round", "round-robin"}, Case{"roundrobin", "round-robin"},
                        Case{"best", ""}, Case{"", ""}, Case{"x", ""}, Case{"zz", ""}}) {
    const std::string hint = did_you_mean(c.typed, kNames);
    EXPECT_EQ(hint, *c.meant ? " (did you mean '" + std::string(c.meant) + "'?)" : "") << c.typed;
  }
  EXPECT_EQ(did_you_mean(std::string(100'000, 'g'), kNames), "");
}

}  // namespace
}  // namespace gembench
