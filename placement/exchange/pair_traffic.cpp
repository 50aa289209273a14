#include "placement/exchange/pair_traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/objective.hpp"

namespace gembench::inline exchange {
namespace {

bool has_sources(const Trace& trace, int ranks) {
  return trace.sources == ranks && !trace.source_tokens.empty();
}

/// A layer of a placement, and derived data.
class Counting {
 public:
  Counting(const Trace& trace, const Placement& placement, const TokenSplit& split, int layer)
      : trace_(trace),
        split_(split),
        placement_(placement),
        layer_(layer),
        ranks_(placement.ranks),
        slots_(placement.slots),
        quota_(sz(ranks_) * sz(slots_)) {
    const auto cells = checked_product({ranks_, ranks_}, "the matrix of ranks");
    found_.tokens.assign(cells, 0);
    found_.choices.assign(cells, 0);
    found_.histogram.assign(quota_.size(), 0);
    found_.sources.assign(sz(ranks_), 0);
  }

  PairTraffic by_ids(int step) {
    std::vector<std::vector<std::size_t>> cells(sz(trace_.experts));  // the location of an expert
    for (std::size_t cell = 0; cell < quota_.size(); ++cell) {
      const auto e = placement_.on_rank(layer_, rank_of(cell))[cell % sz(slots_)];
      if (e >= 0) cells[sz(e)].push_back(cell);
    }
    const int tokens = trace_.tokens_in_step(step);
    std::vector<std::int32_t> counts(sz(trace_.experts));
    std::vector<std::size_t> next(sz(trace_.experts));
    std::vector<int> last_token(sz(ranks_), -1);
    for (int source = 0, token = 0; source < ranks_; ++source) {
      const int end = token + share(tokens, source);
      std::ranges::fill(counts, 0);
      for (int t = token; t < end; ++t)
        for (auto e : choices_of(step, t)) ++counts[e];
      split_.slot_loads(counts, layer_, quota_, source);
      add_quota(source);
      found_.sources[sz(source)] = end - token;
      std::ranges::fill(next, 0);
      for (; token < end; ++token)
        for (auto e : choices_of(step, token)) {
          while (quota_[cells[e][next[e]]] == 0) ++next[e];
          const auto cell = cells[e][next[e]];
          --quota_[cell];
          const int to = rank_of(cell);
          if (std::exchange(last_token[sz(to)], token) != token) found_.tokens[at(source, to)] += 1;
        }
    }
    return std::move(found_);
  }

  PairTraffic by_sources(std::span<const std::int32_t> loads) {
    for (int source = 0; source < ranks_; ++source) {
      const auto own = loads.subspan(sz(source) * sz(trace_.experts), sz(trace_.experts));
      std::int64_t pairs = 0;
      for (auto count : own) pairs += count;
      split_.slot_loads(own, layer_, quota_, source);
      add_quota(source);
      found_.sources[sz(source)] = pairs / trace_.topk;
      expect(source, static_cast<double>(pairs) / trace_.topk,
             static_cast<double>(pairs) / trace_.topk);
    }
    return std::move(found_);
  }

  /// Equal shares of every expert's tokens, dealt round and round the ranks.
  [[nodiscard]] std::vector<std::int32_t> equal_sources(int step) const {
    const auto tokens = trace_.loads(step, layer_);
    std::vector<std::int32_t> loads(sz(ranks_) * tokens.size());
    for (std::size_t expert = 0, next = 0; expert < tokens.size(); ++expert) {
      const auto each = tokens[expert] / ranks_, more = tokens[expert] % ranks_;
      for (std::size_t source = 0; source < sz(ranks_); ++source)
        loads[source * tokens.size() + expert] = each;
      for (int i = 0; i < more; ++i, next = (next + 1) % sz(ranks_))
        ++loads[next * tokens.size() + expert];
    }
    return loads;
  }

  PairTraffic by_counts(int step) {
    if (split_.depends_on_source()) return by_sources(equal_sources(step));
    const int tokens = trace_.tokens_in_step(step);
    split_.slot_loads(trace_.loads(step, layer_), layer_, quota_);
    // Dealt round and round the ranks, so that all send equally many, the first ones one more.
    int next = 0;
    for (std::size_t cell = 0; cell < quota_.size(); ++cell) {
      found_.histogram[cell] = quota_[cell];
      const auto more = static_cast<int>(quota_[cell] % ranks_);
      for (int source = 0; source < ranks_; ++source) {
        const int turn = (source - next + ranks_) % ranks_;
        found_.choices[at(source, rank_of(cell))] += quota_[cell] / ranks_ + (turn < more ? 1 : 0);
      }
      next = (next + more) % ranks_;
    }
    for (int source = 0; source < ranks_; ++source) {
      found_.sources[sz(source)] = share(tokens, source);
      expect(source, share(tokens, source), tokens);
    }
    return std::move(found_);
  }

 private:
  [[nodiscard]] int rank_of(std::size_t cell) const { return static_cast<int>(cell / sz(slots_)); }
  [[nodiscard]] std::size_t at(int source, int to) const {
    return sz(source) * sz(ranks_) + sz(to);
  }
  [[nodiscard]] int share(int tokens, int source) const {
    return tokens / ranks_ + (source < tokens % ranks_ ? 1 : 0);
  }
  [[nodiscard]] std::span<const std::uint16_t> choices_of(int step, int token) const {
    return trace_.ids(step, token).subspan(sz(layer_) * sz(trace_.topk), sz(trace_.topk));
  }
  void add_quota(int source) {
    for (std::size_t cell = 0; cell < quota_.size(); ++cell) {
      found_.choices[at(source, rank_of(cell))] += quota_[cell];
      found_.histogram[cell] += quota_[cell];
    }
  }
  /// `tokens` of a source of which every slot gets its share quota / of; independent of each other.
  void expect(int source, double tokens, double of) {
    if (of == 0) return;
    for (int to = 0; to < ranks_; ++to) {
      double absent = 1;  // chance that a token needs nothing there
      for (int slot = 0; slot < slots_; ++slot)
        absent *=
            std::max(0.0, 1 - static_cast<double>(quota_[sz(to) * sz(slots_) + sz(slot)]) / of);
      found_.tokens[at(source, to)] = tokens * (1 - absent);
    }
  }

  const Trace& trace_;
  const TokenSplit& split_;
  const Placement& placement_;
  int layer_, ranks_, slots_;
  std::vector<std::int64_t> quota_;  // [cell] of the source at hand
  PairTraffic found_;
};

}  // namespace

PairTraffic pair_traffic(const Trace& trace, const Placement& placement, const TokenSplit& split,
                         int step, int layer) {
  require_same_shape(trace, placement);
  if (layer < 0 || layer >= trace.layers)
    throw usage_error(fmt::format("the trace has no layer {}; it has {}", layer, trace.layers));
  if (step < 0 || step >= trace.steps)
    throw usage_error(fmt::format("the trace has no step {}; it has {}", step, trace.steps));
  Counting counting(trace, placement, split, layer);
  if (trace.has_ids()) return counting.by_ids(step);
  if (has_sources(trace, placement.ranks))
    return counting.by_sources(trace.source_loads(step, layer));
  return counting.by_counts(step);
}

std::string_view traffic_basis(const Trace& trace, int ranks) {
  if (trace.has_ids())
    return "from the experts of every token; tokens belong to ranks in order, in equal shares";
  if (has_sources(trace, ranks)) return "from recorded counts of every source rank";
  return "from counts, assuming that every rank has an equal share of every expert's tokens";
}

}  // namespace gembench::inline exchange
