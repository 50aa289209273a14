#include "harness/run/address_layout.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace gembench {
namespace {

TEST(AddressLayout, the_second_entry_leaves_no_mark_for_other_programs) {
  ASSERT_EQ(setenv("GEMBENCH_REENTERED", "1", 1), 0);
  char* none[] = {nullptr};
  reenter_with_fixed_addresses(none);  // returns: it is marked as the second
  EXPECT_EQ(std::getenv("GEMBENCH_REENTERED"), nullptr);
}

}  // namespace
}  // namespace gembench
