#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/buffer.hpp"
#include "moe_layer/comm.hpp"
#include "moe_layer/device_calls.hpp"
#include "moe_layer/model.hpp"

namespace gembench {

/// The seam between the layer and what computes it. Calls enqueue on a stream and return; results
/// may be looked at after synchronize(). Nothing allocates after prepare().
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual std::string name() const = 0;  ///< e.g. "cpu: oneDNN 2.6.3 f32, .."
  [[nodiscard]] virtual DType dtype() const = 0;

  [[nodiscard]] virtual Buffer allocate(std::size_t bytes) = 0;  ///< environment error when full
  virtual void upload(Buffer& to, std::size_t offset, const void* from, std::size_t bytes) = 0;
  virtual void download(void* to, const Buffer& from, std::size_t offset, std::size_t bytes) = 0;
  [[nodiscard]] virtual Stream make_stream() = 0;
  virtual void synchronize(Stream stream) = 0;

  /// Makes every kernel that can be needed, before anything is timed, for up to `max_pairs`
  /// received (token, expert) pairs.
  virtual void prepare(std::size_t max_pairs) = 0;
  [[nodiscard]] virtual std::size_t expert_bytes() const = 0;  ///< one expert in its own layout
  virtual void load_expert(Buffer& to, const PlainExpert& plain) = 0;
  [[nodiscard]] virtual std::size_t router_bytes() const = 0;  ///< a layer's router, likewise
  virtual void load_router(Buffer& to, std::span<const float> plain) = 0;  ///< [hidden][expert]

  virtual void route(Stream stream, const RouteArgs& args) = 0;
  virtual void pack(Stream stream, const PackArgs& args) = 0;
  /// All-to-all of rows that lie in device buffers, ordered by rank.
  virtual void exchange(Stream stream, const Buffer& send, std::span<const std::int32_t> send_rows,
                        Buffer& recv, std::span<const std::int32_t> recv_rows,
                        std::size_t row_bytes) = 0;
  virtual void experts(Stream stream, const ExpertArgs& args) = 0;
  virtual void shared_experts(Stream stream, const SharedArgs& args) = 0;
  virtual void combine(Stream stream, const CombineArgs& args) = 0;
};

/// The CPU: oneDNN on one thread. `dtype` bf16 needs AVX-512 BF16: environment error otherwise.
[[nodiscard]] std::unique_ptr<Device> make_cpu_device(const Comm& comm, const ModelShape& model,
                                                      DType dtype);
/// bf16 where this CPU has it, else f32.
[[nodiscard]] DType best_cpu_dtype();

}  // namespace gembench
