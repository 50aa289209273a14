#include "placement/loads/trace.hpp"

#include "placement/loads/joined_traces.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// 2 steps, 3 tokens each, 2 layers, 4 experts, top-2.
Trace with_ids() {
  Trace trace;
  trace.steps = 2;
  trace.layers = 2;
  trace.experts = 4;
  trace.topk = 2;
  trace.topk_ids = {0, 1, 2, 3, 0, 2, 2, 1, 3, 0, 0, 1,   // step 0
                    3, 2, 1, 0, 3, 1, 1, 2, 3, 0, 1, 3};  // step 1
  count_tokens(trace, 3);
  return trace;
}

TEST(Trace, CountsWhatTheIdsSay) {
  const auto trace = with_ids();
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{3, 1, 1, 1, 1, 2, 2, 1,  //
                                                     1, 1, 1, 3, 1, 3, 1, 1}));
  EXPECT_EQ(trace.tokens_in_step(1), 3);
  EXPECT_EQ(trace.max_tokens_in_step(), 3);
  const auto token = trace.ids(1, 2);
  EXPECT_EQ(std::vector<int>(token.begin(), token.end()), (std::vector<int>{3, 0, 1, 3}));
  EXPECT_NO_THROW(validate(trace));
}

TEST(Trace, SliceKeepsCountsAndIdsTogether) {
  const auto trace = with_ids();
  const auto part = slice(trace, 1, 1);
  EXPECT_NO_THROW(validate(part));
  EXPECT_TRUE(std::ranges::equal(part.ids(0, 1), trace.ids(1, 1)));
  EXPECT_TRUE(std::ranges::equal(part.loads(0, 1), trace.loads(1, 1)));
  EXPECT_EQ(slice(trace, 2, 0).steps, 0);
  EXPECT_THROW((void)slice(trace, 1, 2), std::out_of_range);
  EXPECT_THROW((void)slice(trace, -1, 1), std::out_of_range);
  EXPECT_THROW((void)slice(trace, 1, 2147483647), std::out_of_range);
}

TEST(Trace, FirstLayersKeepsCountsAndIdsTogether) {
  const auto trace = with_ids();
  const auto part = first_layers(trace, 1);
  EXPECT_NO_THROW(validate(part));
  EXPECT_TRUE(std::ranges::equal(part.ids(1, 0), trace.ids(1, 0).first(2)));
  EXPECT_TRUE(std::ranges::equal(part.loads(1, 0), trace.loads(1, 0)));
  EXPECT_THROW((void)first_layers(trace, 3), std::out_of_range);
  EXPECT_THROW((void)first_layers(trace, 0), std::out_of_range);
}

TEST(Trace, TaskLabelsFollowTheSteps) {
  auto trace = with_ids();
  trace.task = {1, 0};
  EXPECT_NO_THROW(validate(trace));
  EXPECT_EQ(slice(trace, 1, 1).task, std::vector<std::int32_t>{0});
  EXPECT_EQ(first_layers(trace, 1).task, trace.task);
}

/// The same with tokens from two sources, labels and layers 3 and 5 of a model of 7.
Trace recorded() {
  auto trace = with_ids();
  trace.task = {4, 2};
  trace.phase = {kPrefill, kMixed};
  trace.layer_ids = {3, 5};
  trace.model_layers = 7;
  trace.sources = 2;
  for (int step = 0; step < 2; ++step)
    for (int layer = 0; layer < 2; ++layer)
      for (int source = 0; source < 2; ++source)
        for (const auto count : trace.loads(step, layer))
          trace.source_tokens.push_back(source == 0 ? count / 2 : count - count / 2);
  return trace;
}

TEST(Trace, KnowsWhereARecordingComesFrom) {
  const auto trace = recorded();
  EXPECT_NO_THROW(validate(trace));
  EXPECT_EQ(trace.layer_id(1), 5);
  EXPECT_EQ(with_ids().layer_id(1), 1);
  const auto by_source = trace.source_loads(1, 0);
  EXPECT_EQ(std::vector<int>(by_source.begin(), by_source.end()),
            (std::vector<int>{0, 0, 0, 1, 1, 1, 1, 2}));
}

TEST(Trace, PartsKnowIt) {
  const auto trace = recorded();
  const auto later = slice(trace, 1, 1);
  EXPECT_NO_THROW(validate(later));
  EXPECT_EQ(later.phase, std::vector<std::int32_t>{kMixed});
  EXPECT_EQ(later.layer_ids, trace.layer_ids);
  EXPECT_EQ(later.model_layers, 7);
  EXPECT_TRUE(std::ranges::equal(later.source_loads(0, 1), trace.source_loads(1, 1)));
  const auto upper = first_layers(trace, 1);
  EXPECT_NO_THROW(validate(upper));
  EXPECT_EQ(upper.phase, trace.phase);
  EXPECT_EQ(upper.layer_ids, std::vector<std::int32_t>{3});
  EXPECT_EQ(upper.model_layers, 7);
  EXPECT_TRUE(std::ranges::equal(upper.source_loads(1, 0), trace.source_loads(1, 0)));
  const auto counts = counts_only(trace);
  EXPECT_NO_THROW(validate(counts));
  EXPECT_EQ(counts.tokens, trace.tokens);
  EXPECT_FALSE(counts.has_ids());
  EXPECT_EQ(counts.sources, 0);
  EXPECT_TRUE(counts.source_tokens.empty() && counts.phase.empty() && counts.task.empty());
}

TEST(Trace, BytesAreThoseOfCountsSourcesAndIds) {
  EXPECT_EQ(with_ids().bytes(), 16U * 4 + 24 * 2);
  EXPECT_EQ(recorded().bytes(), 16U * 4 + 32 * 4 + 24 * 2);
}

TEST(Trace, RefusesARecordingThatContradictsItself) {
  struct Case {
    const char* part;
    std::function<void(Trace&)> spoil;
  };
  const Case cases[] = {
      {"1 phases for 2 steps", [](Trace& t) { t.phase.pop_back(); }},
      {"the phase 3", [](Trace& t) { t.phase[1] = 3; }},
      {"the phase -1", [](Trace& t) { t.phase[0] = -1; }},
      {"1 layer ids for 2 layers", [](Trace& t) { t.layer_ids.pop_back(); }},
      {"do not ascend", [](Trace& t) { t.layer_ids[1] = 3; }},
      {"do not ascend", [](Trace& t) { t.layer_ids[0] = -1; }},
      {"layer 5 of a model of 5 layers", [](Trace& t) { t.model_layers = 5; }},
      {"layer 5 of a model of -1 layers", [](Trace& t) { t.model_layers = -1; }},
      {"32 counts of 3 sources where 48 belong", [](Trace& t) { t.sources = 3; }},
      {"32 counts of 0 sources where 0 belong", [](Trace& t) { t.sources = 0; }},
      {"sources has an impossible size", [](Trace& t) { t.sources = 2000000000; }},
      {"sources has an impossible size", [](Trace& t) { t.sources = -2; }},
      {"31 counts of 2 sources", [](Trace& t) { t.source_tokens.pop_back(); }},
      {"step 1, layer 0: expert 3 has 3 tokens but its sources sum to 4",
       [](Trace& t) { ++t.source_tokens[19]; }},
      {"step 1, layer 0: a source has -1 tokens for expert 0",
       [](Trace& t) {
         t.source_tokens[16] = -1;
         t.source_tokens[20] = 2;
       }},
  };
  for (const auto& [part, spoil] : cases) {
    auto trace = recorded();
    spoil(trace);
    expect_refused(part, [&] { validate(trace); });
  }
}

TEST(Trace, RefusesWhatContradictsItself) {
  struct Case {
    const char* part;
    std::function<void(Trace&)> spoil;
  };
  const Case cases[] = {
      {"at least 1", [](Trace& t) { t.steps = 0; }},
      {"at least 1", [](Trace& t) { t.topk = -1; }},
      {"top-k 5", [](Trace& t) { t.topk = 5; }},
      {"counts where", [](Trace& t) { t.tokens.pop_back(); }},
      {"impossible size", [](Trace& t) { t.steps = t.layers = 2000000000; }},
      {"step 1, layer 1: expert 2 has -1", [](Trace& t) { t.loads(1, 1)[2] = -1; }},
      {"step 0, layer 1: expert 0 has 4 tokens of a batch of 3",
       [](Trace& t) { t.loads(0, 1)[0] = 4; }},
      {"step 1, layer 1: counts sum to 7", [](Trace& t) { ++t.loads(1, 1)[0]; }},
      {"step 0, layer 0: counts sum to 7", [](Trace& t) { ++t.loads(0, 0)[1]; }},
      {"3 task labels for 2 steps",
       [](Trace& t) {
         t.task = {0, 0, 0};
       }},
      {"task label -1",
       [](Trace& t) {
         t.task = {0, -1};
       }},
      {"whole tokens", [](Trace& t) { t.topk_ids.pop_back(); }},
      {"step 1, layer 0: token 0 names expert 9 of 4", [](Trace& t) { t.topk_ids[12] = 9; }},
      {"step 1, layer 0: token 0 names expert 2 twice", [](Trace& t) { t.topk_ids[12] = 2; }},
      {"step 1, layer 0: ids and counts disagree", [](Trace& t) { t.topk_ids[12] = 0; }},
  };
  for (const auto& [part, spoil] : cases) {
    auto trace = with_ids();
    spoil(trace);
    expect_refused(part, [&] { validate(trace); });
  }
  auto trace = with_ids();
  expect_refused("do not form", [&] { count_tokens(trace, 4); });
  trace.topk_ids[3] = 77;
  expect_refused("names expert 77", [&] { count_tokens(trace, 3); });
}

/// Traces that may follow one another keep what both have.
TEST(JoinedTraces, AreMadeAlikeAndSaySo) {
  const auto joined = [](Trace a, Trace b) {
    std::vector<Trace> both{std::move(a), std::move(b)};
    const std::vector<std::string> names{"a.h5", "b.h5"};
    auto notes = make_alike(both, names);
    for (const auto& trace : both) EXPECT_NO_THROW(validate(trace));
    return std::make_pair(both, notes);
  };
  auto rich = with_ids();
  rich.source = "run";
  rich.requests = 3;
  rich.task = rich.phase = {0, 1};
  rich.layer_ids = {3, 5};
  rich.model_layers = 7;
  rich.sources = 1;
  rich.source_tokens = rich.tokens;
  const auto [same, none] = joined(rich, rich);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(same[1].topk_ids, rich.topk_ids);
  EXPECT_EQ(same[1].source_tokens, rich.source_tokens);
  EXPECT_EQ(same[0].task, rich.task);
  EXPECT_EQ(same[0].phase, rich.phase);
  EXPECT_EQ(same[0].requests, 6);
  EXPECT_EQ(same[1].source, "joined: a.h5 (2 steps of run), b.h5 (2 steps of run)");
  auto poor = with_ids();
  poor.topk_ids.clear();
  poor.layer_ids = rich.layer_ids;
  const auto [alike, notes] = joined(rich, poor);
  EXPECT_EQ(notes.size(), 4U);
  for (const auto& trace : alike) {
    EXPECT_TRUE(trace.task.empty() && trace.phase.empty() && !trace.has_ids());
    EXPECT_TRUE(trace.sources == 0 && trace.source_tokens.empty());
    EXPECT_EQ(trace.requests, 0);
    EXPECT_EQ(trace.model_layers, 7);
    EXPECT_EQ(trace.tokens, rich.tokens);
  }
  poor.layer_ids = {0, 1};  // as if they were not numbered
  EXPECT_EQ(joined(with_ids(), poor).first[0].layer_ids, poor.layer_ids);
}

TEST(JoinedTraces, OfSeveralModelsAreRefused) {
  const auto refuse = [](const char* part, auto change) {
    std::vector<Trace> both(2, with_ids());
    both[0].model_layers = 7;
    change(both[1]);
    const std::vector<std::string> names{"a.h5", "b.h5"};
    expect_refused(part, [&] { (void)make_alike(both, names); });
  };
  refuse("b.h5 has layers = 1 where a.h5 has 2", [](Trace& t) { t.layers = 1; });
  refuse("b.h5 has experts = 5 where a.h5 has 4", [](Trace& t) { t.experts = 5; });
  refuse("b.h5 has top-k 1 where a.h5 has 2", [](Trace& t) { t.topk = 1; });
  refuse("b.h5 has model layers = 8 where a.h5 has 7", [](Trace& t) { t.model_layers = 8; });
  refuse("b.h5 has as its layer 1 the model's 4 where a.h5 has 1", [](Trace& t) {
    t.layer_ids = {0, 4};
  });
  expect_refused("no traces to join", [] { (void)make_alike({}, {}); });
}

TEST(Trace, SlicesJoinedAreTheWhole) {
  Trace whole = testing::small_trace(9, 2, 8, 2, 3);
  whole.task = {0, 0, 0, 1, 1, 1, 2, 2, 2};
  const Trace again = joined(joined(slice(whole, 0, 2), slice(whole, 2, 6)), slice(whole, 8, 1));
  EXPECT_NO_THROW(validate(again));
  EXPECT_EQ(again.steps, 9);
  EXPECT_EQ(again.tokens, whole.tokens);
  EXPECT_EQ(again.topk_ids, whole.topk_ids);
  EXPECT_EQ(again.task, whole.task);
  const auto ids = with_ids();
  EXPECT_EQ(joined(slice(ids, 0, 1), slice(ids, 1, 1)).topk_ids, ids.topk_ids);
}

TEST(Trace, AStepMayBeIdle) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = 2;
  trace.tokens = {0, 0};
  EXPECT_NO_THROW(validate(trace));
  EXPECT_EQ(trace.max_tokens_in_step(), 0);
}

}  // namespace
}  // namespace gembench
