#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "results/run_file.hpp"
#include "results/thinned_rows.hpp"

namespace gembench::inline run {

/// Reads the state of a rank's device again and again while it works, on a thread of its own:
/// before and after the steps it is idle, and its clock and throttling are not those of the work.
/// The thread sleeps between readings, and keeps off the CPU that its maker runs on if it may use
/// another. Asks a device that has no state at first (a CPU) no more. Readings cover all that the
/// rank does meanwhile: moves, gathering, writing and checks too.
class StateSampler {
 public:
  using Read = std::function<std::optional<DeviceState>()>;
  static constexpr std::chrono::milliseconds kPeriod{50};
  static constexpr std::size_t kMost = 16384;  ///< samples between two takings; more are thinned

  explicit StateSampler(Read read, std::chrono::milliseconds period = kPeriod);
  ~StateSampler() { stop(); }
  StateSampler(const StateSampler&) = delete;
  StateSampler& operator=(const StateSampler&) = delete;

  /// Whether the device reports a state at all; the same on all ranks.
  [[nodiscard]] bool reports() const { return reports_; }
  /// What finish() says begins now.
  void begin();
  /// The samples since the last call, by time, which is that of wall_seconds(). Throws what a
  /// reading has thrown.
  [[nodiscard]] std::vector<StateSample> take();
  /// Ends reading; none if the device reports no state. Energy and time need two readings.
  [[nodiscard]] std::optional<GpuUse> finish();

 private:
  void work(std::chrono::milliseconds period);
  void read_once();
  void add(const DeviceState& state, double now);
  void keep(const DeviceState& state, double before, double after);
  void stop();

  Read read_;
  bool reports_ = false;
  int makers_cpu_ = -1;
  std::mutex mutex_;  // of all below
  GpuUse use_;        // means are sums
  std::int64_t clocks_ = 0, powers_ = 0, temperatures_ = 0;
  double first_seconds_ = 0, first_energy_ = 0;
  std::vector<StateSample> samples_;
  ThinnedRows rows_{kMost};
  std::exception_ptr failure_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::thread thread_;  // last: it uses the others
};

/// Collective: the samples of all ranks, of which each has a number of its own, [rank] on rank 0.
[[nodiscard]] std::vector<std::vector<StateSample>> gather_samples(const Comm& comm,
                                                                   std::vector<StateSample> mine);

}  // namespace gembench::inline run
