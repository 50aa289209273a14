#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "results/run_reader.hpp"
#include "results/trace_file.hpp"
#include "tests/results/expect_equal.hpp"

/// make_corpus.py writes our files anew as other programs would: folder GEMBENCH_CORPUS holds
/// run.h5 and trace.h5 as we wrote them, and run-*.h5 and trace-*.h5 with the same content.
namespace gembench {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> written_anew(const std::string& kind) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(std::getenv("GEMBENCH_CORPUS")))
    if (entry.path().filename().string().starts_with(kind + "-")) found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

fs::path original(const std::string& name) {
  return fs::path(std::getenv("GEMBENCH_CORPUS")) / name;
}

class Corpus : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::getenv("GEMBENCH_CORPUS")) GTEST_SKIP() << "make_corpus.py starts this";
  }
};

TEST_F(Corpus, traces_are_read_whoever_wrote_them) {
  const Trace ours = read_trace(original("trace.h5"));
  const auto others = written_anew("trace");
  ASSERT_GE(others.size(), 8U);
  for (const auto& path : others) {
    SCOPED_TRACE(path.filename().string());
    const Trace read = read_trace(path);
    EXPECT_EQ(read.source, ours.source);
    EXPECT_EQ(read.topk, ours.topk);
    EXPECT_EQ(read.tokens, ours.tokens);
    EXPECT_EQ(read.phase, ours.phase);
    EXPECT_EQ(read.layer_ids, ours.layer_ids);
    EXPECT_EQ(read.model_layers, ours.model_layers);
    EXPECT_EQ(read.source_tokens, ours.source_tokens);
  }
}

TEST_F(Corpus, results_are_read_whoever_wrote_them) {
  const RunReader ours(original("run.h5"));
  const auto others = written_anew("run");
  ASSERT_GE(others.size(), 8U);
  for (const auto& path : others) {
    SCOPED_TRACE(path.filename().string());
    const RunReader read(path);
    EXPECT_EQ(read.info().labels, ours.info().labels);
    EXPECT_EQ(read.info().facts, ours.info().facts);
    EXPECT_EQ(read.info().rank_facts, ours.info().rank_facts);
    EXPECT_TRUE(read.info().config == ours.info().config);  // too long to be shown
    EXPECT_EQ(read.info().clock, ours.info().clock);
    ASSERT_EQ(read.info().placements.size(), ours.info().placements.size());
    for (std::size_t i = 0; i < ours.info().placements.size(); ++i)
      EXPECT_EQ(read.info().placements[i].strategy, ours.info().placements[i].strategy);
    example::expect_equal(read.read_segment(0), ours.read_segment(0));
  }
}

}  // namespace
}  // namespace gembench
