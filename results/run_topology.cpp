#include "results/run_topology.hpp"

#include <span>

#include "results/run_schema.hpp"

namespace gembench::inline results {

void add_topology(h5::File& file, const std::vector<NodePlace>& places) {
  std::vector<std::int32_t> nodes, local_ranks;
  for (const NodePlace& place : places) {
    nodes.push_back(place.node);
    local_ranks.push_back(place.local_rank);
  }
  const h5::Extents ranks{places.size()};
  file.make_group("topology");
  file.make(schema::kNode, ranks);
  file.write(schema::kNode, std::span<const std::int32_t>(nodes));
  file.make(schema::kLocalRank, ranks);
  file.write(schema::kLocalRank, std::span<const std::int32_t>(local_ranks));
  for (const h5::Variable* clock : {&schema::kOffsetBefore, &schema::kErrorBefore,
                                    &schema::kOffsetAfter, &schema::kErrorAfter}) {
    file.make(*clock, ranks);
  }
}

void put_clocks(h5::File& file, const std::vector<ClockReading>& clocks, bool after) {
  std::vector<double> offsets, errors;
  for (const ClockReading& clock : clocks) {
    offsets.push_back(clock.offset);
    errors.push_back(clock.error);
  }
  file.write(after ? schema::kOffsetAfter : schema::kOffsetBefore,
             std::span<const double>(offsets));
  file.write(after ? schema::kErrorAfter : schema::kErrorBefore, std::span<const double>(errors));
}

}  // namespace gembench::inline results
