#include "harness/report/conclusion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace gembench::inline report {
namespace {

constexpr double kPrecision = 0.02;  // of runs that state none
constexpr double kMargin = 1.2;      // an interval's width is itself only approximate

/// Upwards, to two digits that a user would type.
double rounded_up(double value) {
  const double unit = std::pow(10, std::max(0.0, std::floor(std::log10(value)) - 1));
  return std::ceil(value / unit) * unit;
}

/// The largest half width of an interval against the first placement, which a run checks while it
/// measures; 0 = there is none.
double widest_interval(const Comparison& comparison) {
  double widest = 0;
  for (const PairDifference& pair : comparison.pairs) {
    const Difference& d = pair.step_time;
    if (d.low && pair.reference == 0) widest = std::max(widest, (*d.high - *d.low) / 2);
  }
  return widest;
}

/// A numeric option of a run, NaN if missing.
double option(const nlohmann::json& config, const char* name) {
  const auto found = config.is_object() ? config.find(name) : config.end();
  return found != config.end() && found->is_number() ? found->get<double>() : NAN;
}

/// How long a run was, and by which rule it ended.
struct RunLength {
  double stated = NAN;            ///< --precision, a share
  double precision = kPrecision;  ///< that or the usual one
  double seconds = NAN;           ///< of measuring; NaN = not known yet
  int steps = 0;
  bool by_time = false;

  [[nodiscard]] bool known() const { return !std::isnan(seconds); }
};

RunLength length_of(const RunReader& file) {
  const auto config = nlohmann::json::parse(file.info().config, nullptr, false);
  RunLength length;
  length.stated = option(config, "precision") / 100;
  if (length.stated > 0) length.precision = length.stated;
  length.by_time = option(config, "max-seconds") > 0;
  length.steps = file.info().shape.steps;
  const auto found = file.end().seconds.find("measure");
  if (found != file.end().seconds.end()) length.seconds = found->second;
  return length;
}

/// What a run that is `factor` times as long as this one is started with.
std::string remedy(const RunLength& length, const Comparison& comparison, double factor) {
  const double steps = rounded_up(factor * comparison.placements[0]["steps"]);
  const std::string by_steps = fmt::format("--steps {:.0f}", steps);
  if (!length.by_time) return by_steps;
  return fmt::format("--max-seconds {:.0f}", rounded_up(factor * length.seconds)) +
         (steps > length.steps ? " " + by_steps : "");
}

}  // namespace

double times_longer(const Difference& d, double precision) {
  const double half = (*d.high - *d.low) / 2;
  if (std::max(-*d.low, *d.high) <= precision) return 1;
  const double typical = std::abs(d.typical);
  return kMargin * std::max(1.0, std::pow(half / std::max(typical, precision - typical), 2));
}

std::string no_interval(const RunReader& file, int blocks) {
  const RunShape& shape = file.info().shape;
  const std::string why = fmt::format("no interval: {} block{} of the {} needed", blocks,
                                      blocks == 1 ? "" : "s", kLeastBlocks);
  int planned = 0, longest = 1;
  for (const Segment& segment : file.info().segments) {
    planned = std::max(planned, static_cast<int>(segment.block) + 1);
    longest = std::max(longest, segment.steps);
  }
  if (planned >= kLeastBlocks) {
    return why + (file.completed() ? ", give it a longer --max-seconds"
                                   : ", continue the run with --resume");
  }
  std::string remedy = fmt::format("--steps {}", kLeastBlocks * longest);
  if (shape.steps >= kLeastBlocks) {
    remedy += fmt::format(" or --block {}", shape.steps / kLeastBlocks);
  }
  return fmt::format("{}, measure with {}", why, remedy);
}

std::string what_decides(const RunReader& file, const Comparison& comparison,
                         const std::vector<Difference>& open) {
  for (const Difference& d : open) {
    if (!d.low) return no_interval(file, d.blocks);
  }
  const RunLength length = length_of(file);
  double factor = 1;
  for (const Difference& d : open) factor = std::max(factor, times_longer(d, length.precision));
  if (factor == 1) return fmt::format("it is below {:g} points", length.precision * 100);
  if (!length.known()) return "continue the run with --resume";
  return fmt::format("at this noise about {:.2g} times as many steps would decide, with {}", factor,
                     remedy(length, comparison, factor));
}

std::string conclusion_lines(const RunReader& file, const Comparison& comparison) {
  std::string text;
  if (!file.end().stopped.empty()) {
    text = fmt::format("# measuring ended: {}\n", file.end().stopped);
  }
  const RunLength length = length_of(file);
  if (file.info().shape.ranks == 1 || !length.known()) return text;
  const double stated = length.stated, precision = length.precision;
  const double widest = widest_interval(comparison);
  if (stated > 0 && widest > stated) {
    text += fmt::format(
        "# WARNING: the precision asked for was out of reach: intervals are up to +-{:.2g} points "
        "and not {:g}; at this noise {} reaches it\n",
        widest * 100, stated * 100,
        remedy(length, comparison, kMargin * std::pow(widest / stated, 2)));
  }
  if (comparison.placements.size() == 2) return text;  // the verdict says it of the one pair
  for (const PairDifference& pair : comparison.pairs) {
    const Difference& d = pair.step_time;
    if (!d.low || *d.low > 0 || *d.high < 0) continue;
    const double factor = times_longer(d, precision);
    const std::string what =
        comparison.label(pair.placement) + " vs " + comparison.label(pair.reference);
    if (factor == 1) {
      text += fmt::format("# {}: no difference of more than {:g} points\n", what, precision * 100);
      continue;
    }
    text += fmt::format(
        "# {} is not conclusive: at this noise about {:.2g} times as many steps would decide, with "
        "{}\n",
        what, factor, remedy(length, comparison, factor));
  }
  return text;
}

}  // namespace gembench::inline report
