#pragma once

namespace gembench::inline strategies {

/// The requested slots of a layer.
struct SlotRequest {
  int ranks = 0, experts = 0;
  int spare = 0;     ///< slots of a rank beyond its even share; 0 = as many as `replicas` need
  int replicas = 0;  ///< beyond the first of an expert, a layer in all; engines: redundant experts
  int placed = 0;    ///< slots of a rank in placements made earlier; 0 = there are none
};

/// The resulting number of slots.
struct SlotCount {
  int even = 0;   ///< a rank's even share: experts / ranks, rounded up
  int slots = 0;  ///< of every rank, spare ones included
};

/// The only place that accepts or rejects (usage error) numbers of ranks, experts, spare slots and
/// replicas, for `plan`, `score`, `profile`, `run` and its dry runs. Without spare slots a rank has
/// (experts + replicas) / ranks slots, rounded up; with them, that many beyond the even share,
/// where the replicas must have room. Refused: more slots than experts, and more ranks than experts
/// and replicas, unless spare slots may hold replicas or a placement made earlier has them.
[[nodiscard]] SlotCount count_slots(const SlotRequest& request);

}  // namespace gembench::inline strategies
