#include "harness/run/speed_errors.hpp"

#include <algorithm>

#include "harness/statistics/interval.hpp"
#include "placement/base/random.hpp"
#include "placement/loads/draws.hpp"
#include "placement/speeds/profile_verdict.hpp"

namespace gembench::inline run {

std::vector<double> speed_errors(const ProfileFile& file, const std::optional<Shrinkage>& shrunk) {
  if (file.samples.points == 0 && !shrunk) return {};
  std::vector<double> errors;
  for (const RankSpeed& rank : judge_speeds(file.profile, file.samples))
    errors.push_back(std::max(rank.noise / kNormal, shrunk ? shrunk->passing : 0.0));
  return errors;
}

Profile drawn_error(const Profile& profile, const std::vector<double>& errors, std::uint64_t seed,
                    int draw) {
  Profile off = profile;
  Random random(fold(seed, static_cast<std::uint64_t>(draw)));
  for (std::size_t rank = 0; rank < errors.size(); ++rank)
    stretch(off, static_cast<int>(rank), exponential(errors[rank] * normal(random)));
  return off;
}

}  // namespace gembench::inline run
