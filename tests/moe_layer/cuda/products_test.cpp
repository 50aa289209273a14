// The ways to compute experts' products: each by itself, and which of them is taken.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "moe_layer/cuda/expert_products.hpp"
#include "moe_layer/cuda/product_choice.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

constexpr int kTokens = 61;
constexpr int kFew = 5;  // at most 15 pairs: a comparison of them is soon done
const std::vector<std::string>& kWays = cuda::ExpertProducts::names();

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string fact(const CudaRig& rig, const char* name) {
  return rig.device->facts().at(std::string("expert_products") + name);
}

void rehearse(CudaRig& rig) {
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  rig.layers->rehearse();
}

/// A rig whose ways were compared.
std::unique_ptr<CudaRig> compared(const Products& products = {}, int tokens = kFew,
                                  bool graph = false) {
  auto rig = std::make_unique<CudaRig>(small_model(0), DType::bf16, tokens, "auto", 1, false,
                                       products, graph);
  rehearse(*rig);
  return rig;
}

TEST(ExpertProducts, each_way_gives_the_references_results_at_odd_shapes_and_uneven_loads) {
  for (const auto& [hidden, ffn] : {std::pair{48, 24}, {36, 20}, {33, 17}, {1, 1}}) {
    for (const std::string& way : kWays) {
      const bool eights = hidden % 8 == 0 && ffn % 8 == 0;
      if (!eights && (way == "cublas-grouped" || way == "cutlass")) continue;
      for (const int tokens : {kTokens, kFew}) {
        if (tokens == kTokens && hidden != 48) continue;
        const Simulated streams(kOrder, tokens == kFew ? "greedy" : "late");
        CudaRig rig(shape(12, 3, 1, hidden, ffn), DType::bf16, tokens, "auto", 1, false, {way});
        rehearse(rig);
        EXPECT_EQ(fact(rig, "").substr(0, way.size() + 1),
                  fact(rig, "") == way ? way : way + " ");  // and algorithms
        const CheckOutcome outcome = rig.check(random_placement(rig.model, rig.comm.size(), 2));
        EXPECT_TRUE(outcome.passed)
            << way << " " << hidden << " x " << ffn << ": " << outcome.message;
        EXPECT_EQ(fact(rig, "_failed"), "none");
      }
    }
  }
}

TEST(ExpertProducts, a_way_that_is_not_there_is_refused_by_name_and_listed_with_its_reason) {
  const Comm comm = Comm::world();
  const auto refused = [&](const ModelShape& model, DType dtype, const std::string& way) {
    try {
      static_cast<void>(make_simulated(comm, model, dtype, "auto", {way}));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::environment);
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  const ModelShape even = small_model(0), odd = shape(8, 2, 0, 36, 24);
  EXPECT_TRUE(has(refused(odd, DType::bf16, "cutlass"),
                  "cannot have --expert-products cutlass (hidden and ffn are no multiples of 8): "
                  "use one of cublas, cublaslt"));
  EXPECT_TRUE(
      has(refused(even, DType::f32, "cublaslt"), "does not compute f32): use one of cublas"));
  {
    const Simulated old("GEMBENCH_SIMULATED_CAPABILITY", "8");
    EXPECT_TRUE(has(refused(even, DType::bf16, "cutlass"), "compute capability 9.0"));
    const auto device = make_simulated(comm, even, DType::bf16);
    EXPECT_TRUE(has(device->name(), "(experts by cublas-grouped, cublas, cublaslt)"));
    EXPECT_EQ(device->facts().at("expert_products_missing"),
              "cutlass: it is for compute capability 9.0");
  }
  for (const auto& [call, way, why] :
       {std::tuple{"cublasGemmGroupedBatchedEx:1:15", "cublas-grouped", "no such call"},
        {"cublasLtCreate:1:1", "cublaslt", "cublasLtCreate failed"},
        {"has_cutlass:1:1", "cutlass", "built without CUTLASS"}}) {
    const Simulated fault("GEMBENCH_SIMULATED_FAULT", call);
    EXPECT_TRUE(has(refused(even, DType::bf16, way), why)) << way;
  }
}

TEST(ExpertProducts, a_wrong_way_is_left_out_and_named) {
  const std::pair<const char*, const char*> calls[] = {
      {"cublas-grouped", "cublasGemmGroupedBatchedEx"},
      {"cublas", "cublasGemmEx"},
      {"cublaslt", "cublasLtMatmul"},
      {"cutlass", "cutlass"}};
  for (const auto& [way, call] : calls) {
    for (const char* kind : {"", ":nothing"}) {
      const Simulated wrong("GEMBENCH_SIMULATED_WRONG", std::string(call) + kind);
      const auto rig = compared();
      EXPECT_EQ(fact(*rig, "_failed"), fmt::format("{}: wrong results for 1 assignment", way));
      EXPECT_FALSE(has(" " + fact(*rig, ""), fmt::format(" {} ", way))) << fact(*rig, "");
    }
  }
  const Simulated all("GEMBENCH_SIMULATED_WRONG",
                      "cublasGemmGroupedBatchedEx,cublasGemmEx,cublasLtMatmul,cutlass");
  for (const char* way : {"auto", "cublaslt"}) {
    try {
      static_cast<void>(compared({way}));
      ADD_FAILURE() << way;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::failed);
      EXPECT_TRUE(has(error.what(), "no way to compute the experts' products is right") &&
                  has(error.what(), "cublaslt: wrong results for 1 assignment"))
          << error.what();
    }
  }
}

TEST(ExpertProducts, a_way_whose_call_fails_is_left_out_with_the_librarys_words) {
  const Simulated fault("GEMBENCH_SIMULATED_FAULT", "cublasLtMatmul:2:15,cutlass:3:98");
  const auto rig = compared();
  EXPECT_TRUE(has(fact(*rig, "_failed"), "cutlass: GPU ") &&
              has(fact(*rig, "_failed"), "CUTLASS's grouped product failed"))
      << fact(*rig, "_failed");
  EXPECT_FALSE(has(fact(*rig, ""), "cutlass"));
  EXPECT_TRUE(rig->check(random_placement(rig->model, rig->comm.size(), 2)).passed);
}

TEST(ExpertProducts, a_way_that_fails_only_while_it_is_timed_is_left_out) {
  // 1 call finds out whether it is there, 4 hold it against the reference; the readings follow.
  for (const int call : {6, 11}) {
    const Simulated fault("GEMBENCH_SIMULATED_FAULT",
                          fmt::format("cublasGemmGroupedBatchedEx:{}:15", call));
    const auto rig = compared();
    EXPECT_TRUE(has(fact(*rig, "_failed"), "cublas-grouped: GPU ") &&
                has(fact(*rig, "_failed"), "cublasGemmGroupedBatchedEx failed"))
        << fact(*rig, "_failed");
    EXPECT_FALSE(has(" " + fact(*rig, ""), " cublas-grouped ")) << fact(*rig, "");
  }
}

TEST(ExpertProducts, the_fastest_way_is_taken_and_the_first_where_none_is_clearly_faster) {
  if (Comm::world().size() > 2) GTEST_SKIP() << "two ranks show what more would";
  const std::string each = "cublasGemmEx:1e-3,", grouped = "cublasGemmGroupedBatchedEx:4e-3,";
  for (const auto& [slow, way] :
       {std::pair{"cublasLtMatmul:1e-3", "cutlass"}, {"cutlass:4e-3", "cublaslt"}}) {
    const Simulated simulated("GEMBENCH_SIMULATED_SLOW", each + grouped + slow);
    const auto rig = compared({}, 2);
    EXPECT_TRUE(has(fact(*rig, ""), fmt::format("{} up to 6 assignments", way))) << fact(*rig, "");
    rig->load();
    gembench_simulation_reset_counters();
    static_cast<void>(rig->layers->run_layer(0));
    EXPECT_EQ(gembench_simulation_counters()->allocations, 0);
    EXPECT_LE(gembench_simulation_counters()->gemm_calls, std::string(way) == "cutlass" ? 3 : 13);
  }
  const Comm comm = Comm::world();
  cuda::ProductChoice choice({"a", "b", "c"});
  // Loads at which others take as long, 4 % less, 6 % less, and at which nothing was timed.
  const std::vector<cuda::ProductChoice::Timed> timed{{1, {1, 1, 1}},       {2, {1, 0.96, 1}},
                                                      {4, {1, 0.94, 0.96}}, {8, {1, 0.94, 0.9}},
                                                      {16, {1, 0.9, 0.1}},  {32, {0, 0, 0}}};
  const std::vector<std::uint8_t> all{1, 1, 1}, two{0, 1, 1};
  choice.decide(comm, timed, all);
  EXPECT_EQ(choice.words(),
            "a up to 2 assignments, b up to 4 assignments, c up to 16 assignments, a up to 32 "
            "assignments");
  EXPECT_EQ(choice.way(3), 1U);
  EXPECT_EQ(choice.way(1000), 0U);
  choice.decide(comm, timed, two);
  EXPECT_EQ(choice.words(),
            "b up to 8 assignments, c up to 16 assignments, b up to 32 assignments");
  EXPECT_EQ(choice.taken(), (std::vector<std::size_t>{1, 2}));
}

TEST(ExpertProducts,
     a_way_that_is_right_only_outside_of_graphs_is_left_out_where_steps_are_graphs) {
  for (const auto& [call, way, why] :
       {std::tuple{"cublasGemmGroupedBatchedEx:late", "cublas-grouped",
                   "wrong results for 2 assignments"},
        {"cublasGemmGroupedBatchedEx:capture", "cublas-grouped", "GPU "},
        {"cublasLtMatmul:capture", "cublaslt", "GPU "}}) {
    const Simulated wrong("GEMBENCH_SIMULATED_WRONG", call);
    EXPECT_EQ(fact(*compared({}, 2), "_failed"), "none");
    const auto graph = compared({}, 2, true);
    EXPECT_TRUE(has(fact(*graph, "_failed"), fmt::format("{}: as a graph: {}", way, why)))
        << fact(*graph, "_failed");
    EXPECT_FALSE(has(" " + fact(*graph, ""), fmt::format(" {} ", way))) << fact(*graph, "");
    EXPECT_TRUE(graph->check(random_placement(graph->model, graph->comm.size(), 2)).passed);
  }
  EXPECT_EQ(fact(*compared({}, 2, true), "_failed"), "none");
}

TEST(ExpertProducts, ways_are_timed_as_graphs_where_steps_are_graphs) {
  gembench_simulation_reset_counters();
  static_cast<void>(compared({}, 1));
  EXPECT_EQ(gembench_simulation_counters()->graph_launches, 0);
  gembench_simulation_reset_counters();
  static_cast<void>(compared({}, 1, true));
  // 4 ways at 1, 2 and 3 pairs: three loads are held, two are timed three times.
  EXPECT_GE(gembench_simulation_counters()->graph_launches, 3 * 4 * (3 + 2 * 3));
}

TEST(ExpertProducts, all_ranks_take_the_same_ways) {
  for (const char* setting :
       {"has_cutlass:1:1:0", "cublasGemmGroupedBatchedEx:1:15:0", "cublasLtCreate:1:1:0"}) {
    // As if rank 0 had other libraries: a collective call of the others alone would hang.
    const Simulated fault("GEMBENCH_SIMULATED_FAULT", setting);
    const auto rig = compared();
    const auto ways = rig->comm.gather(fact(*rig, ""));
    for (const std::string& way : ways) EXPECT_EQ(way, ways.front());
    const std::string failed = fact(*rig, "_failed");
    EXPECT_EQ(has(failed, "1 rank cannot have it"), rig->comm.rank() != 0) << failed;
  }
  const Comm comm = Comm::world();
  // Wrong, and fast, on the last rank alone.
  const bool last = comm.rank() == comm.size() - 1;
  const Simulated wrong("GEMBENCH_SIMULATED_WRONG", last ? "cutlass" : "");
  const Simulated slow("GEMBENCH_SIMULATED_SLOW", "cublasGemmGroupedBatchedEx:2e-3");
  const auto rig = compared();
  EXPECT_FALSE(has(fact(*rig, ""), "cutlass"));
  EXPECT_EQ(fact(*rig, "_failed"),
            last ? "cutlass: wrong results for 1 assignment" : "cutlass: it failed on 1 rank");
}

TEST(ExpertProducts, cublaslt_takes_the_fastest_of_its_algorithms) {
  EXPECT_EQ(fact(*compared({"cublaslt"}), "_failed"), "none");
  const Simulated slow("GEMBENCH_SIMULATED_SLOW", "cublasLtMatmul/0:1e-3,cublasLtMatmul/2:1e-3");
  const auto rig = compared({"cublaslt"});
  // Of up to 1, 2, 4, 8 and 15 rows.
  EXPECT_EQ(fact(*rig, ""), "cublaslt (cublaslt algorithms 1 1 1 1 1, 1 1 1 1 1)");
}

TEST(ExpertProducts, a_run_that_goes_on_takes_the_ways_of_its_file_if_they_can_be_had) {
  if (Comm::world().size() > 2) GTEST_SKIP() << "two ranks show what more would";
  const std::string earlier =
      "cutlass up to 4 assignments, cublaslt up to 15 assignments (cublaslt algorithms 0 1 0 1 0, "
      "1 1 0 0 0)";
  const Simulated slow("GEMBENCH_SIMULATED_SLOW", "cutlass:1e-3");
  EXPECT_EQ(fact(*compared({"auto", earlier}), ""), earlier);
  EXPECT_EQ(fact(*compared({"auto", "cublas"}), ""), "cublas");
  for (const char* other :
       {"cutlass up to 4", "cutlass up to x assignments", "cutlass, cublas up to 4 assignments",
        "cublas up to 8 assignments, cutlass up to 4 assignments", "hipblas up to 4 assignments",
        "cublaslt (cublaslt algorithms 9 9 9 9 9, 0 0 0 0 0)", "cublaslt (cublaslt algorithms 0)",
        "cublaslt (cublaslt algorithms x)", "one by one"}) {
    const auto rig = compared({"auto", other});
    EXPECT_TRUE(has(fact(*rig, ""), "up to 15 assignments")) << other << ": " << fact(*rig, "");
    EXPECT_NE(fact(*rig, ""), other);
  }
  const Simulated wrong("GEMBENCH_SIMULATED_WRONG", "cutlass");
  EXPECT_FALSE(has(fact(*compared({"auto", earlier}), ""), "cutlass"));
}

TEST(ExpertProducts, algorithms_of_a_file_are_taken_for_both_products_or_timed_anew) {
  const Simulated slow("GEMBENCH_SIMULATED_SLOW", "cublasLtMatmul/0:1e-3,cublasLtMatmul/2:1e-3");
  const std::string fits = "cublaslt (cublaslt algorithms 2 2 0, 1 0 2)";
  const std::string timed = "cublaslt (cublaslt algorithms 1 1 1, 1 1 1)";
  EXPECT_EQ(fact(*compared({"cublaslt", fits}, 1), ""), fits);
  for (const char* other : {"2 2 0", "2 2 0, 1 0", "2 2 0, 1 0 9", "9 2 0, 1 0 2"}) {
    const std::string earlier = fmt::format("cublaslt (cublaslt algorithms {})", other);
    EXPECT_EQ(fact(*compared({"cublaslt", earlier}, 1), ""), timed) << other;
  }
}

}  // namespace
}  // namespace gembench
