#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cuda {

/// Which of the two ways to compute the experts' products is used for a load: all in one call of
/// cuBLAS, or a call for each. Measured before a run, since neither is the faster one at every load
/// on every GPU.
class ProductChoice {
 public:
  /// 1, 2, 4, ... and `most`; nothing below 1.
  [[nodiscard]] static std::vector<std::int64_t> sizes_up_to(std::int64_t most);
  /// Whether two bf16 results of the same sums in another order are the same, but for rounding.
  [[nodiscard]] static bool alike(std::span<const std::uint16_t> a,
                                  std::span<const std::uint16_t> b);

  /// The times of both ways on this rank, at one number of pairs.
  struct Timed {
    std::int64_t pairs = 0;
    double one_by_one = 0, grouped = 0;  ///< s
  };
  /// Collective, with the same pairs on all ranks. Grouped, unless one by one is faster by at least
  /// 5 % in the sum of times over ranks, or any rank got wrong results from the grouped call: all
  /// take the same way, or some would be slow by it.
  void decide(const Comm& comm, std::span<const Timed> timed, bool wrong);

  /// Grouped until it is decided.
  [[nodiscard]] bool groups(std::int64_t pairs) const;
  /// "grouped up to 64 assignments, one by one up to 4096 assignments"
  [[nodiscard]] std::string words() const;

 private:
  struct Way {
    std::int64_t pairs = 0;  // up to
    bool grouped = false;
  };
  std::vector<Way> ways_;  // by pairs; empty: not decided
  bool wrong_ = false;
};

}  // namespace gembench::inline cuda
