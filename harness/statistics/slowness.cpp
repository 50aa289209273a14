#include "harness/statistics/slowness.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/statistics/interval.hpp"
#include "placement/base/error.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline statistics {
namespace {

constexpr double kFound = 1.6448536269514722;  // normal, 95 %: the noise itself is known roughly
constexpr double kLeastPastNoise = 1e-4;       // standard deviation of a log time between probes
constexpr std::size_t kThirds = 3;

/// An estimate and its bounds, of logarithms.
struct Estimate {
  double value = 0;
  double low = 0, high = 0;  ///< 95 %
  double certain = 0;
  double found = 0;  ///< kFound standard errors
};

double error_of(const SlownessQuestion& question) {
  return kFalseAccusation / static_cast<double>(question.answers);
}

Slowness answer(const Estimate& log, const SlownessQuestion& question) {
  const double limit = std::log1p(question.limit), allowed = std::log1p(question.limit / 2);
  Slowness slowness;
  slowness.slower = std::expm1(log.value);
  if (!std::isfinite(log.low) || !std::isfinite(log.high)) return slowness;
  slowness.low = std::expm1(log.low);
  slowness.high = std::expm1(log.high);
  if (!std::isfinite(log.certain)) return slowness;
  slowness.certain = std::expm1(log.certain);
  slowness.resolution =
      std::max(question.limit, std::expm1(allowed + (log.value - log.certain) + log.found));
  slowness.slow = log.certain > allowed && log.high >= limit;
  return slowness;
}

/// [round] those in which every rank has a time.
std::vector<std::size_t> shared_rounds(const std::vector<std::vector<double>>& seconds) {
  std::vector<std::size_t> shared;
  for (std::size_t round = 0; round < seconds.front().size(); ++round) {
    const bool all = std::ranges::all_of(seconds, [round](const auto& mine) {
      return mine[round] > 0 && std::isfinite(mine[round]);
    });
    if (all) shared.push_back(round);
  }
  return shared;
}

/// [rank][round] log of its time over the median of the others'.
std::vector<std::vector<double>> against_others(const std::vector<std::vector<double>>& seconds) {
  const std::size_t ranks = seconds.size(), middle = (ranks - 1) / 2;
  std::vector<std::vector<double>> ratios(ranks);
  std::vector<std::size_t> order(ranks);
  std::vector<double> logs(ranks);
  for (const std::size_t round : shared_rounds(seconds)) {
    for (std::size_t rank = 0; rank < ranks; ++rank) logs[rank] = std::log(seconds[rank][round]);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t rank) { return logs[rank]; });
    for (std::size_t place = 0; place < ranks; ++place) {
      // The others in order, without this one.
      const auto other = [&](std::size_t i) { return logs[order[i < place ? i : i + 1]]; };
      const double median =
          (ranks - 1) % 2 == 1 ? other(middle) : (other(middle - 1) + other(middle)) / 2;
      ratios[order[place]].push_back(logs[order[place]] - median);
    }
  }
  return ratios;
}

/// Medians of blocks of successive values.
std::vector<double> block_medians(std::span<const double> values) {
  const std::size_t blocks = std::min(values.size(), kMostSlownessBlocks);
  std::vector<double> medians;
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t first = block * values.size() / blocks,
                      last = (block + 1) * values.size() / blocks;
    medians.push_back(quantile({values.begin() + static_cast<std::ptrdiff_t>(first),
                                values.begin() + static_cast<std::ptrdiff_t>(last)},
                               0.5));
  }
  return medians;
}

/// How many of so many independent values may be below their median with no more than this
/// probability of fewer.
std::size_t sign_test(std::size_t count, double probability) {
  std::size_t below = 0;
  double term = std::ldexp(1.0, -static_cast<int>(count)), sum = term;
  while (2 * below < count && sum <= probability) {
    ++below;
    term *= static_cast<double>(count - below + 1) / static_cast<double>(below);
    sum += term;
  }
  return below;
}

/// Values from either end of ascending ones at which a bound of their median lies, `likeness` of
/// them being worth one; 0: there is none.
std::size_t bound_at(std::size_t count, double likeness, double probability) {
  const auto independent =
      static_cast<std::size_t>(static_cast<double>(count) / std::max(1.0, likeness));
  return independent == 0 ? 0 : sign_test(independent, probability) * count / independent;
}

Estimate estimate(std::vector<double> blocks, double likeness, const SlownessQuestion& question) {
  std::ranges::sort(blocks);
  const double none = std::numeric_limits<double>::infinity();
  Estimate found{quantile(blocks, 0.5), -none, none, -none, none};
  if (const std::size_t at = bound_at(blocks.size(), likeness, 0.025); at > 0) {
    found.low = blocks[at - 1];
    found.high = blocks[blocks.size() - at];
    found.found = kFound * (found.high - found.low) / (2 * kNormal);
  }
  if (const std::size_t at = bound_at(blocks.size(), likeness, error_of(question)); at > 0)
    found.certain = blocks[at - 1];
  return found;
}

/// A temporary difference comes from other work on the machine.
bool throughout(const std::vector<double>& blocks, double least) {
  for (std::size_t third = 0; third < kThirds; ++third) {
    const std::vector<double> part(
        blocks.begin() + static_cast<std::ptrdiff_t>(third * blocks.size() / kThirds),
        blocks.begin() + static_cast<std::ptrdiff_t>((third + 1) * blocks.size() / kThirds));
    if (!(quantile(part, 0.5) > least)) return false;
  }
  return true;
}

}  // namespace

std::vector<Slowness> slower_than_others(const std::vector<std::vector<double>>& seconds,
                                         const SlownessQuestion& question) {
  std::vector<Slowness> found(seconds.size());
  for (const auto& mine : seconds)
    if (mine.size() != seconds.front().size())
      throw usage_error("ranks have different numbers of rounds; measure them together");
  if (seconds.size() < 2) return found;
  std::vector<std::vector<double>> blocks;
  for (const auto& ratios : against_others(seconds)) blocks.push_back(block_medians(ratios));
  if (blocks.front().empty()) return found;
  std::vector<double> likeness;
  for (const auto& mine : blocks) likeness.push_back(alike(robust_rest(mine, quantile(mine, 0.5))));
  const double usual = quantile(likeness, 0.5);
  for (std::size_t rank = 0; rank < found.size(); ++rank) {
    found[rank] =
        answer(estimate(blocks[rank], std::max(likeness[rank], usual), question), question);
    found[rank].slow = found[rank].slow && throughout(blocks[rank], std::log1p(question.limit / 2));
  }
  return found;
}

Slowness slower_than_past(std::span<const double> past, double now,
                          const SlownessQuestion& question) {
  if (past.size() < kLeastPast) return {};
  const auto count = static_cast<double>(past.size());
  double sum = 0, square = 0;
  for (const double value : past) sum += std::log(value);
  const double mean = sum / count;
  for (const double value : past) square += (std::log(value) - mean) * (std::log(value) - mean);
  const double error =
      std::max(kLeastPastNoise, std::sqrt(square / (count - 1))) * std::sqrt(1 + 1 / count);
  const auto half = [&](double probability) {
    return error * student_quantile(count - 1, probability);
  };
  const double change = std::log(now) - mean;
  return answer({change, change - half(0.975), change + half(0.975),
                 change - half(1 - error_of(question)), half(0.95)},
                question);
}

}  // namespace gembench::inline statistics
