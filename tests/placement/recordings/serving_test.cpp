#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "placement/recordings/serving.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_error;
using testing::TempDir;

struct Step {
  double seconds = 0;
  std::vector<ServedPart> parts;
  [[nodiscard]] int tokens() const {
    return std::accumulate(parts.begin(), parts.end(), 0,
                           [](int sum, const ServedPart& part) { return sum + part.count; });
  }
};

std::vector<Step> served(const std::vector<Arrival>& arrivals, const ServingSpec& spec) {
  std::vector<Step> steps;
  serve(arrivals, spec, [&](double seconds, std::span<const ServedPart> parts) {
    steps.push_back({seconds, {parts.begin(), parts.end()}});
  });
  return steps;
}

ServingSpec engine(int tokens, int requests = 0) {
  ServingSpec spec;
  spec.max_batch_tokens = tokens;
  spec.max_requests = requests;
  spec.step_seconds = 0.5;
  spec.token_seconds = 0.01;
  return spec;
}

TEST(Serving, APromptIsCutIntoChunksThenDecodeGoesOn) {
  // 10 prompt tokens in chunks of 4, then 2 passes for 3 generated tokens; the second request
  // shares steps as soon as there is room.
  const auto steps = served({{0, 10, 3}, {0.1, 3, 1}}, engine(4));
  const std::vector<std::vector<std::vector<int>>> expected{
      {{0, 0, 4}}, {{0, 4, 4}}, {{0, 8, 2}, {1, 0, 2}}, {{0, 10, 1}, {1, 2, 1}}, {{0, 11, 1}}};
  ASSERT_EQ(steps.size(), expected.size());
  for (std::size_t s = 0; s < steps.size(); ++s) {
    ASSERT_EQ(steps[s].parts.size(), expected[s].size()) << s;
    for (std::size_t p = 0; p < steps[s].parts.size(); ++p) {
      const auto& part = steps[s].parts[p];
      EXPECT_EQ((std::vector<int>{int(part.request), part.first, part.count}), expected[s][p]) << s;
    }
  }
  EXPECT_DOUBLE_EQ(steps[1].seconds, 0.5 + 4 * 0.01);
}

TEST(Serving, WaitsForArrivalsWhenNothingRuns) {
  const auto steps = served({{0, 1, 1}, {100, 2, 1}}, engine(8));
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_DOUBLE_EQ(steps[1].seconds, 100);
}

TEST(Serving, RequestsWithoutPassesAreSkipped) {
  EXPECT_TRUE(served({{0, 0, 0}, {1, 0, 1}}, engine(8)).empty());
  EXPECT_EQ(served({{0, 0, 1}, {0, 0, 3}, {0, 0, 0}, {9, 1, 0}}, engine(8)).size(), 3u);
}

/// Whatever the load: every pass of every request is served once and in order, never before it
/// arrived, within the engine's limits; no room is left while someone could use it.
TEST(Serving, EveryPassIsServedOnceWithinTheLimits) {
  Random random(11);
  for (int round = 0; round < 60; ++round) {
    std::vector<Arrival> arrivals;
    double now = 0;
    for (std::uint64_t i = 0; i < 1 + random.below(40); ++i) {
      now += random.uniform();
      arrivals.push_back({now, int(random.below(30)), int(random.below(12))});
    }
    const auto spec = engine(1 + int(random.below(20)), int(random.below(6)));
    const int most = spec.max_requests > 0 ? std::min(spec.max_requests, spec.max_batch_tokens)
                                           : spec.max_batch_tokens;
    std::map<std::size_t, std::int64_t> done;
    for (const auto& step : served(arrivals, spec)) {
      EXPECT_GT(step.tokens(), 0);
      EXPECT_LE(step.tokens(), spec.max_batch_tokens);
      EXPECT_LE(int(step.parts.size()), most);
      bool could_use_room = false;
      for (std::size_t i = 0; i < arrivals.size(); ++i) {
        const bool begun = done.contains(i);
        const bool prompt_left = done[i] < arrivals[i].prompt;
        const auto part = std::ranges::find(step.parts, i, &ServedPart::request);
        if (!begun) done.erase(i);
        if (begun && done[i] < passes(arrivals[i])) {
          // Decode is never put off.
          EXPECT_TRUE(prompt_left || part != step.parts.end());
          could_use_room |= prompt_left && part == step.parts.end();
        } else if (!begun && part == step.parts.end() && int(step.parts.size()) < most) {
          could_use_room |= arrivals[i].seconds <= step.seconds && passes(arrivals[i]) > 0;
        }
      }
      EXPECT_TRUE(!could_use_room || step.tokens() == spec.max_batch_tokens);
      for (const auto& part : step.parts) {
        EXPECT_LE(arrivals[part.request].seconds, step.seconds);
        EXPECT_EQ(part.first, done[part.request]);
        const bool prompt = part.first < arrivals[part.request].prompt;
        EXPECT_TRUE(prompt ? part.first + part.count <= arrivals[part.request].prompt
                           : part.count == 1);
        done[part.request] += part.count;
      }
    }
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      const auto expected = passes(arrivals[i]);
      EXPECT_EQ(done.contains(i) ? done[i] : 0, expected) << i;
    }
  }
}

TEST(Serving, EndsAfterTheStepsAskedForAndRefusesNonsense) {
  auto spec = engine(4);
  spec.max_steps = 2;
  EXPECT_EQ(served({{0, 100, 3}}, spec).size(), 2u);
  spec.max_batch_tokens = 0;
  expect_error(ExitCode::usage, "serves nobody", [&] { (void)served({{0, 1, 1}}, spec); });
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    spec = engine(4);
    spec.step_seconds = bad;
    spec.token_seconds = 0;
    expect_error(ExitCode::usage, "seconds above 0", [&] { (void)served({{0, 1, 1}}, spec); });
  }
}

TEST(ArrivalsFile, AzureAndMooncakeAreRead) {
  const TempDir dir;
  const auto azure = read_arrivals(dir.write("azure.csv",
                                             "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                                             "2023-11-16 23:59:59.9000000,4808,10\r\n"
                                             "2023-11-17 00:00:01.5000000,110,27\r\n"
                                             "2023-11-17T00:00:00.9Z,3180,8\r\n"));
  ASSERT_EQ(azure.size(), 3u);
  EXPECT_DOUBLE_EQ(azure[0].seconds, 0);
  EXPECT_NEAR(azure[1].seconds, 1.0, 1e-6);
  EXPECT_EQ(azure[1].prompt, 3180);
  EXPECT_NEAR(azure[2].seconds, 1.6, 1e-6);
  EXPECT_EQ(azure[2].generated, 27);
  const auto mooncake = read_arrivals(
      dir.write("mooncake.csv", "timestamp_ms,input_length,output_length\n27,6758,500\n1027,1,2"));
  ASSERT_EQ(mooncake.size(), 2u);
  EXPECT_DOUBLE_EQ(mooncake[1].seconds, 1);
  EXPECT_EQ(mooncake[0].prompt, 6758);
}

/// The files that Mooncake and BurstGPT publish have their own forms.
TEST(ArrivalsFile, PublicOnesAreReadAsTheyAre) {
  const TempDir dir;
  const std::vector<std::pair<std::string, std::string>> files{
      {"a.jsonl",
       "{\"timestamp\": 27500, \"input_length\": 7, \"output_length\": 5, \"hash_ids\": [1, 2]}\n"
       "{\"timestamp\": 27000, \"input_length\": 9, \"output_length\": 3, \"hash_ids\": []}\n"},
      {"b.csv", "timestamp,input_length,output_length\n27500,7,5\n27000,9,3\n"},
      {"c.csv",
       "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
       "5.5,ChatGPT,7,5,12,Conversation log\n5,GPT-4,9,3,12,API log\n"},
      {"d.csv", "\xef\xbb\xbfTimestamp;Request tokens;Response tokens\r\n5.5;7;5\r\n5.0;9;3\r\n"},
      {"f.csv",
       "Timestamp,contextTokens,generatedtokens\n2024-05-10 00:00:01.5,7,5\n"
       "2024-05-10 00:00:01,9,3\n"},
      {"g.csv", "TimeStamp_MS,INPUT_LENGTH,Output_Length\n27500,7,5\n27000,9,3\n"},
      {"e.csv",
       "Timestamp,Request tokens,Response tokens\n2024-05-10 00:00:01.5,7,5\n"
       "2024-05-10 00:00:01,9,3\n"}};
  for (const auto& [name, text] : files) {
    SCOPED_TRACE(name);
    const auto arrivals = read_arrivals(dir.write(name, text));
    ASSERT_EQ(arrivals.size(), 2u);
    EXPECT_DOUBLE_EQ(arrivals[0].seconds, 0);
    EXPECT_EQ(arrivals[0].prompt, 9);
    EXPECT_EQ(arrivals[0].generated, 3);
    EXPECT_NEAR(arrivals[1].seconds, 0.5, 1e-6);
    EXPECT_EQ(arrivals[1].generated, 5);
  }
  const std::string good = "{\"timestamp\": 1, \"input_length\": 7, \"output_length\": 5}\n";
  std::vector<std::string> notes;
  EXPECT_EQ(read_arrivals(dir.write("cut.jsonl", good + good.substr(0, 20)), &notes).size(), 1u);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("last line"), std::string::npos);
  const std::vector<std::pair<std::string, std::string>> broken{
      {"{\"timestamp\": \"x\", \"input_length\": 7, \"output_length\": 5}", ":2: 'timestamp'"},
      {"{\"timestamp\": NaN, \"input_length\": 7, \"output_length\": 5}", ":2: 'timestamp'"},
      {"{\"timestamp\": 1, \"input_length\": -7, \"output_length\": 5}", ":2: 'input_length'"},
      {"{\"timestamp\": 1, \"input_length\": 7}", ":2: 'output_length' is missing"},
      {"{\n" + good, ":2: it is no JSON"},
  };
  for (const auto& [text, why] : broken)
    expect_error(ExitCode::usage, why,
                 [&, &t = text] { (void)read_arrivals(dir.write("a.jsonl", good + t)); });
}

TEST(ArrivalsFile, BrokenOnesAreRefusedWithTheLine) {
  const TempDir dir;
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  const std::string mooncake = "timestamp_ms,input_length,output_length\n";
  const std::vector<std::pair<std::string, std::string>> broken{
      {"", "is empty"},
      {"a,b\n1,2\n", "has no column TIMESTAMP or timestamp_ms"},
      {"timestamp_ms,input_length\n1,2\n",
       "has no column GeneratedTokens or output_length or Response tokens"},
      {azure, "no request"},
      {azure + "2023-13-16 18:17:03,1,1\n", ":2: the time"},
      {azure + "2023-02-30 18:17:03,1,1\n", ":2: the time"},
      {azure + "2023-11-16 18:17:nan,1,1\n", ":2: the time"},
      {azure + "yesterday,1,1\n", ":2: the time"},
      {azure + "2023-11-16 18:17:03+05:00,1,1\n", ":2: the time"},
      {azure + "2023-11-16 18:17:03,-1,1\n", "ContextTokens: '-1'"},
      {azure + "2023-11-16 18:17:03,1,99999999\n", "GeneratedTokens: '99999999'"},
      {azure + "2023-11-16 18:17:03,1\n", "2 cells where the header names 3"},
      {azure + "\"2023-11-16 18:17:03,1,1\n", "quote"},
      {mooncake + "nan,1,1\n", "timestamp_ms: 'nan'"},
      {mooncake + "1e300,1,1\n0,1,1\n", "century"},
      {mooncake + std::string(100000, '1') + ",1,1\n", "line of more than"},
  };
  for (const auto& [text, why] : broken)
    expect_error(ExitCode::usage, why,
                 [&, &t = text] { (void)read_arrivals(dir.write("a.csv", t)); });
}

}  // namespace
}  // namespace gembench
