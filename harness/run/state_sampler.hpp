#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "moe_layer/device/device_calls.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Reads the state of a rank's device again and again while it works, on a thread of its own:
/// before and after the steps it is idle, and its clock and throttling are not those of the work.
/// The thread sleeps between readings. Reads nothing more if the device reports nothing at first.
/// Readings cover all that the rank does meanwhile: moves, gathering, writing and checks too.
class StateSampler {
 public:
  using Read = std::function<std::optional<DeviceState>()>;
  static constexpr std::chrono::milliseconds kPeriod{50};

  explicit StateSampler(Read read, std::chrono::milliseconds period = kPeriod);
  ~StateSampler() { stop(); }
  StateSampler(const StateSampler&) = delete;
  StateSampler& operator=(const StateSampler&) = delete;

  /// Ends reading; none if the device reports no state. Energy and time need two readings.
  [[nodiscard]] std::optional<GpuUse> finish();

 private:
  void work(std::chrono::milliseconds period);
  void add(const DeviceState& state);
  void stop();

  Read read_;
  GpuUse use_;  // the thread's, until it has ended; means are sums
  std::int64_t clocks_ = 0, powers_ = 0, temperatures_ = 0;
  double first_seconds_ = 0, first_energy_ = 0;
  bool reports_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace gembench::inline run
