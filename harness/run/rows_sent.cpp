#include "harness/run/rows_sent.hpp"

#include <span>

#include "placement/base/index.hpp"

namespace gembench::inline run {
namespace {

/// The experts of a rank's own tokens and their locations: experts, or cells of a placement with
/// replicas.
struct Asked {
  std::vector<std::uint16_t> ids;   // [layer][token][k]
  std::vector<Location> locations;  // [layer][expert or cell]
};

std::vector<std::uint16_t> ids_of(const Session& session, int step, int rank) {
  return routed_ids(session.workload.measured, step, session.options.seed,
                    session.tokens_of(step, rank));
}

/// [layer][rank][expert]
std::vector<std::int32_t> counts_of(const Session& session, int step) {
  const std::size_t layers = sz(session.model.layers), ranks = sz(session.comm.size());
  const std::size_t experts = sz(session.model.experts);
  std::vector<std::int32_t> counts(layers * ranks * experts, 0);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const auto ids = ids_of(session, step, static_cast<int>(rank));
    const std::size_t of_layer = ids.size() / layers;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      ++counts[(i / of_layer * ranks + rank) * experts + ids[i]];
    }
  }
  return counts;
}

Asked asked_by(const Session& session, int step, int rank, const Placement& placement,
               const SplitSpec& splitting) {
  Asked asked{ids_of(session, step, rank), {}};
  if (count_duplicates(placement) == 0) {
    asked.locations = locations(placement);
    return asked;
  }
  const std::size_t ranks = sz(session.comm.size()), experts = sz(session.model.experts);
  const std::size_t of_layer = asked.ids.size() / sz(session.model.layers);
  ReplicaChoice choice(placement, splitting);
  const auto counts = counts_of(session, step);
  for (int layer = 0; layer < session.model.layers; ++layer) {
    const auto all = std::span(counts).subspan(sz(layer) * ranks * experts, ranks * experts);
    choice.choose(layer, rank,
                  choice.needs_all_counts() ? all : all.subspan(sz(rank) * experts, experts),
                  std::span(asked.ids).subspan(sz(layer) * of_layer, of_layer));
    asked.locations.insert(asked.locations.end(), choice.locations().begin(),
                           choice.locations().end());
  }
  return asked;
}

std::vector<std::int64_t> rows_of(const Session& session, const Asked& asked) {
  std::vector<std::int64_t> rows(sz(session.model.layers) * sz(session.comm.size()), 0);
  if (asked.ids.empty()) return rows;
  count_rows(asked.ids, asked.locations, session.model.layers, session.comm.size(),
             session.model.topk, rows);
  return rows;
}

}  // namespace

std::vector<std::int64_t> rows_sent(const Session& session, int step, const Placement& placement,
                                    const SplitSpec& splitting) {
  const int self = session.comm.rank();
  Asked own = asked_by(session, step, self, placement, splitting);
  if (session.options.dispatch == "flat") return rows_of(session, own);
  // Hierarchical: its own tokens to their nodes, and those that it forwards within its own.
  const Topology& topology = session.topology;
  own.locations = by_node(own.locations, topology, self, placement.slots);
  auto rows = rows_of(session, own);
  const std::size_t ranks = sz(session.comm.size());
  for (const int source : topology.sources_of(self)) {
    const auto forwarded = rows_of(session, asked_by(session, step, source, placement, splitting));
    for (const int to : topology.ranks_of(topology.node(self))) {
      for (std::size_t at = sz(to); at < rows.size(); at += ranks) rows[at] += forwarded[at];
    }
  }
  return rows;
}

}  // namespace gembench::inline run
