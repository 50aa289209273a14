#pragma once

#include <memory>
#include <span>
#include <vector>

#include "moe_layer/device/device.hpp"
#include "tests/bench/bare_experts.hpp"

namespace gembench::bench {

/// Experts of one rank, as the CPU device holds them and as plain oneDNN does, with the same
/// weights and rows.
class ExpertSides {
 public:
  /// `experts` of hidden x ffn, for up to so many tokens each.
  ExpertSides(const Comm& comm, int experts, int hidden, int ffn, int max_tokens);

  /// One row a (token, expert) pair: nothing is shared between experts, as the reference's rows.
  void prepare(int tokens);
  void ours() { device_->experts({}, args_); }
  BareExperts& bare() { return bare_; }
  /// Runs all of them and throws where they compute different things.
  void check();
  [[nodiscard]] DType dtype() const { return device_->dtype(); }

 private:
  /// The rows of every expert behind one another, as the reference takes them.
  [[nodiscard]] std::vector<float> by_expert() const;
  /// Largest difference between the last outputs of both sides, where values are about 1.
  [[nodiscard]] double difference() const;

  ModelShape model_;
  std::unique_ptr<Device> device_;  // first: it puts OpenMP, and so the reference, on one thread
  BareExperts bare_;
  std::vector<float> input_;
  std::vector<Buffer> weights_;
  std::vector<const Buffer*> slots_;
  Buffer rows_, pairs_, sums_, results_, slot_tokens_;
  int tokens_ = 0;
  std::int32_t count_ = 0;          // pairs, and so rows
  std::vector<std::int32_t> each_;  // [slot]
  ExpertArgs args_;
};

}  // namespace gembench::bench
