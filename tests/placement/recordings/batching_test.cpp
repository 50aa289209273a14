#include <gtest/gtest.h>

#include <map>
#include <set>

#include "placement/recordings/batching.hpp"
#include "placement/recordings/step_gatherer.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_error;

/// Requests with random ids, prompts and tasks; token t's ids of layer 0 begin with t % experts.
TokenRecording made_recording(std::uint64_t seed, int requests, int longest, bool prompts) {
  TokenRecording r;
  r.layers = 3;
  r.experts = 8;
  r.topk = 2;
  r.source = "made";
  r.tasks = {"a", "b", "c"};
  r.phases_known = true;
  Random random(seed);
  std::size_t token = 0;
  for (int i = 0; i < requests; ++i) {
    RecordedRequest request;
    request.first = token;
    request.prompt = prompts ? static_cast<int>(random.below(5)) : 0;
    request.decode = static_cast<int>(random.below(std::uint64_t(longest))) + 1;
    request.task = static_cast<int>(random.below(3));
    token += std::size_t(request.tokens());
    r.requests.push_back(request);
  }
  for (std::size_t t = 0; t < token; ++t)
    for (int layer = 0; layer < r.layers; ++layer) {
      const auto first = layer == 0 ? t % 8 : random.below(8);
      r.ids.push_back(std::uint16_t(first));
      r.ids.push_back(std::uint16_t((first + 1 + random.below(7)) % 8));
    }
  return r;
}

/// All steps as one trace; every part that was handed on must be sound by itself.
struct Kept {
  Trace all;
  KeepSteps keep() {
    return [this](const Trace& part) {
      EXPECT_NO_THROW(validate(part));
      if (all.steps == 0) {
        all = part;
        return;
      }
      all.steps += part.steps;
      const auto append = [](auto& to, const auto& from) {
        to.insert(to.end(), from.begin(), from.end());
      };
      append(all.tokens, part.tokens);
      append(all.topk_ids, part.topk_ids);
      append(all.task, part.task);
      append(all.phase, part.phase);
    };
  }
};

/// The step a list of tokens forms, counted one by one.
void expect_step(const Trace& trace, int step, const TokenRecording& r,
                 const std::vector<std::size_t>& tokens) {
  std::vector<std::int32_t> counts(std::size_t(r.layers) * std::size_t(r.experts));
  for (const auto token : tokens)
    for (std::size_t i = 0; i < r.ids_per_token(); ++i)
      ++counts[i / std::size_t(r.topk) * std::size_t(r.experts) +
               r.ids[token * r.ids_per_token() + i]];
  for (int layer = 0; layer < r.layers; ++layer)
    for (int expert = 0; expert < r.experts; ++expert)
      EXPECT_EQ(trace.loads(step, layer)[std::size_t(expert)],
                counts[std::size_t(layer * r.experts + expert)])
          << "step " << step;
  if (!trace.has_ids()) return;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(trace.ids(step, int(i)), r.token(tokens[i])));
}

TEST(Windows, AreConsecutiveTokensOfOneRequest) {
  const auto r = made_recording(1, 20, 12, true);
  Kept kept;
  EXPECT_EQ(batch_windows(r, 4, true, kept.keep()),
            std::count_if(r.requests.begin(), r.requests.end(),
                          [](const auto& request) { return request.tokens() >= 4; }));
  int step = 0;
  for (const auto& request : r.requests) {
    for (int at = 0; at + 4 <= request.tokens(); at += 4, ++step) {
      std::vector<std::size_t> tokens;
      int prompt = 0;
      for (int i = at; i < at + 4; ++i) {
        tokens.push_back(request.first + std::size_t(i));
        prompt += i < request.prompt;
      }
      expect_step(kept.all, step, r, tokens);
      EXPECT_EQ(kept.all.phase[std::size_t(step)], prompt == 0   ? kDecode
                                                   : prompt == 4 ? kPrefill
                                                                 : kMixed);
      EXPECT_EQ(kept.all.task[std::size_t(step)], request.task);
    }
  }
  EXPECT_EQ(kept.all.steps, step);
  EXPECT_GT(step, 10);
}

TEST(Windows, WithoutIdsOrPhasesHaveNone) {
  auto r = made_recording(1, 20, 12, true);
  r.phases_known = r.requests_known = false;
  r.tasks.clear();
  for (auto& request : r.requests) request.task = 0;
  Kept kept;
  EXPECT_EQ(batch_windows(r, 4, false, kept.keep()), 0);
  EXPECT_TRUE(kept.all.phase.empty());
  EXPECT_TRUE(kept.all.task.empty());
  EXPECT_FALSE(kept.all.has_ids());
}

TEST(Windows, ThatFitNoRequestAreRefused) {
  const auto r = made_recording(1, 20, 12, true);
  expect_error(ExitCode::usage, "has no request of 99 tokens",
               [&] { batch_windows(r, 99, false, [](const Trace&) {}); });
  expect_error(ExitCode::usage, "at least 1",
               [&] { batch_windows(r, 0, false, [](const Trace&) {}); });
}

/// Who runs where in every step, found the slow way: slot by slot, each with a queue of its own
/// that is filled by looking at who is free next.
std::vector<std::vector<std::size_t>> continuous_oracle(const TokenRecording& r, int batch) {
  std::vector<std::vector<std::size_t>> steps;
  std::vector<int> free_at(static_cast<std::size_t>(batch), 0);  // step at which the slot is free
  std::vector<std::map<int, std::size_t>> slot_tokens(free_at.size());
  for (std::size_t admitted = 0; const auto& request : r.requests) {
    const auto slot =
        std::size_t(std::min_element(free_at.begin(), free_at.end()) - free_at.begin());
    const int behind = int(admitted) < batch ? request.decode * int(admitted) / batch : 0;
    ++admitted;
    for (int i = behind; i < request.decode; ++i)
      slot_tokens[slot][free_at[slot]++] = request.first + std::size_t(request.prompt + i);
  }
  const int full = *std::min_element(free_at.begin(), free_at.end());
  for (int step = 0; step < full; ++step) {
    steps.emplace_back();
    for (const auto& slot : slot_tokens) steps.back().push_back(slot.at(step));
  }
  return steps;
}

TEST(ContinuousBatching, RunsAsManyRequestsAtOnce) {
  for (const int batch : {1, 2, 5, 16}) {
    const auto r = made_recording(7, 40, 20, true);
    Kept kept;
    batch_continuously(r, {batch, false, 1, 0}, true, kept.keep());
    const auto expected = continuous_oracle(r, batch);
    ASSERT_EQ(kept.all.steps, int(expected.size())) << batch;
    for (int step = 0; step < kept.all.steps; ++step) {
      expect_step(kept.all, step, r, expected[std::size_t(step)]);
      EXPECT_EQ(kept.all.tokens_in_step(step), batch);
      EXPECT_EQ(kept.all.phase[std::size_t(step)], kDecode);
      std::map<int, int> tasks;
      for (const auto token : expected[std::size_t(step)])
        for (const auto& request : r.requests)
          if (token >= request.first && token < request.first + std::size_t(request.tokens()))
            ++tasks[request.task];
      for (const auto& [task, tokens] : tasks)
        EXPECT_LE(tokens, tasks[kept.all.task[std::size_t(step)]]);
    }
  }
}

TEST(ContinuousBatching, ShufflesBySeed) {
  const auto r = made_recording(7, 40, 20, false);
  std::set<std::vector<std::int32_t>> seen;
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    Kept once;
    Kept again;
    batch_continuously(r, {4, true, seed, 0}, false, once.keep());
    batch_continuously(r, {4, true, seed, 0}, false, again.keep());
    EXPECT_EQ(once.all.tokens, again.all.tokens);
    seen.insert(once.all.tokens);
  }
  EXPECT_EQ(seen.size(), 3u);
}

TEST(ContinuousBatching, EndsWhereAskedAndRefusesTooFewRequests) {
  const auto r = made_recording(7, 40, 20, false);
  Kept kept;
  const auto used = batch_continuously(r, {4, false, 1, 5}, true, kept.keep());
  EXPECT_EQ(kept.all.steps, 5);
  EXPECT_GE(used, 4);  // four at once
  EXPECT_LE(used, 4 + 5 * 4);
  expect_error(ExitCode::usage, "40 requests with generated tokens, too few for a batch of 41",
               [&] {
                 batch_continuously(r, {41, false, 1, 0}, true, [](const Trace&) {});
               });
}

TEST(StepGatherer, HandsOnWholeStepsWithinBounds) {
  Trace shape;
  shape.layers = 4;
  shape.experts = 256;
  shape.topk = 1;
  int parts = 0;
  std::int64_t steps = 0;
  StepGatherer gatherer(shape, true, [&](const Trace& part) {
    ++parts;
    steps += part.steps;
    EXPECT_LT(part.tokens.size() * 4 + part.topk_ids.size() * 2, kBatchBytes + 10000);
    EXPECT_NO_THROW(validate(part));
  });
  const std::vector<std::uint16_t> ids{1, 2, 3, 255};
  for (int step = 0; step < 5000; ++step) {
    gatherer.add(ids);
    gatherer.end_step();
  }
  gatherer.finish();
  EXPECT_EQ(steps, 5000);
  EXPECT_GT(parts, 1);
}

TEST(Arrivals, BecomeStepsWithPhasesAndTasks) {
  for (const bool prompts : {false, true}) {
    const auto r = made_recording(3, 10, 30, prompts);
    std::vector<Arrival> arrivals;
    Random random(5);
    for (int i = 0; i < 50; ++i)
      arrivals.push_back({0.3 * i, int(random.below(40)), int(random.below(20))});
    ServingSpec engine;
    engine.max_batch_tokens = 16;
    engine.step_seconds = 0.05;
    Kept kept;
    batch_arrivals(r, arrivals, engine, 9, kept.keep());
    std::vector<int> sizes;
    std::vector<int> phases;
    serve(arrivals, engine, [&](double, std::span<const ServedPart> parts) {
      int prompt = 0;
      int all = 0;
      for (const auto& part : parts)
        for (int pass = part.first; pass < part.first + part.count; ++pass, ++all)
          prompt += pass < arrivals[part.request].prompt;
      sizes.push_back(all);
      phases.push_back(prompt == 0 ? kDecode : prompt == all ? kPrefill : kMixed);
    });
    ASSERT_EQ(kept.all.steps, int(sizes.size()));
    for (int step = 0; step < kept.all.steps; ++step) {
      EXPECT_EQ(kept.all.tokens_in_step(step), sizes[std::size_t(step)]);
      EXPECT_EQ(kept.all.phase[std::size_t(step)], phases[std::size_t(step)]);
    }
    EXPECT_EQ(kept.all.task.size(), sizes.size());
    EXPECT_FALSE(kept.all.has_ids());
    EXPECT_GT(std::set<int>(phases.begin(), phases.end()).size(), 1u);
    EXPECT_NE(kept.all.source.find("synthetic"), std::string::npos);
  }
}

TEST(Arrivals, DecodeReplaysTheRecordedTokensInOrder) {
  auto r = made_recording(3, 1, 1, false);
  r.requests = {{0, 0, 3, 0}};
  r.ids = {0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5};
  ServingSpec engine;
  engine.step_seconds = 1;
  Kept kept;
  // One prompt token, then six passes of decode: the recorded three, twice.
  const std::vector<Arrival> arrivals{{0, 1, 7}};
  batch_arrivals(r, arrivals, engine, 1, kept.keep());
  ASSERT_EQ(kept.all.steps, 7);
  for (int step = 1; step < 7; ++step) expect_step(kept.all, step, r, {std::size_t(step - 1) % 3});
  EXPECT_EQ(kept.all.phase[0], kPrefill);
}

}  // namespace
}  // namespace gembench
