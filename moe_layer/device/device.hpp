#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/device/buffer.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/model/shape.hpp"
#include "moe_layer/model/weights.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline device {

/// A device's own clock for the work of numbered spans on a stream. A span is timed in pieces
/// between the host's waits: while the host waits for other ranks the device has nothing to do, and
/// that is not its time.
class DeviceClock {
 public:
  virtual ~DeviceClock() = default;
  /// Room for spans 0 .. count - 1.
  virtual void reserve_spans(int count) = 0;
  /// The calls between these two are the span's. Neither waits.
  virtual void begin_span(int span) = 0;
  virtual void end_span(Stream stream) = 0;
  /// Seconds of the device in a span that the stream has passed.
  [[nodiscard]] virtual double seconds_of(int span) = 0;
};

/// How a device's own timer relates to wall_seconds(): what to add to a stamp, in seconds, and how
/// far off that is at most.
struct TimerOffset {
  double seconds = 0;
  double error = 0;
  double timer = 0;  ///< what the timer showed then
};

/// Whole steps without the host: work is recorded before, launched at once, and passes numbered
/// marks whose times the device writes down itself. Between record() and keep() calls only record:
/// nothing runs, nothing waits and nothing may be allocated, and PackArgs::counts is empty.
class DeviceGraphs {
 public:
  virtual ~DeviceGraphs() = default;
  /// Room for steps of `layers` layers and marks 0 .. marks - 1; measures the timer.
  virtual void reserve(int layers, int marks) = 0;
  virtual void record(Stream stream) = 0;
  /// What was recorded can be launched, in the place of what was kept before.
  virtual void keep(Stream stream) = 0;
  /// Of a recorded step: the time at which all work so far is done.
  virtual void stamp(Stream stream, int mark) = 0;
  /// Of a recorded step: emulates a slower rank by keeping the stream busy until the time since
  /// `mark` is `factor` times as long.
  virtual void spin_since(Stream stream, int mark, double factor) = 0;
  virtual void launch(Stream stream) = 0;
  /// [mark] seconds of the device's timer, of the last launch; after synchronize().
  [[nodiscard]] virtual std::span<const double> stamps() = 0;
  /// Off the clock: the timer is read between two readings of the host, several times, and the
  /// fastest counts.
  [[nodiscard]] virtual TimerOffset align() = 0;
};

/// The middle of hierarchical dispatch on a device.
class DeviceForwarding {
 public:
  virtual ~DeviceForwarding() = default;
  /// Waits for the counts, as Device::pack() does.
  virtual void forward(Stream stream, const ForwardArgs& args) = 0;
  /// Follows the forward() of the same layer.
  virtual void merge(Stream stream, const MergeArgs& args) = 0;
};

/// The interface between the layer and the device that computes it. Calls enqueue work on a stream
/// and return. Results are valid after synchronize(), which is also needed between two calls of the
/// same kind. Nothing allocates after prepare().
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual std::string name() const = 0;  ///< e.g. "cpu: oneDNN 2.6.3 f32, ..."
  [[nodiscard]] virtual DType dtype() const = 0;
  /// Facts about this rank's device for the run's file, by name ("gpu_uuid"); the same names on
  /// every rank.
  [[nodiscard]] virtual std::map<std::string, std::string> facts() const { return {}; }
  /// Bytes that can still be allocated; 0 = the node's memory is the device's.
  [[nodiscard]] virtual std::size_t memory_left() const { return 0; }
  /// Whether several ranks may use one such device, as they may share a CPU.
  [[nodiscard]] virtual bool can_share() const { return true; }
  /// Collective: prepares sending to the other ranks.
  virtual void connect() {}
  /// The following work belongs to this phase: for a profiler's timeline and for error messages.
  virtual void enter([[maybe_unused]] const char* phase, [[maybe_unused]] int layer) {}

  // Optional features.
  /// Also from another thread, while the device works.
  [[nodiscard]] virtual std::optional<DeviceState> state() { return std::nullopt; }
  [[nodiscard]] virtual DeviceClock* clock() { return nullptr; }
  [[nodiscard]] virtual DeviceForwarding* forwarding() { return nullptr; }
  /// Null too where the host has a part in sending.
  [[nodiscard]] virtual DeviceGraphs* graphs() { return nullptr; }

  [[nodiscard]] virtual Buffer allocate(std::size_t bytes) = 0;  ///< environment error when full
  virtual void upload(Buffer& to, std::size_t offset, const void* from, std::size_t bytes) = 0;
  virtual void download(void* to, const Buffer& from, std::size_t offset, std::size_t bytes) = 0;
  [[nodiscard]] virtual Stream make_stream() = 0;
  virtual void synchronize(Stream stream) = 0;

  /// Creates the kernels and all internal memory that can be needed, before anything is timed.
  virtual void prepare(const LayerLimits& limits) = 0;
  /// Whether its first use of a call or a size is slower than the next, so that
  /// MoeLayers::rehearse() has to use each before anything is timed.
  [[nodiscard]] virtual bool needs_rehearsal() const { return false; }
  /// Collective, part of a rehearsal: measures which of its ways to compute experts is the fastest,
  /// with the weights of a layer, [slot].
  virtual void compare_ways([[maybe_unused]] Stream stream,
                            [[maybe_unused]] std::span<const Buffer* const> slots) {}
  /// Bytes that prepare() will take.
  [[nodiscard]] virtual std::size_t scratch_bytes(const LayerLimits& limits) const = 0;
  /// Whether experts() and merge() take sums.
  [[nodiscard]] virtual bool needs_sums() const { return true; }
  [[nodiscard]] virtual std::size_t expert_bytes() const = 0;  ///< one expert in its own layout
  virtual void load_expert(Buffer& to, const PlainExpert& plain) = 0;
  [[nodiscard]] virtual std::size_t router_bytes() const = 0;  ///< a layer's router, likewise
  virtual void load_router(Buffer& to, std::span<const float> plain) = 0;  ///< [hidden][expert]

  /// Untimed, but the device should not idle for long between steps: its clock and heat are part of
  /// what is measured.
  virtual void make_inputs(Stream stream, const InputArgs& args) = 0;
  virtual void route(Stream stream, const RouteArgs& args) = 0;
  /// The only call that waits: for the counts.
  virtual void pack(Stream stream, const PackArgs& args) = 0;
  /// All-to-all of all parts at once.
  virtual void exchange(Stream stream, std::span<const RowExchange> parts) = 0;
  virtual void experts(Stream stream, const ExpertArgs& args) = 0;
  virtual void shared_experts(Stream stream, const SharedArgs& args) = 0;
  /// Follows the pack() of the same layer.
  virtual void combine(Stream stream, const CombineArgs& args) = 0;

  /// Sends weights between ranks, untimed; every rank's messages to another rank are in the order
  /// in which that one receives them. Returns when all have arrived.
  virtual void send_weights(std::span<const Message> sends, std::span<const Message> receives) = 0;
  /// Keeps the stream busy, to emulate a slower rank.
  virtual void spin(Stream stream, double seconds) = 0;
};

}  // namespace gembench::inline device
