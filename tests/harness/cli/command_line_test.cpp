#include "harness/cli/command_line.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <utility>
#include <variant>

#include "placement/base/error.hpp"

namespace gembench {
namespace {

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "gembench");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

RunCommand run_of(std::vector<const char*> words) {
  return std::get<RunCommand>(parse(std::move(words)).command);
}

TEST(Options, values_reach_their_fields) {
  const RunCommand o =
      run_of({"run",        "--model",    "qwen3-30b-a3b", "--scale", "8", "--layers",
              "2",          "--tokens",   "16K",           "-w",      "3", "--placements",
              "linear,gem", "--slowdown", "1,1.5",         "--seed",  "7", "-o",
              "a.h5",       "-q"});
  EXPECT_EQ(o.model, "qwen3-30b-a3b");
  EXPECT_EQ(o.scale, 8);
  EXPECT_EQ(o.layers, 2);
  EXPECT_EQ(o.tokens, 16384);
  EXPECT_EQ(o.warmup, 3);
  EXPECT_EQ(o.placements, (std::vector<std::string>{"linear", "gem"}));
  EXPECT_EQ(o.slowdown, (std::vector<double>{1, 1.5}));
  EXPECT_EQ(o.seed, 7U);
  EXPECT_EQ(o.output, "a.h5");
  EXPECT_TRUE(o.quiet);
}

TEST(Options, what_is_typed_as_a_person_would_is_taken) {
  const RunCommand o = run_of({"run",
                               "--model",
                               "GPT-OSS-20B",
                               "--placements",
                               "Linear,",
                               "EPLB",
                               ",relabel:Gem,",
                               "file:A.json",
                               "--format",
                               "JSON",
                               "--max-seconds",
                               "10m",
                               "--timeout",
                               "1.5 h",
                               "--precision",
                               "5",
                               "%",
                               "--seed",
                               "1",
                               "--seed=2",
                               "--slowdown=1,",
                               "1.5",
                               "-o",
                               "A.h5"});
  EXPECT_EQ(o.model, "gpt-oss-20b");
  EXPECT_EQ(o.placements,
            (std::vector<std::string>{"linear", "eplb", "relabel:gem", "file:A.json"}));
  EXPECT_EQ(o.format, "json");
  EXPECT_EQ(o.max_seconds, 600);
  EXPECT_EQ(o.timeout, 5400);
  EXPECT_EQ(o.precision, 5);
  EXPECT_EQ(o.seed, 2U) << "the last of two";
  EXPECT_EQ(o.slowdown, (std::vector<double>{1, 1.5}));
  EXPECT_EQ(o.output, "A.h5") << "paths keep their case";
  const auto files = std::get<CompareCommand>(parse({"compare", "a,.h5", "b.h5"}).command).files;
  EXPECT_EQ(files, (std::vector<std::string>{"a,.h5", "b.h5"})) << "files are no list";
  const auto plan = std::get<PlanCommand>(
      parse({"plan", "--trace", "t", "--split", "50 %", "-o", "p", "--ranks", "2"}).command);
  EXPECT_EQ(plan.split, 0.5);
}

TEST(Options, slips_get_the_closest_name) {
  struct Case {
    std::vector<const char*> words;
    const char* meant;
  };
  for (const Case& c :
       {Case{{"rn", "-o", "a"}, "'run'"}, Case{{"run", "--modle", "x"}, "'--model'"},
        Case{{"run", "-o", "a", "--check", "lsat"}, "'last'"},
        Case{{"help", "socre"}, "'score'"}}) {
    try {
      static_cast<void>(parse(c.words));
      ADD_FAILURE() << c.meant;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("did you mean " + std::string(c.meant)),
                std::string::npos)
          << error.what();
    }
  }
}

TEST(Options, numbers_keep_all_their_digits_and_nothing_is_no_number) {
  EXPECT_EQ(run_of({"run", "-o", "a"}).scale, RunCommand{}.scale);
  EXPECT_EQ(run_of({"run", "-o", "a", "--scale", "1.2345678901"}).scale, 1.2345678901);
  for (const char* wrong : {"", " ", "x", "2x", "1,5", "5 %"}) {
    EXPECT_THROW(run_of({"run", "-o", "a", "--scale", wrong}), Error) << wrong;
    EXPECT_THROW(run_of({"run", "-o", "a", "--max-seconds", wrong}), Error) << wrong;
  }
}

TEST(Options, help_is_a_command_too) {
  EXPECT_EQ(parse({"help"}).text, parse({"--help"}).text);
  EXPECT_EQ(parse({"help", "run"}).text, parse({"run", "--help"}).text);
}

TEST(Options, a_trace_implies_its_routing) {
  EXPECT_EQ(run_of({"run", "--trace", "t.h5", "-o", "a.h5"}).routing, "trace");
}

/// Whatever follows from a value follows from its older name too: a run's length from its routing.
TEST(Options, names_of_values_in_older_versions_are_taken) {
  const char* const renamed[][3] = {{"--routing", "gate", "router"},
                                    {"--cost", "tokens", "sum"},
                                    {"--cost", "experts", "per-expert"}};
  for (const auto& [option, before, now] : renamed) {
    const auto old = run_of({"run", option, before, "--placements", "linear,gem", "-o", "a.h5"});
    EXPECT_EQ(to_json(old),
              to_json(run_of({"run", option, now, "--placements", "linear,gem", "-o", "a.h5"})))
        << before;
    EXPECT_TRUE(old.routing == now || old.cost == now) << before;
  }
  EXPECT_EQ(run_of({"run", "--routing", "gate", "--record", "t.h5", "-o", "a.h5"}).record, "t.h5");
  for (const char* command : {"plan", "score"}) {
    const Parsed parsed = parse({command, "--trace", "t.h5", "--ranks", "2", "--cost", "experts",
                                 command == std::string("plan") ? "--output" : "--strategies",
                                 "gem", "--print-config"});
    EXPECT_NE(parsed.text->find("cost = per-expert"), std::string::npos) << *parsed.text;
  }
}

TEST(Options, a_model_by_default_is_not_stated) {
  EXPECT_FALSE(
      std::get<TraceImportCommand>(parse({"trace", "import", "csv", "a.csv", "-o", "t.h5"}).command)
          .model_stated);
  const auto o = std::get<TraceImportCommand>(
      parse({"trace", "import", "csv", "a.csv", "--model", "gpt-oss-20b", "-o", "t.h5"}).command);
  EXPECT_TRUE(o.model_stated);
  EXPECT_EQ(o.files, (std::vector<std::string>{"a.csv"}));
  EXPECT_THROW(parse({"trace", "import", "csv", "a.csv", "--rescale", "1.5"}), Error);
  EXPECT_THROW(parse({"trace", "import", "csv", "a.csv", "--rescale", "nan"}), Error);
}

TEST(Options, help_and_version_are_texts) {
  for (const char* command : {"run", "profile", "probe", "trace", "plan", "score", "sensitivity",
                              "convert", "compare", "info", "list"}) {
    const Parsed parsed = parse({command, "--help"});
    ASSERT_TRUE(parsed.text) << command;
    EXPECT_EQ(parsed.text->find("Usage: gembench "), 0U);
  }
  EXPECT_TRUE(parse({"--help"}).text);
  for (const char* library : {"oneDNN", "Open MPI", "HDF5", "hwloc", "Boost", "fmt"}) {
    EXPECT_NE(parse({"--version"}).text->find(library), std::string::npos) << library;
  }
}

TEST(Options, whole_steps_exclude_what_reads_phases) {
  EXPECT_TRUE(run_of({"run", "--whole-steps", "-o", "a.h5"}).whole_steps);
  for (const char* other : {"--variability=low", "--slowdown=1,1.5", "--clock=cpu-time"}) {
    EXPECT_THROW(parse({"run", "--whole-steps", other, "-o", "a.h5"}), Error) << other;
  }
}

TEST(Options, a_step_as_a_graph_needs_a_gpu_that_sends_by_itself) {
  const std::vector<const char*> graph{"run", "--launch=graph", "-o", "a.h5"};
  EXPECT_THROW(parse(graph), Error);
  const auto with = [&](const char* other) {
    auto words = graph;
    words.insert(words.end(), {"--device=cuda", other});
    return words;
  };
  EXPECT_EQ(run_of(with("--slowdown=1,1.5")).launch, "graph");
  EXPECT_EQ(run_of({"run", "-o", "a.h5"}).launch, "phases");
  for (const char* other : {"--transport=mpi", "--dispatch=hierarchical", "--whole-steps",
                            "--clock=wall", "--adapt", "--placements=linear,adapt:gem"}) {
    try {
      static_cast<void>(parse(with(other)));
      ADD_FAILURE() << other;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("--launch graph"), std::string::npos) << other;
    }
  }
}

struct Mistake {
  std::vector<const char*> words;
  const char* said;  ///< part of the sentence
};

TEST(Options, mistakes_are_usage_errors_that_name_the_remedy) {
  const Mistake mistakes[] = {
      {{}, "gembench --help"},
      {{"walk"}, "unknown command 'walk'"},
      {{"run"}, "--output"},
      {{"run", "--warm", "3", "-o", "a"}, "--warm"},  // a prefix is not guessed
      {{"run", "--bogus", "-o", "a"}, "bogus"},
      {{"run", "--steps", "many", "-o", "a"}, "not a count"},
      {{"run", "--steps", "0", "-o", "a"}, "--steps"},
      {{"run", "--steps", "-4", "-o", "a"}, "not a count"},
      {{"run", "--tokens", "99999999999999", "-o", "a"}, "not a count"},
      {{"run", "--slowdown", "1,nan", "-o", "a"}, "'nan'"},
      {{"run", "--slowdown", "1,-2", "-o", "a"}, "'-2'"},
      {{"run", "--slowdown", "1", "--variability", "high", "-o", "a"}, "exclude"},
      {{"run", "--variability", "huge", "-o", "a"}, "none, low, high"},
      {{"run", "--routing", "trace", "-o", "a"}, "--trace"},
      {{"run", "--dtype", "fp8", "-o", "a"}, "bf16"},
      {{"run", "--scale", "x", "-o", "a"}, "scale"},
      {{"run", "--non-moe-time", "nan", "-o", "a"}, "non-moe-time"},
      {{"run", "stray", "-o", "a"}, "gembench run --help"},
      {{"run", "--tokens", "64:32", "-o", "a"}, "--tokens '64:32'"},
      {{"run", "--tokens", "64:128:x1", "-o", "a"}, "does not grow"},
      {{"run", "--tokens", "1:100:1", "-o", "a"}, "too many"},
      {{"profile", "--tokens", "64,128", "-o", "a"}, "only run"},
      {{"probe", "--tokens", "64,128"}, "only run"},
      {{"probe", "--max-seconds", "61"}, "max-seconds"},
      {{"probe", "--slower-than", "0"}, "slower-than"},
      {{"probe", "extra.h5"}, "probe accepts no file 'extra.h5'"},
      {{"run", "a", "b"}, "run accepts no file 'a'"},
      {{"list", "lplb-speed"}, "list accepts no file 'lplb-speed'"},
      {{"probe", "--slower-than", "5x"}, "%"},
      {{"run", "--tokens", "64,128", "--trace", "t.h5", "-o", "a"}, "drop --tokens or --trace"},
      {{"run", "--tokens-per-rank", "1,x", "-o", "a"}, "--tokens-per-rank"},
      {{"run", "--resume", "--overwrite", "-o", "a"}, "exclude"},
      {{"run", "--timeout", "-1", "-o", "a"}, "timeout"},
      {{"plan", "--max-moves", "2", "-o", "a"}, "--from"},
      {{"score", "--node-cost", "1e-9"}, "--ranks-per-node"},
      {{"score", "--token-split", "odd"}, "water-fill-blind"},
      {{"score", "--per-step", "ultraep"}, "redundant slots"},
      {{"score", "--per-step", "ultrap", "--spare-slots", "1"}, "did you mean"},
      {{"score", "--solve-us", "9"}, "--per-step"},
      {{"score", "--per-step", "lplb", "--replicas", "1", "--least-tokens", "0"}, "least-tokens"},
      {{"score", "--per-step", "lplb", "--replicas", "1", "--ablation"}, "exclude"},
      {{"score", "--bandwidth", "9"}, "--replan-every"},
      {{"score", "--replan-every", "9"}, "come after those planned on: add --split"},
      {{"score", "--replan-every", "0", "--split", "0.5"}, "replan-every"},
      {{"score", "--max-moves", "9"}, "add --replan-every N"},
      {{"score", "--replan-every", "9", "--split", "0.5", "--strategies", "linear,file:a.json"},
       "add one such as gem"},
      {{"score", "--draws", "5"}, "between 6 and 1000"},
      {{"score", "--draws", "6", "--ablation"}, "exclude"},
      {{"plan", "--horizon", "-1", "-o", "a"}, "horizon"},
      {{"convert", "p.json", "--first-layer", "99999", "-o", "a"}, "first-layer"},
      {{"convert", "p.json", "--model-layers", "0", "-o", "a"}, "model-layers"},
      {{"trace", "make", "--preset", "w2-hot-rank", "-o", "a"}, "add --ranks"},
      {{"trace", "make", "--preset", "W1-Hot-Experts", "--ranks", "4", "-o", "a"},
       "speak of ranks"},
      {{"trace", "import", "csv", "a.csv", "--ranks", "4", "-o", "a"}, "for trace make"},
      {{"run", "--preset", "w4-source-ragged", "-o", "a"}, "--preset even --tokens-per-rank"},
      {{"sensitivity"}, "sensitivity needs --ranks"},
      {{"sensitivity", "--ranks", "4", "--alphas", "0,x"}, "'x' is not a number"},
      {{"sensitivity", "--ranks", "4", "--alphas", "3.5"}, "between 0 and 3"},
      {{"sensitivity", "--ranks", "4", "--spreads", ","}, "at least one value"},
      {{"sensitivity", "--ranks", "4", "--strategies", "linear,file:a.json"}, "strategies only"},
      {{"run", "--config", "/nowhere/c.ini", "-o", "a"}, "/nowhere/c.ini"},
  };
  for (const Mistake& mistake : mistakes) {
    std::string line;
    for (const char* word : mistake.words) line += std::string(word) + " ";
    try {
      static_cast<void>(parse(mistake.words));
      ADD_FAILURE() << line << "was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << line;
      EXPECT_NE(std::string(error.what()).find(mistake.said), std::string::npos)
          << line << "-> " << error.what();
    }
  }
}

TEST(Options, the_command_line_is_kept_as_a_shell_needs_it) {
  EXPECT_EQ(run_of({"run", "-q", "-o", "my run.h5", "--trace=it's.h5"}).command_line,
            R"(gembench run -q -o 'my run.h5' '--trace=it'\''s.h5')");
}

TEST(Options, json_tells_two_command_lines_apart) {
  EXPECT_NE(to_json(run_of({"run", "-o", "a", "--seed", "1"})),
            to_json(run_of({"run", "-o", "a", "--seed", "2"})));
}

TEST(Options, json_is_silent_about_where_and_how_results_are_shown) {
  EXPECT_EQ(to_json(run_of({"run", "-o", "a", "-q"})),
            to_json(run_of({"run", "-o", "b", "--overwrite", "--format", "json"})));
}

TEST(Options, spreads_are_shares_or_percentages) {
  const auto o = std::get<SensitivityCommand>(
      parse({"sensitivity", "--ranks", "4", "--spreads", "0, 7.7%,0.277", "--alphas", "1"})
          .command);
  ASSERT_EQ(o.spreads.size(), 3U);
  EXPECT_DOUBLE_EQ(o.spreads[1], 0.077);
  EXPECT_DOUBLE_EQ(o.spreads[2], 0.277);
  EXPECT_EQ(o.alphas, std::vector<double>{1});
}

TEST(Options, sweeps_are_lists_factors_or_increments) {
  const auto sweep = [](const char* text) {
    return run_of({"run", "-o", "a", "--tokens", text}).token_sweep;
  };
  EXPECT_EQ(sweep("1K"), (std::vector<int>{1024}));
  EXPECT_EQ(sweep("256,64,64"), (std::vector<int>{64, 256}));
  EXPECT_EQ(sweep("64:1024:x4"), (std::vector<int>{64, 256, 1024}));
  EXPECT_EQ(sweep("64:500"), (std::vector<int>{64, 128, 256}));
  EXPECT_EQ(sweep("10:30:10"), (std::vector<int>{10, 20, 30}));
}

class Config : public testing::Test {
 protected:
  Config() : path_(testing::TempDir() + "gembench_options_test.ini") {}
  ~Config() override { std::filesystem::remove(path_); }
  Parsed parse_with(const std::string& text, std::vector<const char*> more = {}) {
    std::ofstream(path_) << text;
    more.insert(more.begin(), {"run", "--config", path_.c_str()});
    return parse(more);
  }
  std::string path_;
};

TEST_F(Config, what_is_printed_is_read_back_the_same) {
  const RunCommand before = run_of({"run",
                                    "-o",
                                    "a b.h5",
                                    "--layers",
                                    "3",
                                    "--tokens",
                                    "64:256:x2",
                                    "--steps",
                                    "16K",
                                    "--placements",
                                    "gem",
                                    "--slowdown",
                                    "1,1.25",
                                    "--timeout",
                                    "0.1",
                                    "--in-sample",
                                    "--resume",
                                    "--seed",
                                    "18446744073709551615",
                                    "--non-moe-time",
                                    "1e-05"});
  const std::string text = to_config(before);
  const RunCommand after = std::get<RunCommand>(parse_with(text).command);
  EXPECT_EQ(to_config(after), text);
  EXPECT_EQ(after.output, "a b.h5");
  EXPECT_EQ(after.token_sweep, (std::vector<int>{64, 128, 256}));
  EXPECT_EQ(after.slowdown, (std::vector<double>{1, 1.25}));
  EXPECT_EQ(after.steps, 16384);
  EXPECT_EQ(after.seed, 18446744073709551615U);
  EXPECT_TRUE(after.in_sample && after.resume);
}

TEST_F(Config, the_command_line_wins) {
  const RunCommand options = std::get<RunCommand>(
      parse_with("output = a.h5\nsteps = 3\n# a comment\nlayers = 2\n", {"--steps", "5"}).command);
  EXPECT_EQ(options.steps, 5);
  EXPECT_EQ(options.layers, 2);
}

TEST_F(Config, what_is_unknown_or_wrong_is_refused_as_on_the_command_line) {
  for (const char* text : {"step = 3\n", "steps = many\n", "no sense", "steps = 1\nsteps = 2\n"}) {
    EXPECT_THROW(static_cast<void>(parse_with(text)), Error) << text;
  }
}

}  // namespace
}  // namespace gembench
