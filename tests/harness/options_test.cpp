#include "harness/options.hpp"

#include <gtest/gtest.h>

#include "placement/error.hpp"

namespace gembench {
namespace {

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "gembench");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

TEST(Options, values_reach_their_fields) {
  const Options o =
      parse({"run",        "--model",    "qwen3-30b-a3b", "--scale", "8", "--layers",
             "2",          "--tokens",   "16K",           "-w",      "3", "--placements",
             "linear,gem", "--slowdown", "1,1.5",         "--seed",  "7", "-o",
             "a.h5",       "-q"})
          .options;
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

TEST(Options, a_trace_implies_its_routing) {
  EXPECT_EQ(parse({"run", "--trace", "t.h5", "-o", "a.h5"}).options.routing, "trace");
}

TEST(Options, help_and_version_are_texts) {
  for (const char* command : {"run", "profile", "trace", "plan", "score", "compare", "list"}) {
    const Parsed parsed = parse({command, "--help"});
    ASSERT_TRUE(parsed.help) << command;
    EXPECT_EQ(parsed.help->find("Usage: gembench "), 0U);
  }
  EXPECT_TRUE(parse({"--help"}).help);
  EXPECT_NE(parse({"--version"}).help->find("oneDNN"), std::string::npos);
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

TEST(Options, json_tells_two_command_lines_apart) {
  EXPECT_NE(to_json(parse({"run", "-o", "a", "--seed", "1"}).options),
            to_json(parse({"run", "-o", "a", "--seed", "2"}).options));
}

}  // namespace
}  // namespace gembench
