#include "moe_layer/dispatch/expert_store.hpp"

#include <algorithm>

#include "moe_layer/model/weights.hpp"
#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline dispatch {

ExpertStore::ExpertStore(const Comm& comm, Device& device, const ModelShape& model,
                         int weight_layers, std::uint64_t seed)
    : comm_(comm),
      device_(device),
      model_(model),
      weight_layers_(weight_layers),
      seed_(seed),
      holders_(static_cast<std::size_t>(weight_layers),
               std::vector<Ranks>(static_cast<std::size_t>(model.experts))),
      experts_(static_cast<std::size_t>(weight_layers)),
      shared_(static_cast<std::size_t>(weight_layers)) {
  for (int layer = 0; layer < weight_layers; ++layer) {
    for (int i = 0; i < model.shared; ++i) {
      shared_[static_cast<std::size_t>(layer)].push_back(make(layer, model.experts + i));
    }
  }
}

Buffer ExpertStore::make(int weight_layer, int expert) {
  fill_expert(plain_, seed_, weight_layer, expert, model_, device_.dtype());
  Buffer weights = device_.allocate(device_.expert_bytes());
  device_.load_expert(weights, plain_);
  return weights;
}

std::vector<ExpertStore::Ranks> ExpertStore::needed_by(std::span<const Placement* const> placements,
                                                       int weight_layer) const {
  std::vector<Ranks> needed(static_cast<std::size_t>(model_.experts));
  for (int rank = 0; rank < comm_.size(); ++rank) {
    for (const Placement* placement : placements) {
      for (int layer = weight_layer; layer < placement->layers; layer += weight_layers_) {
        for (const int expert : placement->on_rank(layer, rank)) {
          if (expert < 0) continue;
          Ranks& ranks = needed[static_cast<std::size_t>(expert)];
          if (ranks.empty() || ranks.back() != rank) ranks.push_back(rank);
        }
      }
    }
  }
  return needed;
}

MoveReport ExpertStore::hold(std::span<const Placement* const> placements) {
  MoveReport report;
  const double begin = wall_seconds();
  for (int layer = 0; layer < weight_layers_; ++layer) {
    auto& holders = holders_[static_cast<std::size_t>(layer)];
    auto& mine = experts_[static_cast<std::size_t>(layer)];
    const auto needed = needed_by(placements, layer);
    std::vector<Message> sends, receives;
    for (int expert = 0; expert < model_.experts; ++expert) {
      const auto e = static_cast<std::size_t>(expert);
      const auto& have = holders[e];
      for (const int rank : needed[e]) {
        if (std::binary_search(have.begin(), have.end(), rank)) continue;
        if (have.empty()) {
          if (rank == comm_.rank()) mine.emplace(expert, make(layer, expert));
          continue;
        }
        const int source = have[static_cast<std::size_t>(rank) % have.size()];
        ++report.experts_moved;
        report.bytes += static_cast<std::int64_t>(device_.expert_bytes());
        if (source == comm_.rank()) {
          Buffer& weights = mine.at(expert);
          sends.push_back({weights.as<char>(), weights.bytes(), rank, expert});
        }
        if (rank == comm_.rank()) {
          Buffer& weights =
              mine.emplace(expert, device_.allocate(device_.expert_bytes())).first->second;
          receives.push_back({weights.as<char>(), weights.bytes(), source, expert});
        }
      }
    }
    device_.send_weights(sends, receives);
    std::erase_if(mine, [&](const auto& held) {
      const auto& ranks = needed[static_cast<std::size_t>(held.first)];
      return !std::binary_search(ranks.begin(), ranks.end(), comm_.rank());
    });
    holders = needed;
  }
  report.seconds = comm_.max(wall_seconds() - begin);
  return report;
}

std::vector<const Buffer*> ExpertStore::slots(const Placement& placement, int layer) const {
  const auto& held = experts_[static_cast<std::size_t>(weight_layer(layer))];
  std::vector<const Buffer*> weights;
  for (const int expert : placement.on_rank(layer, comm_.rank())) {
    weights.push_back(expert < 0 ? nullptr : &held.at(expert));
  }
  return weights;
}

std::vector<const Buffer*> ExpertStore::shared(int layer) const {
  std::vector<const Buffer*> weights;
  for (const Buffer& expert : shared_[static_cast<std::size_t>(weight_layer(layer))]) {
    weights.push_back(&expert);
  }
  return weights;
}

std::size_t ExpertStore::bytes_held() const {
  std::size_t count = 0;
  for (const auto& layer : experts_) count += layer.size();
  for (const auto& layer : shared_) count += layer.size();
  return count * device_.expert_bytes();
}

Buffer& ExpertStore::held(int layer, int expert) {
  return experts_[static_cast<std::size_t>(weight_layer(layer))].at(expert);
}

}  // namespace gembench::inline dispatch
