#include "placement/speeds/builtin_slowdowns.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/known_names.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline speeds {
namespace {

constexpr double kShares[] = {0,    0.005, 0.01, 0.025, 0.05, 0.1,   0.15,   0.2,
                              0.3,  0.4,   0.5,  0.6,   0.7,  0.8,   0.9,    0.925,
                              0.95, 0.96,  0.97, 0.98,  0.99, 0.995, 0.9975, 1};

constexpr BuiltinSlowdowns kSets[] = {
    {"v100-sgemm", "392 V100 of TACC Longhorn, cuBLAS FP32 matrix product"},
    {"v100-resnet50", "336 V100 of TACC Longhorn, ResNet-50 training"},
    {"v100-bert", "136 V100 of TACC Longhorn, BERT training"},
    {"v100-pagerank", "172 V100 of TACC Longhorn, PageRank (memory-bound)"},
    {"rtx5000-resnet50", "296 RTX 5000 of TACC Frontera, ResNet-50 training"},
    {"rtx5000-bert", "276 RTX 5000 of TACC Frontera, BERT training"},
    {"rtx5000-pagerank", "248 RTX 5000 of TACC Frontera, PageRank (memory-bound)"},
    {"a100-resnet50", "219 A100 of TACC Lonestar6, ResNet-50 training, one run each"}};

// Quantiles at kShares, over the GPUs of a set, of (median run time of the GPU) / (that of the
// median GPU). From the data published with PAL (Jain, Tran, Chen, Sinclair, Venkataraman, SC24,
// arXiv:2408.11919), licence MIT: https://github.com/hal-uw/blox-pal at commit
// da726cabd3113ff50cb9860b040b479fa7114221, aggregated_data/. On Longhorn, Frontera and Lonestar6
// ResNet-50 ran on whole nodes, so that a node's GPUs slow each other down.
constexpr double kQuantiles[][std::size(kShares)] = {
    /* v100-sgemm */ {0.9524, 0.9572, 0.9636, 0.968,  0.9739, 0.979,  0.9832, 0.9856,
                      0.9902, 0.9949, 1,      1.0032, 1.008,  1.0138, 1.0206, 1.0236,
                      1.027,  1.0294, 1.0338, 1.0378, 1.05,   1.0627, 1.0792, 1.2027},
    /* v100-resnet50 */ {0.9449, 0.9585, 0.963,  0.968,  0.9704, 0.9754, 0.9792, 0.9821,
                         0.9876, 0.9938, 1,      1.0047, 1.0117, 1.019,  1.0313, 1.0424,
                         1.0604, 1.0722, 1.0834, 1.0934, 1.1103, 1.113,  1.1187, 1.1205},
    /* v100-bert */ {0.9858, 0.9861, 0.9864, 0.9883, 0.9927, 0.9936, 0.995,  0.9956,
                     0.9976, 0.9991, 1,      1.001,  1.0028, 1.0049, 1.0069, 1.0093,
                     1.0104, 1.0109, 1.0122, 1.0327, 1.036,  1.0374, 1.0382, 1.0391},
    /* v100-pagerank */ {0.9707, 0.9708, 0.9708, 0.9709, 0.9713, 0.9716, 0.9735, 0.9994,
                         0.9996, 0.9998, 1,      1.0003, 1.0006, 1.0011, 1.0017, 1.0018,
                         1.0021, 1.0022, 1.0023, 1.0026, 1.003,  1.0033, 1.0035, 1.0036},
    /* rtx5000-resnet50 */ {0.9844, 0.9862, 0.9864, 0.9888, 0.9905, 0.9929, 0.9942, 0.9953,
                            0.9967, 0.9983, 1,      1.0011, 1.0028, 1.0053, 1.0196, 1.0294,
                            1.0619, 1.0828, 1.1163, 1.1242, 1.1293, 1.1332, 1.1368, 1.1449},
    /* rtx5000-bert */ {0.9912, 0.9914, 0.9918, 0.9925, 0.9936, 0.9955, 0.9964, 0.9969,
                        0.9979, 0.999,  1,      1.001,  1.0023, 1.0035, 1.0046, 1.0051,
                        1.0062, 1.0065, 1.0121, 1.0555, 1.0583, 1.0591, 1.0594, 1.0602},
    /* rtx5000-pagerank */ {0.9988, 0.9991, 0.9992, 0.9993, 0.9994, 0.9995, 0.9996, 0.9996,
                            0.9998, 0.9999, 1,      1.0001, 1.0003, 1.0004, 1.0005, 1.0006,
                            1.0006, 1.0006, 1.0006, 1.0006, 1.0007, 1.0008, 1.0008, 1.0009},
    /* a100-resnet50 */ {0.949,  0.9572, 0.9586, 0.9653, 0.9707, 0.9775, 0.9813, 0.9851,
                         0.9903, 0.9954, 1,      1.005,  1.0117, 1.0187, 1.031,  1.0376,
                         1.0446, 1.0522, 1.0855, 2.1518, 2.1656, 2.1703, 2.1845, 2.201}};
static_assert(std::size(kQuantiles) == std::size(kSets));

const double* quantiles_of(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kSets); ++i) {
    if (kSets[i].name == name) return kQuantiles[i];
  }
  const auto names = names_of_rows(kSets);
  throw usage_error(fmt::format("there are no slowdowns '{}'{}; choose one of {}", name,
                                did_you_mean(name, names), fmt::join(names, ", ")));
}

}  // namespace

std::span<const BuiltinSlowdowns> builtin_slowdown_sets() {
  return kSets;
}

std::vector<double> builtin_slowdowns(std::string_view name, int ranks, std::uint64_t seed) {
  const auto* quantiles = quantiles_of(name);
  if (ranks < 1) throw usage_error(fmt::format("slowdowns of {} ranks; give at least 1", ranks));
  std::vector<double> slowdowns;
  slowdowns.reserve(checked_product({ranks}, "the list of slowdowns"));
  Random random(fold(seed, 0x510d0));
  for (int rank = 0; rank < ranks; ++rank) {
    const double share = random.uniform();
    const auto above = std::upper_bound(std::begin(kShares) + 1, std::end(kShares) - 1, share);
    const auto k = static_cast<std::size_t>(above - std::begin(kShares));
    const double within = (share - kShares[k - 1]) / (kShares[k] - kShares[k - 1]);
    slowdowns.push_back(quantiles[k - 1] + within * (quantiles[k] - quantiles[k - 1]));
  }
  return slowdowns;
}

void apply_slowdown(Profile& profile, std::span<const double> slowdowns, double floor) {
  validate(profile);
  const auto ranks = static_cast<std::size_t>(profile.ranks);
  if (slowdowns.size() != ranks)
    throw usage_error(fmt::format("{} slowdowns for a profile of {} ranks; give one for each",
                                  slowdowns.size(), ranks));
  for (auto slowdown : slowdowns)
    if (!(slowdown > 0) || !std::isfinite(slowdown))
      throw usage_error(fmt::format("a slowdown of {}; it must be above 0", slowdown));
  if (!(floor >= 0 && floor <= 1))
    throw usage_error(fmt::format("a slowdown floor of {}; it must lie between 0 and 1", floor));
  const auto load_points = profile.load_points.size();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const auto row = std::span(profile.latency).subspan(rank * load_points, load_points);
    const double fixed = floor * *std::min_element(row.begin() + 1, row.end());
    const auto slow = [&](double& latency) {
      const double kept = std::min(latency, fixed);  // no load may be faster than the smallest
      latency = kept + (latency - kept) * slowdowns[rank];
    };
    std::ranges::for_each(row, slow);
    for (std::size_t point = 0; point < profile.active.points(); ++point)
      slow(profile.active.at(static_cast<int>(rank), point));
    for (std::size_t point = 0; point < profile.routed.points; ++point)
      slow(profile.routed.at(static_cast<int>(rank), point));
    for (auto& spread : std::span(profile.spread).subspan(rank * load_points, load_points))
      spread *= slowdowns[rank];
    profile.slowdown[rank] *= slowdowns[rank];
  }
}

}  // namespace gembench::inline speeds
