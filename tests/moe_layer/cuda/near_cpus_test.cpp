#include "moe_layer/cuda/near_cpus.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include "tests/moe_layer/made_root.hpp"

namespace gembench {
namespace {

constexpr const char* kPci = "0000:3B:00.0";
constexpr const char* kList = "sys/bus/pci/devices/0000:3b:00.0/local_cpulist";

std::vector<int> listed(const std::string& text) {
  const MadeRoot root;
  root.write(kList, text);
  return cuda::cpus_near(kPci, root.path());
}

TEST(NearCpus, are_those_that_linux_lists_for_the_device) {
  EXPECT_EQ(listed("0-2,8,10-11\n"), (std::vector{0, 1, 2, 8, 10, 11}));
  EXPECT_TRUE(listed("").empty());
  for (const char* wrong : {"x", "3-1", "-4", "0-99999999", "1,y"}) {
    EXPECT_TRUE(listed(wrong).empty()) << wrong;
  }
  EXPECT_TRUE(cuda::cpus_near("0000:00:00.0", MadeRoot().path()).empty());
}

/// This thread's CPUs, restored at the end.
class NearCpusOfThread : public testing::Test {
 protected:
  NearCpusOfThread() { sched_getaffinity(0, sizeof before_, &before_); }
  ~NearCpusOfThread() override { sched_setaffinity(0, sizeof before_, &before_); }
  [[nodiscard]] int first() const {
    int cpu = 0;
    while (!CPU_ISSET(cpu, &before_)) ++cpu;
    return cpu;
  }
  [[nodiscard]] static cpu_set_t now() {
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    return cpus;
  }
  cpu_set_t before_{};
};

TEST_F(NearCpusOfThread, keep_it_until_they_are_no_longer_asked_to) {
  const MadeRoot root;
  root.write(kList, std::to_string(first()) + "\n");
  {
    const cuda::NearCpus near(kPci, root.path(), 1);
    EXPECT_EQ(near.words(), "1 of the rank's " + std::to_string(CPU_COUNT(&before_)));
    const cpu_set_t kept = now();
    EXPECT_EQ(CPU_COUNT(&kept), 1);
    EXPECT_TRUE(CPU_ISSET(first(), &kept));
  }
  const cpu_set_t after = now();
  EXPECT_TRUE(CPU_EQUAL(&after, &before_));
}

TEST_F(NearCpusOfThread, leave_it_where_too_few_of_its_own_are_near) {
  if (CPU_COUNT(&before_) == 1) GTEST_SKIP() << "a thread with one CPU keeps it";
  const MadeRoot root;
  for (const int cpu : {first(), CPU_SETSIZE - 1}) {
    root.write(kList, std::to_string(cpu));
    const cuda::NearCpus near(kPci, root.path());
    EXPECT_NE(near.words().find(", too few to keep to"), std::string::npos) << near.words();
    const cpu_set_t kept = now();
    EXPECT_TRUE(CPU_EQUAL(&kept, &before_));
  }
  EXPECT_EQ(cuda::NearCpus("0000:00:00.0", root.path()).words(), "not known");
}

}  // namespace
}  // namespace gembench
