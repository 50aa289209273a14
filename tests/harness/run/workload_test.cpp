#include "harness/run/workload.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "harness/run/model_file.hpp"
#include "placement/base/error.hpp"

namespace gembench {
namespace {

TEST(ModelFile, a_model_is_called_after_its_folder_and_after_nobody) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::temp_directory_path() / fmt::format("gembench-model-{}", static_cast<int>(getpid()));
  fs::create_directories(folder / "alice");
  fs::create_directories(folder / "Mini-MoE");
  for (const char* file : {"alice/config.json", "alice/mini.json", "Mini-MoE/config.json"}) {
    std::ofstream(folder / file)
        << R"({"model_type": "mixtral", "hidden_size": 64, "intermediate_size": 160,
               "num_local_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 2})";
  }
  const auto name = [&](const char* file) { return model_named((folder / file).string()).name; };
  const char* home = std::getenv("HOME");
  const std::string before = home == nullptr ? "" : home;
  setenv("HOME", "/home/alice", 1);
  EXPECT_EQ(name("Mini-MoE/config.json"), "mini-moe");
  EXPECT_EQ(name("alice/config.json"), "alice");
  setenv("HOME", (folder / "alice/").c_str(), 1);
  for (const char* file : {"alice/config.json", "alice", "alice/", "Mini-MoE/../alice"}) {
    EXPECT_EQ(name(file), "model") << file;
  }
  EXPECT_EQ(name("alice/mini.json"), "mini") << "called after its file";
  EXPECT_EQ(name("Mini-MoE"), "mini-moe");
  if (home != nullptr) {
    setenv("HOME", before.c_str(), 1);
  } else {
    unsetenv("HOME");
  }
  fs::remove_all(folder);
}

TEST(Slowdown, high_and_low_have_the_papers_spread_at_any_rank_count) {
  RunCommand options;
  for (const int ranks : {2, 3, 4, 8, 64}) {
    for (const auto& [kind, most] : {std::pair{"low", 1.077}, {"high", 1.277}}) {
      options.variability = kind;
      const auto values = slowdown_of(options, ranks, options.seed);
      ASSERT_EQ(values.size(), static_cast<std::size_t>(ranks));
      EXPECT_DOUBLE_EQ(*std::min_element(values.begin(), values.end()), 1.0);
      EXPECT_DOUBLE_EQ(*std::max_element(values.begin(), values.end()), most);
    }
  }
}

TEST(Slowdown, which_rank_is_slow_comes_from_the_seed) {
  RunCommand options;
  options.variability = "high";
  std::vector<bool> slowest(4, false);
  for (options.seed = 0; options.seed < 40; ++options.seed) {
    const auto values = slowdown_of(options, 4, options.seed);
    slowest[static_cast<std::size_t>(std::max_element(values.begin(), values.end()) -
                                     values.begin())] = true;
  }
  EXPECT_EQ(slowest, std::vector<bool>(4, true));
}

TEST(Slowdown, none_is_none_and_a_list_must_fit_the_ranks) {
  RunCommand options;
  EXPECT_EQ(slowdown_of(options, 3, options.seed), std::vector<double>(3, 1.0));
  options.slowdown = {1, 1.5};
  EXPECT_EQ(slowdown_of(options, 2, options.seed), options.slowdown);
  EXPECT_THROW(static_cast<void>(slowdown_of(options, 3, options.seed)), Error);
}

TEST(Workload, planned_steps_come_before_measured_ones) {
  RunCommand options;
  options.plan_steps = 6;
  options.steps = 4;
  options.tokens = 64;
  ModelShape model = model_of(options);
  model.layers = 2;
  const Workload workload = make_workload(options, model, 4);
  EXPECT_EQ(workload.plan.steps, 6);
  EXPECT_EQ(workload.measured.steps, 4);
  EXPECT_EQ(workload.first_measured, 6);
  EXPECT_EQ(workload.tokens, 64);
  options.preset = "w2-hot-rank";  // of four ranks, which a run knows
  EXPECT_NE(make_workload(options, model, 4).plan.tokens, workload.plan.tokens);
  options.in_sample = true;
  const Workload in_sample = make_workload(options, model, 4);
  EXPECT_EQ(in_sample.plan.tokens, in_sample.measured.tokens);
}

TEST(Workload, tokens_come_from_their_option_then_the_ranks_sum) {
  RunCommand options;
  EXPECT_EQ(tokens_per_step(options), 1024);
  options.tokens_per_rank = {1, 0, 6};
  EXPECT_EQ(tokens_per_step(options), 7);
  options.tokens = 70;
  EXPECT_EQ(tokens_per_step(options), 70);
  options.tokens.reset();
  options.tokens_per_rank = {1 << 30, 1 << 30};
  EXPECT_THROW(static_cast<void>(tokens_per_step(options)), Error);
}

TEST(Workload, a_digest_tells_loads_apart) {
  Trace trace;
  trace.tokens = {1, 2, 3};
  const std::string before = digest(trace);
  EXPECT_EQ(before.size(), 16U);
  std::swap(trace.tokens[0], trace.tokens[1]);
  EXPECT_NE(digest(trace), before);
}

}  // namespace
}  // namespace gembench
