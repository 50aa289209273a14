#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/comm.hpp"
#include "moe_layer/model.hpp"
#include "placement/placement.hpp"

namespace gembench {

/// Memory of a device, freed with this handle. Opaque: only the device looks inside.
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

/// A (token, expert) pair as it travels: 12 bytes of metadata.
struct Pair {
  std::int32_t row;   ///< row within the rows its sender sends to this rank
  std::int32_t slot;  ///< slot of the expert on the receiving rank
  float weight;       ///< gate weight
};

/// Untyped plain weights of one expert, row-major [in][out], as generated.
struct PlainExpert {
  std::vector<float> gate;  ///< [hidden][ffn]
  std::vector<float> up;    ///< [hidden][ffn]
  std::vector<float> down;  ///< [ffn][hidden]
};

/// route: RMSNorm, gate GEMM, softmax, top-k; replayed experts replace the gate's own choice.
struct RouteArgs {
  int tokens = 0;
  const Buffer* hidden_state = nullptr;  ///< f32 [token][hidden], the residual stream
  const Buffer* router = nullptr;        ///< as load_router made it
  const Buffer* replay = nullptr;        ///< u16 [token][k] or null: use the gate's choice
  std::size_t replay_offset = 0;         ///< bytes
  Buffer* normed = nullptr;              ///< out f32 [token][hidden]
  Buffer* payload = nullptr;             ///< out dtype [token][hidden]
  Buffer* logits = nullptr;              ///< out f32 [token][expert]
  Buffer* gate_ids = nullptr;            ///< out u16 [token][k], the gate's own choice
  Buffer* ids = nullptr;                 ///< out u16 [token][k], the experts used
  Buffer* weights = nullptr;             ///< out f32 [token][k], softmax over the k used experts
};

/// Sorts (token, expert) pairs by destination; a token is sent to a rank once.
struct PackArgs {
  int tokens = 0;
  const Buffer* payload = nullptr;
  const Buffer* ids = nullptr;
  const Buffer* weights = nullptr;
  const Buffer* homes = nullptr;  ///< Home [expert]
  Buffer* send_rows = nullptr;    ///< out dtype [row][hidden], by destination
  Buffer* send_pairs = nullptr;   ///< out Pair, by destination
  Buffer* row_token = nullptr;    ///< out i32 [row], local token
  Buffer* counts = nullptr;       ///< out i32 [rank][2]: rows, pairs for every destination
};

/// Grouped SwiGLU FFN over received rows; the outputs of one row's experts are weighted and summed.
struct ExpertArgs {
  std::span<const Buffer* const> slots;      ///< packed weights by slot, null = empty slot
  std::span<const std::int32_t> rows_from;   ///< [rank]
  std::span<const std::int32_t> pairs_from;  ///< [rank]
  const Buffer* rows = nullptr;              ///< dtype [row][hidden], by source
  const Buffer* pairs = nullptr;             ///< Pair, by source
  Buffer* sums = nullptr;                    ///< scratch f32 [row][hidden]
  Buffer* results = nullptr;                 ///< out dtype [row][hidden]
  Buffer* slot_tokens = nullptr;             ///< out i32 [slot]
};

/// Shared experts: dense SwiGLU over the rank's own tokens.
struct SharedArgs {
  int tokens = 0;
  std::span<const Buffer* const> experts;
  const Buffer* payload = nullptr;  ///< dtype [token][hidden]
  Buffer* sums = nullptr;           ///< out f32 [token][hidden]
};

/// Adds returned rows and shared outputs onto the residual stream, in f32.
struct CombineArgs {
  int tokens = 0;
  int rows = 0;
  const Buffer* returned = nullptr;   ///< dtype [row][hidden]
  const Buffer* row_token = nullptr;  ///< i32 [row]
  const Buffer* shared = nullptr;     ///< f32 [token][hidden] or null
  Buffer* hidden_state = nullptr;     ///< in/out f32 [token][hidden]
};

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
