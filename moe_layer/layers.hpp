#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "moe_layer/device/device.hpp"
#include "moe_layer/dispatch/expert_store.hpp"
#include "moe_layer/dispatch/forwarding.hpp"
#include "moe_layer/dispatch/replicas.hpp"
#include "moe_layer/dispatch/row_exchange.hpp"
#include "moe_layer/layer_reading.hpp"
#include "moe_layer/model/routing.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "moe_layer/mpi/progress.hpp"
#include "moe_layer/mpi/topology.hpp"
#include "moe_layer/step_graph.hpp"

namespace gembench::inline moe_layer {

/// Sizes and choices that stay the same during a run.
struct LayerOptions {
  Clock clock = Clock::wall;
  double slowdown = 1;  ///< emulated: this rank's compute takes this many times as long
  /// Steps run without barriers, waits and clock readings between phases, to measure the cost of
  /// those. Needs the wall clock and no slowdown.
  bool whole_steps = false;
  /// run_step() records the step, launches it once, and reads the times that the device stamped.
  /// Needs a device with graphs(), replayed experts and flat dispatch.
  bool graph = false;
  std::uint64_t seed = 0;
  int max_tokens = 0;  ///< local tokens of the largest step
  ReceiveLimits receive;
  std::optional<Topology> topology;  ///< none: as MPI finds it
  bool hierarchical = false;         ///< dispatch: a token crosses to a node once
  Progress* progress = nullptr;      ///< borrowed: the rank reports its progress there
};

/// The MoE layers of a model on this rank, run one after the other and read at every barrier.
/// All methods are collective unless said otherwise.
class MoeLayers {
 public:
  MoeLayers(const Comm& comm, Device& device, const ModelShape& model, ExpertStore& store,
            const LayerOptions& options);

  /// Uses a placement whose experts the store holds; `splitting` matters where it has replicas, and
  /// is not kept. Local.
  void use(const Placement& placement, const SplitSpec& splitting = {});
  /// Emulates another speed from the next phase on. Local.
  void set_slowdown(double slowdown) { options_.slowdown = slowdown; }
  /// Runs a layer with few to all tokens, untimed, on a device that needs it: nothing is then used
  /// for the first time in a measured step. Follows use(); a step has to be loaded afterwards.
  void rehearse();
  /// Prepares the input of a step and its tokens' experts ([layer][token][k]; empty: the router
  /// decides). Untimed. Local.
  void load_step(int step, TokenRange tokens, std::span<const std::uint16_t> ids);

  /// Runs all layers of the loaded step and returns the step's time on this rank. With whole_steps
  /// only that is timed, and readings hold counts only.
  double run_step(std::span<LayerReading> readings);
  /// How far off a start_time may be that was stamped on the device's timer, at most, in any step
  /// so far; seconds, 0 where nothing is stamped. Local.
  [[nodiscard]] double stamp_error() const { return graph_ == nullptr ? 0 : graph_->error(); }
  /// One layer of the loaded step; layers must run in order.
  LayerReading run_layer(int layer);

  /// What a layer costs on this rank whatever its experts receive: route and shared experts of the
  /// loaded step, seconds, stretched by the slowdown. Local.
  double time_overhead(int layer);

  // Results of the last run_layer, for recording and checking. Local.
  [[nodiscard]] std::vector<std::uint16_t> last_ids();       ///< [token][k] used
  [[nodiscard]] std::vector<std::uint16_t> last_gate_ids();  ///< [token][k] the router's own choice
  [[nodiscard]] std::vector<std::int32_t> last_slot_tokens();  ///< [slot] pairs computed
  [[nodiscard]] std::vector<float> hidden_state(int token);
  [[nodiscard]] std::vector<float> hidden_states();  ///< [token][hidden]
  [[nodiscard]] std::int64_t count_not_finite();     ///< NaN and infinities in all tokens' states
  [[nodiscard]] int tokens() const { return range_.count; }
  [[nodiscard]] TokenRange token_range() const { return range_; }

  /// Dispatch payload rows sent since the last clear, forwarded ones too, [layer][destination].
  [[nodiscard]] std::span<const std::int64_t> rows_to() const { return rows_to_; }
  void clear_rows_to() { rows_to_.assign(rows_to_.size(), 0); }
  [[nodiscard]] std::size_t row_bytes() const { return row_bytes_; }

 private:
  /// The phases in order, as in run_layer(), without clock readings.
  LayerReading run_unread(int layer);
  // A step as a graph.
  double run_graph(std::span<LayerReading> readings);
  /// The counts of all layers, from the step's replayed experts.
  void know_counts();
  void record();
  /// The same tokens' experts in every layer, as rehearse() has loaded them for one.
  void rehearse_graph(TokenRange tokens);
  /// Takes what is known of a layer of the graph, and puts it back.
  void exchange_known(int layer);
  [[nodiscard]] bool recording() const { return graph_ != nullptr && graph_->recording(); }
  [[nodiscard]] int mark(int layer, Mark mark) const {
    return recording() ? mark_of(layer, mark) : kNoMark;
  }
  /// Counts of the layer that ran last, into its reading and rows_to().
  void count(int layer, LayerReading& reading);
  /// Phase 0 .. 3 between two marks on the device's clock, and the wait for it.
  void run_phase(int phase, void (MoeLayers::*work)(int), int layer);
  /// Announces the beginning of a phase to the watchdog and to the device.
  void enter(Phase phase, int layer);
  // The phases only put work on the stream, except that dispatch waits for its counts.
  void route(int layer);
  void dispatch(int layer);
  /// The parts of dispatch: who sends how much to whom, with hierarchical dispatch the way to the
  /// forwarders and again who sends how much, and sending to the experts' ranks.
  void announce(int layer);
  void forward();
  void send();
  /// Of rehearse(), layer 0 with so many tokens on each rank, or its most: false, on all ranks, if
  /// some rank cannot hold what it would receive.
  bool rehearse(int tokens);
  /// Chooses the replicas that compute this rank's pairs; waits for the router, and with water-fill
  /// for the counts of all ranks.
  void choose_replicas(int layer);
  /// Of it, from the experts in host_ids_, which become physical slots.
  void share_among_replicas(int layer);
  void experts(int layer);
  void combine(int layer);
  /// Emulates a slower rank on the wall clock: keeps the device busy until the time since `begin`
  /// is stretched.
  void hold_back(double begin);

  const Comm& comm_;
  Topology topology_;
  Device& device_;
  DeviceClock* device_clock_;  // null: it has none
  ModelShape model_;
  ExpertStore& store_;
  LayerOptions options_;
  Stream stream_;
  std::size_t row_bytes_;
  std::size_t slots_ = 0;
  TokenRange range_;
  bool replaying_ = false;
  double previous_end_ = 0;

  std::vector<Buffer> routers_;                      // [layer]
  std::vector<Buffer> locations_;                    // [layer]; with replicas of physical slots
  std::vector<std::vector<const Buffer*>> experts_;  // [layer][slot]
  std::vector<std::vector<const Buffer*>> shared_;   // [layer][i]
  Buffer hidden_state_, replay_, normed_, payload_, logits_, gate_ids_, ids_, weights_;
  Buffer send_rows_, send_pairs_, row_token_, recv_rows_, recv_pairs_;
  Buffer sums_, results_, slot_tokens_, returned_, shared_sums_;
  std::unique_ptr<Forwarding> forwarding_;   // hierarchical dispatch only
  std::unique_ptr<ReplicaChoice> replicas_;  // of placements with replicas only
  Buffer physical_slots_;                    // u16 [token][k], in the place of ids_
  std::vector<std::uint16_t> host_ids_;
  std::vector<std::int32_t> own_counts_, all_counts_;  // [expert], [rank][expert]
  std::vector<Hop> hops_;  // in the order of dispatch: one, or to the nodes and within them
  std::vector<std::int64_t> rows_to_;

  std::unique_ptr<StepGraph> graph_;  // null: steps run in phases
};

}  // namespace gembench::inline moe_layer
