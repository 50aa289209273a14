#pragma once

#include <cstddef>
#include <memory>

namespace gembench::inline device {

/// Memory of a device, freed with this handle. Opaque to all code except the device.
class Buffer {
 public:
  using Free = void (*)(void*);
  Buffer() : memory_(nullptr, nullptr) {}
  Buffer(void* memory, std::size_t bytes, Free free) : memory_(memory, free), bytes_(bytes) {}
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// Device address, for the device's own code and for transports that understand it.
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(memory_.get());
  }

 private:
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_ = 0;
};

/// A queue of a device: work put on one stream runs in order. A null handle is a device without
/// queues (the CPU), where every call has finished when it returns.
struct Stream {
  void* handle = nullptr;
};

}  // namespace gembench::inline device
