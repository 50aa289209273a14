#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/options.hpp"
#include "harness/workload.hpp"
#include "moe_layer/clock.hpp"
#include "moe_layer/layers.hpp"
#include "moe_layer/profiler.hpp"

namespace gembench {

/// What `run` and `profile` share: the model on its ranks, ready to run under the linear placement.
/// Construction is collective and makes sure that all ranks were started alike.
class Session {
 public:
  Session(const Comm& comm, const Options& options);

  /// Collective: a profile of all ranks, on every rank.
  [[nodiscard]] Profile measure_profile();
  /// "gpt-oss-20b/4: 8 layers, 32 experts, .."
  [[nodiscard]] std::string describe_model() const;

  const Comm& comm;
  const Options& options;
  ModelShape model;
  RankPlace place;
  Clock clock = Clock::wall;
  std::string clock_reason;
  std::vector<double> slowdown;  ///< [rank]
  Workload workload;             ///< on every rank
  std::unique_ptr<Device> device;
  std::unique_ptr<ExpertStore> store;
  std::unique_ptr<MoeLayers> layers;
  Placement linear;

 private:
  void require_same_options();
  void choose_clock();
  void load_workload();
  void require_memory();
  void record_gate();

  ReceiveLimits limits_;
};

}  // namespace gembench
