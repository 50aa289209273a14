#include "moe_layer/cuda/spans.hpp"

#include <algorithm>

#include "moe_layer/cuda/kernels.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {

Spans::~Spans() {
  for (const Span& span : spans_) {
    for (const cudaEvent_t event : span.events) static_cast<void>(cudaEventDestroy(event));
  }
}

void Spans::reserve(int count) {
  while (spans_.size() < sz(count)) {
    for (cudaEvent_t& event : spans_.emplace_back().events) {
      check(cudaEventCreate(&event), "cudaEventCreate", at_);
    }
  }
  span_ = nullptr;  // it may have moved
}

double Spans::between(cudaEvent_t from, cudaEvent_t to) {
  constexpr double kMilli = 1e-3;
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, from, to), "cudaEventElapsedTime", at_);
  return milliseconds * kMilli;
}

void Spans::calibrate(cudaStream_t stream) {
  constexpr int kRounds = 100;
  reserve(1);
  floor_ = 0;
  std::array<double, kRounds> seconds{};
  for (double& round : seconds) {
    begin(0);
    open(stream);
    check(spin(stream, 0), "spin", at_);
    end(stream);
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
    round = this->seconds(0);
  }
  std::ranges::nth_element(seconds, seconds.begin() + kRounds / 2);
  floor_ = seconds[kRounds / 2];
}

void Spans::begin(int span) {
  span_ = &spans_[sz(span)];
  span_->pieces = 0;
  open_ = false;
}

void Spans::open(cudaStream_t stream) {
  if (span_ == nullptr || open_ || span_->pieces == kPieces) return;
  check(cudaEventRecord(span_->events[2 * sz(span_->pieces)], stream), "cudaEventRecord", at_);
  open_ = true;
}

void Spans::close(cudaStream_t stream) {
  if (!open_) return;
  check(cudaEventRecord(span_->events[2 * sz(span_->pieces) + 1], stream), "cudaEventRecord", at_);
  ++span_->pieces;
  open_ = false;
}

void Spans::end(cudaStream_t stream) {
  close(stream);
  span_ = nullptr;
}

double Spans::seconds(int span) {
  const Span& timed = spans_[sz(span)];
  double sum = 0;
  for (std::size_t piece = 0; piece < sz(timed.pieces); ++piece) {
    const double seconds = between(timed.events[2 * piece], timed.events[2 * piece + 1]);
    sum += std::max(seconds - floor_, 0.0);
  }
  return sum;
}

}  // namespace gembench::inline cuda
