#pragma once

#include <cstdint>
#include <vector>

#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// The least that an expert costs a rank over a range of loads. Measured curves may fall.
class ExpertCurves {
 public:
  /// A model `per-expert`, which must live as long. `extra` [rank] s: what an expert with tokens
  /// takes besides, where least_per_token is asked.
  ExpertCurves(const CostModel& cost, std::vector<double> extra);

  /// Least seconds of an expert with at least `tokens`, nothing besides.
  [[nodiscard]] double least_from(int rank, std::int64_t tokens) const;
  /// Least seconds a token of an expert with 1 .. `most` tokens; `most` >= 1.
  [[nodiscard]] double least_per_token(int rank, std::int64_t most) const;

 private:
  [[nodiscard]] double per_token(int rank, std::int64_t tokens) const;
  /// In [low, high], without a bend between them.
  [[nodiscard]] double least_between(int rank, std::int64_t low, std::int64_t high) const;

  const CostModel& cost_;
  std::vector<double> extra_;
  std::vector<std::int64_t> bends_;
  std::vector<double> up_to_;  // [rank][bend] least_per_token
};

}  // namespace gembench::inline cost
