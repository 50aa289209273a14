#include "harness/report/gpu_ranks.hpp"

#include <set>
#include <string>

#include "placement/base/index.hpp"

namespace gembench::inline report {

std::vector<int> first_ranks_of_gpus(const RunInfo& info) {
  const auto uuids = info.rank_facts.find("gpu_uuid");
  std::vector<int> first;
  std::set<std::string> seen;
  for (int rank = 0; rank < info.shape.ranks; ++rank) {
    const std::string uuid = uuids == info.rank_facts.end() ? "" : uuids->second[sz(rank)];
    if (uuid.empty() || seen.insert(uuid).second) first.push_back(rank);
  }
  return first;
}

}  // namespace gembench::inline report
