#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <vector>

#include "moe_layer/cuda/errors.hpp"

namespace gembench::inline cuda {

/// The GPU's time in spans of a stream, by events. An event on a stream without work runs at once,
/// so a pair around everything would also time how long the host waits for other ranks, and how
/// long the first launch takes to arrive. So a span consists of pieces, each from its first call to
/// the host's next wait, and what a pair of events shows around an empty kernel is taken off each.
///
/// Still in it: gaps where the host launches more slowly than the GPU works.
class Spans {
 public:
  explicit Spans(Whereabouts& at) : at_(at) {}
  ~Spans();
  Spans(const Spans&) = delete;
  Spans& operator=(const Spans&) = delete;

  void reserve(int count);
  /// Measures what is taken off, by launches on an empty stream.
  void calibrate(cudaStream_t stream);
  /// Seconds that a pair of events shows around an empty kernel.
  [[nodiscard]] double floor() const { return floor_; }

  void begin(int span);
  /// Work of the span follows on the stream. Nothing outside of a span, or within a piece.
  void open(cudaStream_t stream);
  /// The host is about to wait for the stream.
  void close(cudaStream_t stream);
  void end(cudaStream_t stream);
  /// After the stream has passed it.
  [[nodiscard]] double seconds(int span);

 private:
  // Dispatch: replicas' ids, packing, sending, MPI's rows; hierarchical: forwarding with the first
  // hop's rows, and the second hop like the first.
  static constexpr int kPieces = 6;
  struct Span {
    std::array<cudaEvent_t, 2 * std::size_t{kPieces}> events = {};
    int pieces = 0;
  };
  [[nodiscard]] double between(cudaEvent_t from, cudaEvent_t to);

  Whereabouts& at_;
  std::vector<Span> spans_;
  Span* span_ = nullptr;
  bool open_ = false;
  double floor_ = 0;
};

}  // namespace gembench::inline cuda
