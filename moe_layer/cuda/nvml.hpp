#pragma once

#include <memory>
#include <string>

#include "moe_layer/device/device_calls.hpp"

namespace gembench::inline cuda {

/// Readings of one GPU by the driver's management library, which is loaded when this is
/// constructed. If it is missing or does not know the GPU, everything reads as unknown.
class Nvml {
 public:
  /// `uuid`: "GPU-...".
  explicit Nvml(const std::string& uuid);
  /// Unlocks clocks that lock_clocks() locked.
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  [[nodiscard]] DeviceState state() const;
  /// What DeviceState::power is, in words.
  [[nodiscard]] std::string power_source() const;
  /// "580.65.06", or "not known".
  [[nodiscard]] std::string driver() const;
  /// Environment error with the remedy where it is not available.
  void lock_clocks(int mhz);

 private:
  struct Library;
  std::unique_ptr<Library> library_;
  void* device_ = nullptr;
  bool locked_ = false, instant_power_ = false;
};

}  // namespace gembench::inline cuda
