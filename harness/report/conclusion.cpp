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

}  // namespace

double times_longer(const Difference& d, double precision) {
  const double half = (*d.high - *d.low) / 2;
  if (std::max(-*d.low, *d.high) <= precision) return 1;
  const double typical = std::abs(d.typical);
  return kMargin * std::max(1.0, std::pow(half / std::max(typical, precision - typical), 2));
}

std::string conclusion_lines(const RunReader& file, const Comparison& comparison) {
  std::string text;
  if (!file.end().stopped.empty()) {
    text = fmt::format("# measuring ended: {}\n", file.end().stopped);
  }
  const RunShape& shape = file.info().shape;
  const auto found = file.end().seconds.find("measure");
  if (shape.ranks == 1 || found == file.end().seconds.end()) return text;
  const auto config = nlohmann::json::parse(file.info().config, nullptr, false);
  const double stated = option(config, "precision") / 100;
  const double precision = stated > 0 ? stated : kPrecision;
  const bool by_time = option(config, "max-seconds") > 0;
  // What a run that is so many times as long as this one is started with.
  const auto remedy = [&](double factor) {
    const double steps = rounded_up(factor * comparison.placements[0]["steps"]);
    const std::string by_steps = fmt::format("--steps {:.0f}", steps);
    if (!by_time) return by_steps;
    return fmt::format("--max-seconds {:.0f}", rounded_up(factor * found->second)) +
           (steps > shape.steps ? " " + by_steps : "");
  };
  const double widest = widest_interval(comparison);
  if (stated > 0 && widest > stated) {
    text += fmt::format(
        "# WARNING: the precision asked for was out of reach: intervals are up to +-{:.2g} points "
        "and not {:g}; at this noise {} reaches it\n",
        widest * 100, stated * 100, remedy(kMargin * std::pow(widest / stated, 2)));
  }
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
        what, factor, remedy(factor));
  }
  return text;
}

}  // namespace gembench::inline report
