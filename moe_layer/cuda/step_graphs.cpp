#include "moe_layer/cuda/step_graphs.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr double kNano = 1e-9;
constexpr std::size_t kRounds = 20;  // of an alignment

cudaStream_t handle(Stream stream) {
  return static_cast<cudaStream_t>(stream.handle);
}

}  // namespace

StepGraphs::StepGraphs(Experts& experts, Whereabouts& at) : experts_(experts), at_(at) {
  check(cudaStreamCreateWithFlags(&own_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags", at_);
}

StepGraphs::~StepGraphs() {
  forget();
  static_cast<void>(cudaStreamDestroy(own_));
}

void StepGraphs::forget() {
  if (recording_ != nullptr) {
    static_cast<void>(cudaStreamEndCapture(std::exchange(recording_, nullptr), &graph_));
  }
  if (executable_ != nullptr) {
    static_cast<void>(cudaGraphExecDestroy(std::exchange(executable_, nullptr)));
  }
  if (graph_ != nullptr) static_cast<void>(cudaGraphDestroy(std::exchange(graph_, nullptr)));
}

void StepGraphs::reserve(int layers, int marks) {
  experts_.reserve_tables(layers);
  const std::size_t bytes = (sz(marks) + kRounds) * sizeof(std::uint64_t);
  stamps_ = device_memory(bytes, at_);
  host_stamps_ = pinned_memory(bytes, at_);
  seconds_.resize(sz(marks));
  check(cuda::timer_step(own_, stamp_of(0)), "timer_step", at_);
  check(write_stamp(own_, stamp_of(1)), "write_stamp", at_);
  check(cuda::spin_since(own_, stamp_of(1), 0), "spin_since", at_);  // its first use
  fetch(0, 2);
  step_ = static_cast<double>(host_stamps_.as<std::uint64_t>()[0]) * kNano;
  base_ = host_stamps_.as<std::uint64_t>()[1];
}

Stamp StepGraphs::stamp_of(int mark) const {
  return mark == kNoMark ? nullptr : stamps_.as<unsigned long long>() + mark;
}

double StepGraphs::seconds(std::uint64_t stamp) const {
  return static_cast<double>(static_cast<std::int64_t>(stamp - base_)) * kNano;
}

void StepGraphs::fetch(std::size_t first, std::size_t count) {
  check(cudaMemcpyAsync(host_stamps_.as<void>(), stamps_.as<std::uint64_t>() + first,
                        count * sizeof(std::uint64_t), cudaMemcpyDeviceToHost, own_),
        "cudaMemcpyAsync", at_);
  check(cudaStreamSynchronize(own_), "cudaStreamSynchronize", at_);
}

void StepGraphs::record(Stream stream) {
  forget();
  experts_.begin_tables();
  // Other threads, which only ask NVML, may go on.
  check(cudaStreamBeginCapture(handle(stream), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture", at_);
  recording_ = handle(stream);
}

void StepGraphs::keep(Stream stream) {
  recording_ = nullptr;
  check(cudaStreamEndCapture(handle(stream), &graph_), "cudaStreamEndCapture", at_);
  check(cudaGraphInstantiate(&executable_, graph_, 0), "cudaGraphInstantiate", at_);
  experts_.send_tables(own_);
  check(cudaMemsetAsync(stamps_.as<void>(), 0, seconds_.size() * sizeof(std::uint64_t), own_),
        "cudaMemsetAsync", at_);
  check(cudaGraphUpload(executable_, own_), "cudaGraphUpload", at_);
  check(cudaStreamSynchronize(own_), "cudaStreamSynchronize", at_);
}

void StepGraphs::stamp(Stream stream, int mark) {
  check(write_stamp(handle(stream), stamp_of(mark)), "write_stamp", at_);
}

void StepGraphs::spin_since(Stream stream, int mark, double factor) {
  check(cuda::spin_since(handle(stream), stamp_of(mark), factor), "spin_since", at_);
}

void StepGraphs::launch(Stream stream) {
  check(cudaGraphLaunch(executable_, handle(stream)), "cudaGraphLaunch", at_);
}

std::span<const double> StepGraphs::stamps() {
  fetch(0, seconds_.size());
  const auto* stamps = host_stamps_.as<std::uint64_t>();
  if (std::find(stamps, stamps + seconds_.size(), 0U) != stamps + seconds_.size()) {
    throw std::logic_error("a step has passed a mark without a stamp");
  }
  std::transform(stamps, stamps + seconds_.size(), seconds_.begin(),
                 [this](std::uint64_t stamp) { return seconds(stamp); });
  return seconds_;
}

TimerOffset StepGraphs::align() {
  std::array<std::pair<double, double>, kRounds> around{};  // the host's readings
  for (std::size_t round = 0; round < kRounds; ++round) {
    around[round].first = wall_seconds();
    const std::size_t behind = seconds_.size() + round;  // the marks of a step
    check(write_stamp(own_, stamp_of(static_cast<int>(behind))), "write_stamp", at_);
    cudaError_t result = cudaErrorNotReady;
    while (result == cudaErrorNotReady) result = cudaStreamQuery(own_);  // sooner than a wait
    around[round].second = wall_seconds();
    check(result, "cudaStreamQuery", at_);
  }
  fetch(seconds_.size(), kRounds);
  TimerOffset best{0, HUGE_VAL, 0};
  for (std::size_t round = 0; round < kRounds; ++round) {
    const auto [begin, end] = around[round];
    const double error = (end - begin) / 2 + step_;
    if (error < best.error) {
      const double shown = seconds(host_stamps_.as<std::uint64_t>()[round]);
      best = {(begin + end) / 2 - shown, error, shown};
    }
  }
  return best;
}

}  // namespace gembench::inline cuda
