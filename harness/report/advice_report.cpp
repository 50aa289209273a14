#include "harness/report/advice_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/report/learning_json.hpp"
#include "harness/report/numbers.hpp"
#include "harness/report/shrinkage_json.hpp"

namespace gembench::inline report {
namespace {

using nlohmann::ordered_json;

std::string table(const AdviceContext& context, const Advice& advice) {
  std::string text = fmt::format(
      "# loads of {}: {} steps of {}; {} ranks\n# speeds: {}\n", context.trace, context.steps,
      context.requests > 0
          ? fmt::format("{} requests", context.requests)
          : std::string("an unknown number of requests (if few, this says little)"),
      context.ranks, context.speeds);
  if (context.shrinkage) text += fmt::format("# {}\n", to_text(*context.shrinkage));
  if (advice.blocks > 0)
    text += fmt::format(
        "# {} blocks of {} or {} steps from the later half, under {} plans, each made on all steps "
        "before it\n",
        advice.blocks, advice.block_steps, advice.block_steps + 1, advice.plans);
  for (const std::string& note : context.notes) text += fmt::format("# {}\n", note);
  std::size_t width = 12;
  for (const auto& row : advice.placements) width = std::max(width, row.name.size());
  if (!advice.placements.empty())
    text += fmt::format(
        "# {0:<{1}} predicted step time against {2}\n# {3:<{1}}          %            "
        "95 % CI    blocks with less\n",
        "", width, context.against, "placement");
  for (const AdvisedPlacement& one : advice.placements)
    text += fmt::format(
        "  {:<{}} {:>10} {:>18} {:>19}\n", one.name, width,
        fmt::format("{:+.2f}", one.change.typical * 100),
        fmt::format("{:+.2f} .. {:+.2f}", *one.change.low * 100, *one.change.high * 100),
        fmt::format("{} of {}", one.better, advice.blocks));
  if (!advice.learning.points.empty()) text += fmt::format("# {}\n", to_text(advice.learning));
  if (!context.file.empty())
    text += fmt::format("# result: {}\n# use: {}\n", context.file, context.use);
  return text + fmt::format("# {}\n", advice.sentence);
}

std::string json(const AdviceContext& context, const Advice& advice) {
  ordered_json placements = ordered_json::array();
  for (const AdvisedPlacement& one : advice.placements)
    placements.push_back({{"placement", one.name},
                          {"change", json_number(one.change.typical)},
                          {"low", json_number(one.change.low)},
                          {"high", json_number(one.change.high)},
                          {"blocks_with_less", one.better}});
  return ordered_json{{"verdict", name_of(advice.word)},
                      {"sentence", advice.sentence},
                      {"best", advice.best},
                      {"against", context.against},
                      {"least_gain", context.least_gain},
                      {"trace", context.trace},
                      {"steps", context.steps},
                      {"requests", context.requests > 0 ? ordered_json(context.requests)
                                                        : ordered_json(nullptr)},
                      {"ranks", context.ranks},
                      {"speeds", context.speeds},
                      {"shrinkage", shrinkage_json(context.shrinkage)},
                      {"plans", advice.plans},
                      {"blocks", advice.blocks},
                      {"block_steps", advice.block_steps},
                      {"placements", placements},
                      {"learning", learning_json(advice.learning)},
                      {"learning_finding", advice.learning.finding},
                      {"notes", context.notes},
                      {"file", context.file},
                      {"use", context.use}}
             .dump(2) +
         "\n";
}

}  // namespace

std::string advice_report(const AdviceContext& context, const Advice& advice,
                          const std::string& format) {
  return format == "json" ? json(context, advice) : table(context, advice);
}

}  // namespace gembench::inline report
