#pragma once

#include <memory>
#include <string>

#include "moe_layer/device/device_calls.hpp"

namespace gembench::inline cuda {

/// What the driver's management library says of one GPU. It is loaded when this is made; where
/// there is none, or it does not know the GPU, everything reads as not known.
class Nvml {
 public:
  /// `uuid`: "GPU-...".
  explicit Nvml(const std::string& uuid);
  /// Sets clocks free that lock_clocks() locked.
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  [[nodiscard]] DeviceState state() const;
  /// "580.65.06", or "not known".
  [[nodiscard]] std::string driver() const;
  /// Environment error with the remedy where it is not available.
  void lock_clocks(int mhz);

 private:
  struct Library;
  std::unique_ptr<Library> library_;
  void* device_ = nullptr;
  bool locked_ = false;
};

}  // namespace gembench::inline cuda
