// A program that plans with gembench's library: predicted step times on four ranks.
#include <placement/cost/score.hpp>
#include <placement/loads/synthetic.hpp>
#include <placement/speeds/builtin_profiles.hpp>
#include <placement/strategies/strategy.hpp>

#include <cstdio>

int main() {
  using namespace gembench;
  const Trace trace = make_trace(
      "serving", {.steps = 64, .layers = 2, .experts = 32, .topk = 4, .tokens = 1024, .seed = 1});
  const CostModel cost(builtin_profile("l40s/gpt-oss-20b/local", 4));
  for (const char* name : {"linear", "gem"}) {
    const Placement placement = find_strategy(name).plan({trace, cost, 1});
    std::printf("%s %.6g\n", name, score(trace, placement, cost).step_mean);
  }
}
