#include "harness/cli/strategy_rules.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "harness/cli/command_line.hpp"
#include "placement/base/error.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench {
namespace {

/// What parsing says of a command line; empty: nothing.
std::string refusal(const std::string& line) {
  std::istringstream in("gembench " + line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  try {
    static_cast<void>(parse_command_line(static_cast<int>(argv.size()), argv.data()));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << line;
    return error.what();
  }
}

struct Useless {
  const char* line;    ///< fine
  const char* option;  ///< of no use there
  const char* said;    ///< part of the sentence
  const char* cure;    ///< with it the option is of use; empty: none within the command
};

constexpr const char* kRun = "run -o a";
constexpr const char* kPlan = "plan --trace t -o a";
constexpr const char* kScore = "score --trace t";
constexpr const char* kImport = "trace import auto f -o a";

const Useless kTable[] = {
    // The strategy does not take it.
    {kPlan, "--strategy vibe --replicas 2", "vibe takes no --replicas", ""},
    {kPlan, "--strategy exact --replicas 2", "exact takes no --replicas", ""},
    {kPlan, "--strategy linear --spare-slots 2", "linear takes no --spare-slots", ""},
    {kRun, "--placements linear --spare-slots 2", "linear takes no --spare-slots", "--adapt"},
    {kPlan, "--node-cost 1e-9 --ranks-per-node 4", "gem takes no --node-cost", "--strategy gem+"},
    {kPlan, "--node-costs f --ranks-per-node 4", "gem takes no --node-costs", "--strategy gem+"},
    {kPlan, "--nodes 2", "gem takes no --nodes", "--strategy eplb-hier"},
    {kPlan, "--groups 2", "gem takes no --groups", "--strategy eplb-hier"},
    {kPlan, "--strategy linear --seed 2", "linear takes no --seed", "--variability low"},
    {kPlan, "--strategy linear --slowdown-from f --seed 2", "linear takes no --seed", ""},
    {kPlan, "--strategy relabel:vibe --replicas 2", "relabel:vibe takes no --replicas", ""},
    {kPlan, "--strategy file:p --replicas 2", "file:p takes no --replicas", ""},
    {kPlan, "--strategy random --token-split water-fill", "random takes no --token-split", ""},
    {kPlan, "--token-split water-fill", "there are none: add --replicas", "--replicas 2"},
    {kPlan, "--spare-slots 2 --token-split water-fill", "there are none: add --replicas",
     "--strategy eplb"},
    {kPlan, "--strategy eplb --token-split by-speed", "there are none", "--spare-slots 1"},
    {kScore, "--strategies linear,vibe --replicas 2", "none of linear, vibe takes --replicas", ""},
    {kScore, "p.json --spare-slots 2", "file:p.json takes no --spare-slots", "--strategies gem"},
    {kScore, "--node-cost 1e-9 --ranks-per-node 4", "none of linear, eplb, gem takes --node-cost",
     "--strategies linear,gem+"},
    {kRun, "--node-cost 1e-9", "none of linear, eplb, gem takes --node-cost",
     "--placements linear,oracle:gem+ --drift task@4"},
    {kRun, "--placements linear,adapt:vibe --replicas 4", "none of linear, vibe takes", ""},
    // It needs another option.
    {kPlan, "--max-moves 2", "--from", "--from f"},
    {kPlan, "--from f --horizon 9", "add --max-moves", "--max-moves 2"},
    {kPlan, "--from f --bandwidth 1e9", "add --max-moves", "--max-moves 2"},
    {kPlan, "--from f --max-moves 2 --expert-bytes 9", "--bandwidth", "--bandwidth 1e9"},
    {kPlan, "--from f --max-moves 2 --strategy gem+", "drop --strategy", ""},
    {kPlan, "--from f --max-moves 2 --replicas 2", "plans nothing: drop --replicas", ""},
    {kPlan, "--from f --max-moves 2 --seed 2", "plans nothing: drop --seed", ""},
    {kPlan, "--slowdown-floor 0.5", "--slowdown-floor limits", "--variability high"},
    {kPlan, "--dispatch hierarchical", "add --ranks-per-node", "--ranks-per-node 2"},
    {kScore, "--token-bytes 9", "add --ranks-per-node", "--ranks-per-node 2"},
    {kScore, "p.json --ablation", "--strategies", "--strategies gem"},
    {"run --dry-run --ranks 8 --placements gem+", "--node-cost 1e-9", "--ranks-per-node",
     "--ranks-per-node 4"},
    {kRun, "--max-moves 3", "add --adapt", "--adapt"},
    {kRun, "--horizon 3", "add --adapt", "--placements adapt:gem"},
    {kRun, "--placements gem,oracle:gem", "add --drift", "--drift task@4"},
    {kRun, "--drift slow@4", "add --slowdown", "--variability high"},
    {kRun, "--drift task@40", "after the last step", "--steps 41"},
    {kRun, "--placements gem --resident", "name more", "--adapt"},
    {kRun, "--in-sample --plan-steps 4", "--in-sample", ""},
    {kRun, "--hidden 64 --ffn 64 --scale 2", "--scale has no effect", ""},
    {kRun, "--routing router --preset bursty", "--preset is for synthetic loads", ""},
    {kRun, "--trace t --preset bursty", "--preset is for synthetic loads", ""},
    {kRun, "--trace t --routing router", "reads no --trace", ""},
    {kRun, "--record r", "add --routing router", "--routing router"},
    {kRun, "--ranks 4", "add --dry-run", "--dry-run"},
    {kRun, "--lock-clocks 900", "add --device cuda", "--device cuda"},
    {kRun, "--expert-products cublaslt", "add --device cuda", "--device cuda"},
    {"profile -o a", "--horizon 9", "--placement", "--compare b --trace t --placement p"},
    {"profile -o a", "--cost per-expert", "--placement", "--compare b --trace t --placement p"},
    {"profile -o a", "--with b", "add --compare", ""},
    {"profile --compare b --with c", "--scale 4", "measures nothing: drop --scale", ""},
    {"profile --compare b --with c", "--variability low", "drop --variability", ""},
    {kImport, "--preset even", "drop it", ""},
    {kImport, "--steps 9", "add --expand-multinomial", "--expand-multinomial"},
    {kImport, "--seed 9", "nothing is random", "--batch 4 --shuffle"},
    {kImport, "--shuffle", "--shuffle is for --batch", "--batch 4"},
    {kImport, "--max-steps 9", "--batch and --arrivals", "--batch 4"},
    {kImport, "--step-seconds 0.1", "--arrivals", "--arrivals f"},
    {kImport, "--max-batch-tokens 9", "--arrivals", "--arrivals f"},
    {kImport, "--expand-multinomial --rescale 0.5", "--rescale is for recorded steps", ""},
    {"trace make -o a", "--window 4", "--window is for trace import", ""},
    {"trace info a", "--layers 4", "only reads a trace: drop --layers", ""},
    {"convert p --to sglang -o a", "--layer 3", "is for traffic formats", ""},
    {"convert p --to trtllm -o a", "--step 3", "is for traffic formats", ""},
    {"convert p --to trtllm -o a", "--token-bytes 3", "is for traffic formats", ""},
    {"convert p --to trtllm --first-layer 3 -o a", "--model deepseek-v3", "drop one", ""},
};

TEST(OptionRules, options_without_effect_are_refused_with_the_remedy) {
  for (const auto& [line, option, said, cure] : kTable) {
    EXPECT_EQ(refusal(line), "") << line;
    const std::string with = std::string(line) + " " + option;
    EXPECT_NE(refusal(with).find(said), std::string::npos) << with << "\n-> " << refusal(with);
    if (*cure == '\0') continue;
    EXPECT_EQ(refusal(with + " " + cure), "") << with << " " << cure;
  }
}

TEST(OptionRules, one_of_several_strategies_that_takes_an_option_is_enough) {
  for (const char* line :
       {"run -o a --replicas 8 --token-split water-fill --placements linear,eplb,gem+",
        "score --trace t --strategies linear,eplb-hier --nodes 2",
        "score --trace t --strategies linear,random --seed 4",
        "score --trace t p.json --token-split water-fill",
        "score --trace t --strategies linear --per-step ultraep --spare-slots 1 --hidden 0.5",
        "score --trace t p.json --node-cost 1e-9 --ranks-per-node 4"}) {
    EXPECT_EQ(refusal(line), "") << line;
  }
}

/// Every option of the planning table against every strategy: refused exactly where its row says
/// so.
TEST(OptionRules, the_rows_decide) {
  const std::pair<const char*, bool Takes::*> options[] = {
      {"--spare-slots 2", &Takes::spare_slots},
      {"--replicas 2", &Takes::replicas},
      {"--replicas 2 --token-split by-speed", &Takes::split},
      {"--node-cost 1e-9 --ranks-per-node 4", &Takes::node_cost},
      {"--node-costs f --ranks-per-node 4", &Takes::node_cost},
      {"--nodes 2", &Takes::nodes},
      {"--groups 4", &Takes::nodes},
      {"--seed 7", &Takes::seed},
  };
  for (const Strategy& strategy : strategy_table()) {
    for (const auto& [words, taken] : options) {
      for (const char* form :
           {"plan --trace t -o a --strategy ", "run --dry-run --ranks 8 --placements ",
            "run -o a --placements ", "score --trace t --strategies "}) {
        const bool run = std::string(form).starts_with("run");
        const std::string option = words;
        if (run && (option.starts_with("--nodes") || option.starts_with("--groups"))) continue;
        const bool seeds_weights = run && option.starts_with("--seed");
        const std::string line = std::string(form) + std::string(strategy.name) + " " + words;
        const std::string said = refusal(line);
        EXPECT_EQ(said.empty(), strategy.takes.*taken || seeds_weights) << line << "\n-> " << said;
      }
    }
  }
}

TEST(OptionRules, help_and_list_name_the_takers) {
  EXPECT_EQ(takers_of("nodes"), "eplb-hier");
  EXPECT_EQ(takers_of("node-cost"), "gem+");
  EXPECT_EQ(fillers(), "eplb, eplb-hier, flashlb");
  EXPECT_EQ(taken_by("vibe"), "--spare-slots");
  EXPECT_EQ(taken_by("linear"), "");
}

TEST(OptionRules, a_stated_default_changes_nothing_and_is_fine) {
  EXPECT_EQ(refusal("plan --trace t -o a --strategy linear --seed 1 --replicas 0 --nodes 1"), "");
}

}  // namespace
}  // namespace gembench
