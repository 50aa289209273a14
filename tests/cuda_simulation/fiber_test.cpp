#include "tests/cuda_simulation/fiber.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gembench::simulation {
namespace {

std::string log;
std::vector<Fiber*> fibers;

/// Values that live in registers and on the stack over switches.
void count(std::size_t self, char name) {
  double sum = 0;
  for (int i = 0;; ++i) {
    sum += i * 0.5;
    log += name;
    log += std::to_string(static_cast<int>(2 * sum));
    Fiber& next = self + 1 < fibers.size() ? *fibers[self + 1] : Fiber::outside();
    fibers[self]->switch_to(next);
  }
}

TEST(Fiber, goes_on_where_it_was_left_with_what_it_held) {
  Fiber a([] { count(0, 'a'); }), b([] { count(1, 'b'); });
  fibers = {&a, &b};
  for (int i = 0; i < 4; ++i) {
    log += '|';
    Fiber::outside().switch_to(a);
  }
  EXPECT_EQ(log, "|a0b0|a1b1|a3b3|a6b6");
}

}  // namespace
}  // namespace gembench::simulation
