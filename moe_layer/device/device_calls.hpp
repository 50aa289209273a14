#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "moe_layer/device/buffer.hpp"

/// The calls of the layer to a device: one struct of arguments per call. Buffers are borrowed;
/// shapes are row-major with the last index fastest; "dtype" is the device's payload type.
namespace gembench::inline device {

/// Of no time to be written down; else the mark (DeviceGraphs) that the call's first work passes.
inline constexpr int kNoMark = -1;

/// An assignment as it is sent: 16 bytes of metadata, since NCCL copies what is not a multiple of
/// 16 byte by byte. The pairs of a row are contiguous.
struct alignas(16) Pair {
  std::int32_t row;         ///< row within the rows its sender sends to this rank
  std::int32_t slot;        ///< slot of the expert on the receiving rank
  float weight;             ///< gate weight
  std::int32_t unused = 0;  ///< sent, so never left undefined
};

/// Hierarchical dispatch: the most rows that pass through a rank in one layer. None in flat
/// dispatch.
struct ForwardLimits {
  std::int64_t received = 0;  ///< from the ranks it forwards for
  std::int64_t sent = 0;      ///< on to the ranks of its node
  int node_ranks = 0;         ///< of the largest node
};

/// The largest layer that a device is prepared for.
struct LayerLimits {
  std::size_t tokens = 0;  ///< of this rank
  std::size_t rows = 0;    ///< received, at the end of dispatch
  std::size_t pairs = 0;   ///< received, likewise
  ForwardLimits forwarded = {};
};

/// The state of a device as it reports it. NaN or -1 = not reported.
struct DeviceState {
  double clock = std::numeric_limits<double>::quiet_NaN();         ///< of the compute units, Hz
  double memory_clock = std::numeric_limits<double>::quiet_NaN();  ///< Hz
  double power = std::numeric_limits<double>::quiet_NaN();         ///< W
  double temperature = std::numeric_limits<double>::quiet_NaN();   ///< degree Celsius
  std::int64_t throttle_reasons = -1;                              ///< NVML's bit mask, 0 = none
  double energy = std::numeric_limits<double>::quiet_NaN();        ///< J, since some time before
};

/// The inputs of a step's tokens, with the bits that fill_input() makes.
struct InputArgs {
  std::uint64_t seed = 0;
  int step = 0;
  int first_token = 0;
  int tokens = 0;
  Buffer* hidden_state = nullptr;  ///< out f32 [token][hidden]
};

/// route: RMSNorm, router GEMM, softmax, top-k; replayed experts replace the router's own choice.
struct RouteArgs {
  int tokens = 0;
  const Buffer* hidden_state = nullptr;  ///< f32 [token][hidden], the residual stream
  const Buffer* router = nullptr;        ///< as load_router made it
  const Buffer* replay = nullptr;        ///< u16 [token][k] or null: use the router's choice
  std::size_t replay_offset = 0;         ///< bytes
  Buffer* normed = nullptr;              ///< out f32 [token][hidden]
  Buffer* payload = nullptr;             ///< out dtype [token][hidden]
  Buffer* logits = nullptr;              ///< out f32 [token][expert]
  Buffer* gate_ids = nullptr;            ///< out u16 [token][k], the router's own choice
  Buffer* ids = nullptr;                 ///< out u16 [token][k], the experts used
  Buffer* weights = nullptr;             ///< out f32 [token][k], softmax over the k used experts
  int mark = kNoMark;
};

/// Sorts (token, expert) pairs by destination; a token is sent to a rank once.
struct PackArgs {
  int tokens = 0;
  int slots = 0;  ///< of a rank
  const Buffer* payload = nullptr;
  const Buffer* ids =
      nullptr;  ///< u16 [token][k]: experts, or physical slots where there are replicas
  const Buffer* weights = nullptr;
  const Buffer* locations = nullptr;  ///< Location by what `ids` holds
  Buffer* send_rows = nullptr;        ///< out dtype [row][hidden], by destination
  Buffer* send_pairs = nullptr;       ///< out Pair, by destination
  Buffer* row_token = nullptr;        ///< out i32 [row], local token
  /// Out, on the host, [rank][2 + slots]: rows, pairs, and the pairs of every slot there. Empty:
  /// they are known (count_sends), and nothing waits for them.
  std::span<std::int32_t> counts;
  int mark = kNoMark;
};

/// Rows for every rank, ordered by rank, that lie in device buffers.
struct RowExchange {
  const Buffer* send = nullptr;
  std::span<const std::int32_t> send_rows;  ///< [rank]
  Buffer* recv = nullptr;
  std::span<const std::int32_t> recv_rows;  ///< [rank]
  std::size_t row_bytes = 0;
};

/// Hierarchical dispatch: forwards what arrived for ranks of this node, each row once per rank. A
/// received pair's slot counts over the node: local rank * slots + slot.
struct ForwardArgs {
  int slots = 0;                             ///< of a rank
  std::span<const int> ranks;                ///< [local rank] of this node
  std::span<const std::int32_t> rows_from;   ///< [rank]
  std::span<const std::int32_t> pairs_from;  ///< [rank]
  const Buffer* rows = nullptr;              ///< dtype [row][hidden], by source
  const Buffer* pairs = nullptr;             ///< Pair, by source
  Buffer* send_rows = nullptr;               ///< out dtype [row][hidden], by destination
  Buffer* send_pairs = nullptr;              ///< out Pair, by destination
  Buffer* row_source = nullptr;              ///< out i32 [row], received row
  std::span<std::int32_t> counts;            ///< out as of PackArgs
};

/// The way back: results of the rows that a received row was forwarded as, summed in f32.
struct MergeArgs {
  int returned_rows = 0;
  int rows = 0;
  const Buffer* returned = nullptr;    ///< dtype [returned row][hidden]
  const Buffer* row_source = nullptr;  ///< i32 [returned row], as forward made it
  Buffer* sums = nullptr;              ///< scratch f32 [row][hidden], if needs_sums()
  Buffer* results = nullptr;           ///< out dtype [row][hidden]
};

/// Grouped SwiGLU FFN over received rows; the outputs of one row's experts are weighted and summed.
struct ExpertArgs {
  std::span<const Buffer* const> slots;      ///< packed weights by slot, null = empty slot
  std::span<const std::int32_t> rows_from;   ///< [rank]
  std::span<const std::int32_t> pairs_from;  ///< [rank]
  std::span<const std::int32_t> pairs_to;    ///< [slot], as the senders counted them
  const Buffer* rows = nullptr;              ///< dtype [row][hidden], by source
  const Buffer* pairs = nullptr;             ///< Pair, by source
  Buffer* sums = nullptr;                    ///< scratch f32 [row][hidden], if needs_sums()
  Buffer* results = nullptr;                 ///< out dtype [row][hidden]
  Buffer* slot_tokens = nullptr;             ///< out i32 [slot], as found in `pairs`
  int mark = kNoMark;
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
  int mark = kNoMark;
};

}  // namespace gembench::inline device
