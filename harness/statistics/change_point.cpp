#include "harness/statistics/change_point.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "harness/statistics/interval.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline statistics {
namespace {

/// Differences that are worth a degree of freedom of the shared noise: successive ones have 2/3 of
/// the efficiency of a standard deviation, and the largest are left out.
constexpr double kDifferencesAFreedom = 2;
constexpr std::size_t kLeast = kLeastBefore + kLeastSince;

/// What all splits of all series are judged by.
struct Noise {
  double shared = 0, freedom = 1;  ///< standard deviation, and how well it is known
  double probability = 1;          ///< of Student's t, for one split
  double limit = 0;                ///< of the shared noise at this probability
};

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The difference of the means on both sides of a split, and what Student's t makes of its noise.
struct Split {
  std::size_t at = 0;
  double change = 0;
  double error = 0, freedom = 1;  ///< by the values' own noise
  double share = 0;               ///< of the noise of one value that is in `change`

  /// Half the width of an interval of this probability: the wider of two.
  [[nodiscard]] double half(const Noise& noise, double probability) const {
    return std::max(error * student_quantile(freedom, probability),
                    share * noise.shared * student_quantile(noise.freedom, probability));
  }
};

Split split_at(std::span<const double> values, std::size_t at) {
  const double before = mean(values.first(at)), now = mean(values.subspan(at));
  std::vector<double> rest;
  double square = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    rest.push_back(values[i] - (i < at ? before : now));
    square += rest.back() * rest.back();
  }
  Split split{at, now - before, 0, static_cast<double>(values.size()) - 2, 0};
  split.share =
      std::sqrt(1 / static_cast<double>(at) + 1 / static_cast<double>(values.size() - at));
  split.error = split.share * std::sqrt(square / split.freedom * alike(rest));
  return split;
}

/// The split with the largest CUSUM statistic; none if too few values are on one side of it.
std::optional<Split> best_split(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  const double middle = mean(values);
  double sum = 0, most = -1;
  std::size_t best = 0;
  for (std::size_t at = 1; at < values.size(); ++at) {
    sum += values[at - 1] - middle;
    const auto before = static_cast<double>(at);
    const double statistic = sum * sum / (before * (n - before));
    if (statistic > most) {
      most = statistic;
      best = at;
    }
  }
  if (best < kLeastBefore || best + kLeastSince > values.size()) return std::nullopt;
  return split_at(values, best);
}

/// Calls `use(first, length)` for all of `count` values, for overlapping halves of them, quarters,
/// and so on.
template <class Use>
void for_each_part(std::size_t count, const Use& use) {
  for (std::size_t length = count; length >= kLeast; length = (length + 1) / 2) {
    const std::size_t step = std::max<std::size_t>(1, length / 2);
    for (std::size_t first = 0; first + length < count; first += step) use(first, length);
    use(count - length, length);
    if (length == kLeast) break;
  }
}

/// Possible splits of all parts.
double count_splits(std::size_t count) {
  double splits = 0;
  for_each_part(count, [&](std::size_t, std::size_t length) {
    splits += static_cast<double>(length - kLeast + 1);
  });
  return splits;
}

/// Appends the places in [first, last) where the level changes, in order.
void search(std::span<const double> all, std::size_t first, std::size_t last, const Noise& noise,
            std::vector<std::size_t>& found) {
  if (last - first < kLeast || found.size() >= kMostShifts) return;
  std::size_t place = 0;
  double most = 1;  // how far a difference is beyond noise
  for_each_part(last - first, [&](std::size_t offset, std::size_t length) {
    const auto split = best_split(all.subspan(first + offset, length));
    if (!split || std::abs(split->change) <= split->share * noise.limit) return;
    const double half = split->half(noise, noise.probability);
    if (!(std::abs(split->change) > most * half)) return;
    most = std::abs(split->change) / half;
    place = first + offset + split->at;
  });
  if (place == 0) return;
  search(all, first, place, noise, found);
  if (found.size() < kMostShifts) found.push_back(place);
  search(all, place, last, noise, found);
}

}  // namespace

double shared_noise(std::span<const std::vector<double>> series) {
  double squares = 0, products = 0, count = 0;
  for (const auto& values : series) {
    double largest = 0;
    for (std::size_t i = 1; i < values.size(); ++i) {
      const double difference = values[i] - values[i - 1], square = difference * difference;
      squares += square;
      largest = std::max(largest, square);
      if (i > 1) products += difference * (values[i - 1] - values[i - 2]);
    }
    if (values.size() < 3) continue;
    squares -= largest;  // it may be a change
    count += static_cast<double>(values.size()) - 2;
  }
  if (!(squares > 0) || count < 1) return 0;
  // Of neighbours with correlation r, successive differences have -(1 - r) / 2.
  const double raised = 1 + 2 * products / squares + 1 / std::sqrt(count);
  const double r = std::clamp(raised, 0.0, kMostCorrelation);
  return std::sqrt(squares / count / 2 * (1 + r)) / (1 - r);
}

std::vector<std::vector<LevelShift>> level_shifts(std::span<const std::vector<double>> series,
                                                  double least_noise) {
  double splits = 0, differences = 0;
  for (const auto& values : series) {
    splits += count_splits(values.size());
    differences += std::max(0.0, static_cast<double>(values.size()) - 1);
  }
  Noise noise{std::max(shared_noise(series), least_noise),
              std::max(1.0, differences / kDifferencesAFreedom),
              1 - kFalseAlarm / 2 / std::max(1.0, splits)};
  noise.limit = noise.shared * student_quantile(noise.freedom, noise.probability);
  std::vector<std::vector<LevelShift>> shifts;
  for (const auto& values : series) {
    std::vector<std::size_t> places;
    search(values, 0, values.size(), noise, places);
    auto& found = shifts.emplace_back();
    for (std::size_t i = 0; i < places.size(); ++i) {
      const std::size_t first = i == 0 ? 0 : places[i - 1],
                        last = i + 1 < places.size() ? places[i + 1] : values.size();
      const Split split =
          split_at(std::span(values).subspan(first, last - first), places[i] - first);
      const double half = split.half(noise, 0.975);
      found.push_back({places[i], split.at, last - places[i], split.change, split.change - half,
                       split.change + half});
    }
  }
  return shifts;
}

}  // namespace gembench::inline statistics
