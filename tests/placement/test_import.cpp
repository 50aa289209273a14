#include "placement/trace_import.hpp"
#include "support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using testing::TempDir;

TEST(RawIds, CutsConsecutiveTokensIntoSteps) {
  TempDir dir;
  const std::string bytes{0, 1, 1, 2, 2, 0, 0, 1, 1, 0, 2, 1, 2, 1, 1, 0, 0, 2, 2, 0};
  const auto path = dir.write("ids.u8", bytes);  // 5 tokens, 2 layers, top-2
  const auto trace = read_raw_ids(path, {2, 3, 2, 2});
  EXPECT_EQ(trace.steps, 2);  // the fifth token is dropped
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{2, 1, 1, 1, 2, 1,  //
                                                     1, 2, 1, 1, 2, 1}));
  EXPECT_EQ(trace.ids(1, 1)[0], 2);
  EXPECT_EQ(read_raw_ids(path, {2, 3, 2, 5}).steps, 1);
}

TEST(RawIds, RefusesWhatDoesNotFit) {
  TempDir dir;
  const auto path = dir.write("ids.u8", std::string{0, 1, 1, 2, 2, 0, 0, 1});
  const auto refuse = [&](const char* part, RawIdsShape shape) {
    expect_refused(part, [&] { (void)read_raw_ids(path, shape); });
  };
  refuse("no multiple of 3 layers", {3, 3, 2, 1});
  refuse("too few for one step of 3", {2, 3, 2, 3});
  refuse("ids.u8: step 0, layer 1: token 0 names expert 2 of 2", {2, 2, 2, 2});
  expect_refused("twice.u8: step 0, layer 0: token 1 names expert 1 twice", [&] {
    (void)read_raw_ids(dir.write("twice.u8", std::string{0, 1, 1, 1, 2, 0}), {1, 3, 2, 3});
  });
  refuse("at least 1", {0, 3, 2, 1});
  refuse("at least 1", {2, 3, 2, -1});
  refuse("300 experts", {2, 300, 2, 1});
  refuse("give a smaller top-k", {2, 3, 4, 1});
  refuse("impossible size", {2147483647, 256, 256, 1});
  expect_refused("no multiple", [&] {
    (void)read_raw_ids(dir.write("empty.u8", ""), {1, 2, 1, 1});
  });
}

}  // namespace
}  // namespace gembench
