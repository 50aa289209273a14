#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/cli/options.hpp"
#include "harness/run/layout.hpp"
#include "harness/run/segments.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/layers.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/profiler/profiler.hpp"

namespace gembench::inline run {

/// Collective: usage error on all ranks unless they were started alike; `options` as to_json().
void require_same_start(const Comm& comm, const std::string& options);

/// What `run` and `profile` share: the model on its ranks, ready to run under the linear placement.
/// Construction is collective. On simulated ranks nothing runs: weights and layers are left out.
class Session : public Layout {
 public:
  /// `placed_slots`: as make_layout(). `earlier_resident`: of the part of the run that this goes on
  /// with, whether all experts stayed in memory; `earlier_products`: as make_device(). The same on
  /// every rank.
  Session(const Comm& comm, const SessionOptions& options, Progress& progress, int placed_slots = 0,
          std::optional<bool> earlier_resident = {}, const std::string& earlier_products = {});

  /// Collective: a profile of all ranks, on rank 0; at these loads only, or those it finds and some
  /// that the trace planned on routes. Leaves
  /// the linear placement in use. `kept`: what throw_if_stopped() is to say; empty: it goes on.
  [[nodiscard]] MeasuredProfile measure_profile(const std::string& kept,
                                                const std::vector<std::int64_t>& load_points = {});
  /// Collective: a profile of this load alone, in as many rounds as --profile-seconds hold.
  [[nodiscard]] MeasuredProfile measure_load(const std::string& kept, std::int64_t load);
  /// Collective: what predicts from here on, decided on rank 0 from the profile there, or taken
  /// from an earlier part of the run (kind and reason).
  void choose_cost(const Profile& profile, const std::vector<std::string>& earlier);
  /// This rank's tokens of a measured step.
  [[nodiscard]] TokenRange tokens_of(int measured_step) const {
    return tokens_of(measured_step, comm.rank());
  }
  [[nodiscard]] TokenRange tokens_of(int measured_step, int rank) const;
  /// Of what the host times: the profile, and steps but for those that are graphs.
  [[nodiscard]] Clock host_clock() const {
    return clock == Clock::gpu_stamps ? Clock::wall : clock;
  }
  /// Bytes of a token on its way to another rank.
  [[nodiscard]] std::size_t row_bytes() const;
  /// As profiles name it.
  [[nodiscard]] std::string shape_name() const;
  /// "gpt-oss-20b/4: 8 layers, 32 experts, ..."
  [[nodiscard]] std::string describe_model() const;

  const Comm& comm;
  const SessionOptions& options;
  Progress& progress;
  RankPlace place;
  Sharing sharing = Sharing::nothing;  ///< of CPUs, between ranks of a node; not of GPUs
  Clock clock = Clock::wall;           ///< of steps
  std::string clock_reason;
  Workload workload;        ///< on every rank
  Alternation alternation;  ///< how placements take turns
  std::unique_ptr<Device> device;
  std::unique_ptr<ExpertStore> store;  ///< none on simulated ranks
  std::unique_ptr<MoeLayers> layers;   ///< none on simulated ranks
  CostKind cost = CostKind::sum;       ///< what plans and predicts, once it is chosen
  std::string cost_reason;             ///< why, for people
  std::string profile_source;          ///< where what is planned with comes from, for people
  std::size_t memory_needed = 0;       ///< bytes this rank is expected to need
  std::size_t memory_resident = 0;     ///< the same with the experts of all placements in memory
  std::size_t memory_moving = 0;       ///< and with those of one
  double load_seconds = 0;             ///< making or reading the loads took

 private:
  [[nodiscard]] int most_tokens() const;
  [[nodiscard]] LayerOptions layer_options();
  [[nodiscard]] MeasuredProfile measure(const std::string& kept, ProfileOptions how);
  [[nodiscard]] ProfileOptions profile_options(const std::vector<std::int64_t>& load_points);
  void choose_clock();
  void load_workload();
  void make_layers();
  void require_memory(std::optional<bool> earlier_resident);
  void record_router(const char* kept);

  ReceiveLimits limits_;
};

}  // namespace gembench::inline run
