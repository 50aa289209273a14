#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "moe_layer/cuda/errors.hpp"
#include "moe_layer/cuda/experts.hpp"
#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/device/device.hpp"

namespace gembench::inline cuda {

/// A step as one CUDA graph, captured from a stream and instantiated anew for every step, since its
/// sizes change. Times come from the GPU's timer (%globaltimer), which kernels write down.
class StepGraphs final : public DeviceGraphs {
 public:
  StepGraphs(Experts& experts, Whereabouts& at);
  ~StepGraphs() override;
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  void reserve(int layers, int marks) override;
  void record(Stream stream) override;
  void keep(Stream stream) override;
  void stamp(Stream stream, int mark) override;
  void spin_since(Stream stream, int mark, double factor) override;
  void launch(Stream stream) override;
  std::span<const double> stamps() override;
  TimerOffset align() override;

  /// Where the time of a mark is written; null for none.
  [[nodiscard]] Stamp stamp_of(int mark) const;
  /// Seconds between two values that the timer can show, the least of some; 0 = not measured.
  [[nodiscard]] double timer_step() const { return step_; }
  /// Ends a recording and destroys the graphs: NCCL keeps what a graph holds of it as long as that.
  /// Throws nothing.
  void forget();

 private:
  /// Seconds of the timer since reserve(): a double of all its nanoseconds would lose some.
  [[nodiscard]] double seconds(std::uint64_t stamp) const;
  /// Copies some stamps to the host.
  void fetch(std::size_t first, std::size_t count);

  Experts& experts_;
  Whereabouts& at_;
  cudaStream_t own_ = nullptr;        // what is not part of a step
  cudaStream_t recording_ = nullptr;  // null: nothing is being recorded
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
  Buffer stamps_, host_stamps_;  // u64 [mark], and behind them those of an alignment
  std::vector<double> seconds_;  // [mark]
  std::uint64_t base_ = 0;
  double step_ = 0;
};

}  // namespace gembench::inline cuda
