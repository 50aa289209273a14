#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cuda {

/// Which of several ways to compute the experts' products is used for a load. Measured before a
/// run, since none is the fastest one at every load on every GPU.
class ProductChoice {
 public:
  /// Names of the ways, the one that stays where no other is clearly faster first.
  explicit ProductChoice(std::vector<std::string> names) : names_(std::move(names)) {}

  /// 1, 2, 4, ... and `most`; nothing below 1.
  [[nodiscard]] static std::vector<std::int64_t> sizes_up_to(std::int64_t most);

  /// The times of all ways on this rank, at one number of pairs.
  struct Timed {
    std::int64_t pairs = 0;
    std::vector<double> seconds;  ///< [way]
  };
  /// Collective, with the same pairs on all ranks. For each load the first way that is `usable`, or
  /// the fastest one where that is faster by at least 5 % in the sum of times over ranks: all take
  /// the same way, or some would be slow by it. At least one way must be usable.
  void decide(const Comm& comm, std::span<const Timed> timed, std::span<const std::uint8_t> usable);
  /// This way for every load.
  void fix(std::size_t way) { ranges_ = {{0, way}}; }
  /// The ranges that words() named; false, and nothing changes, if that says something else.
  [[nodiscard]] bool fix(const std::string& words);

  [[nodiscard]] bool decided() const { return !ranges_.empty(); }
  /// That of the largest load for those above it. Must be decided.
  [[nodiscard]] std::size_t way(std::int64_t pairs) const;
  /// Those that some load takes, each once.
  [[nodiscard]] std::vector<std::size_t> taken() const;
  /// "cublas-grouped up to 64 assignments, cutlass up to 4096 assignments"; a fixed one's name.
  [[nodiscard]] std::string words() const;

 private:
  struct Range {
    std::int64_t pairs = 0;  // up to; 0: any
    std::size_t way = 0;
  };
  std::vector<std::string> names_;
  std::vector<Range> ranges_;  // by pairs; empty: not decided
};

}  // namespace gembench::inline cuda
