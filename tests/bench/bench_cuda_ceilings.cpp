// What this GPU and its libraries can do at best, and what calls cost: what times are judged by.
#include <cublas_v2.h>

#include <array>
#include <functional>

#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/model/weights.hpp"
#include "placement/base/index.hpp"
#include "tests/bench/cuda_bench.hpp"

namespace gembench::bench {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class Ceilings {
 public:
  Ceilings(const Comm& comm, const Effort& effort)
      : comm_(comm),
        effort_(effort),
        device_(make_gpu(comm, scaled(find_model("gpt-oss-20b"), 32))),
        side_(effort.quick() ? 64 : 8192) {
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    for (cudaEvent_t& event : events_) require(cudaEventCreate(&event), "cudaEventCreate");
    require(cublasCreate(&handle_), "cublasCreate");
    require(cublasSetStream(handle_, stream_), "cublasSetStream");
  }
  ~Ceilings() {
    static_cast<void>(cublasDestroy(handle_));
    for (cudaEvent_t event : events_) static_cast<void>(cudaEventDestroy(event));
    static_cast<void>(cudaStreamDestroy(stream_));
  }
  Ceilings(const Ceilings&) = delete;
  Ceilings& operator=(const Ceilings&) = delete;

  /// Bytes are read once and written once, and both count.
  void copy() {
    const std::size_t bytes = std::size_t{1} << (effort_.quick() ? 16 : 30);
    Buffer from = device_->allocate(bytes), to = device_->allocate(bytes);
    require(cudaMemsetAsync(from.as<char>(), 1, bytes, stream_), "cudaMemsetAsync");
    const double seconds = gpu_seconds([&] {
      require(
          cudaMemcpyAsync(to.as<char>(), from.as<char>(), bytes, cudaMemcpyDeviceToDevice, stream_),
          "cudaMemcpyAsync");
    });
    print(fmt::format("device copy of {} KiB, read + written", bytes / 1024),
          2e-9 * static_cast<double>(bytes) / seconds, "GB/s");
  }

  /// A GPU at its limit of power multiplies zeros faster: both in turn, each for a second, of which
  /// the first half, while clocks settle, is not counted.
  void products() {
    const std::size_t side = sz(side_), bytes = side * side * 2;
    Buffer random = device_->allocate(bytes), zeros = device_->allocate(bytes);
    Buffer out = device_->allocate(bytes);
    require(cudaMemsetAsync(zeros.as<char>(), 0, bytes, stream_), "cudaMemsetAsync");
    require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    std::vector<float> values(side * std::min(side, std::size_t{256}));
    fill_input(values, 1, 0, 0, side_);
    std::vector<std::uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), to_bf16);
    for (std::size_t at = 0; at < bytes; at += halves.size() * 2) {
      device_->upload(random, at, halves.data(), halves.size() * 2);
    }
    std::array<std::vector<double>, 2> seconds;
    for (int turn = 0; turn < (effort_.quick() ? 1 : 5); ++turn) {
      for (const std::size_t which : {std::size_t{0}, std::size_t{1}}) {
        const void* in = which == 0 ? random.as<char>() : zeros.as<char>();
        const double begin = wall_seconds();
        const double warm = effort_.quick() ? 0 : 0.5, end = effort_.quick() ? 0 : 1;
        double passed = 0;
        do {
          const double took = burst_seconds([&] { multiply(in, out.as<char>()); });
          if (passed >= warm) seconds[which].push_back(took);
          passed = wall_seconds() - begin;
        } while (passed < end || seconds[which].empty());
      }
    }
    const double flop = 2.0 * side_ * side_ * side_;
    const char* names[] = {"random values", "zeros"};
    for (const std::size_t which : {std::size_t{0}, std::size_t{1}}) {
      print(fmt::format("bf16 product, side {}, {}", side_, names[which]),
            1e-12 * flop / median(seconds[which]), "TFLOP/s");
    }
  }

  void calls() {
    const auto launch = [&] { require(cuda::spin(stream_, 0), "spin"); };
    const auto wait = [&] { require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); };
    launch();
    wait();
    print("launch of a kernel, of many in a row", host_us(launch, wait, 200), "us");
    print("launch and wait", host_us([&] { launch(), wait(); }, [] {}, 20), "us");
    print("asking whether an idle stream is done",
          host_us([&] { static_cast<void>(cudaStreamQuery(stream_)); }, [] {}, 200), "us");
    print("recording an event",
          host_us([&] { require(cudaEventRecord(events_[0], stream_), "cudaEventRecord"); }, wait,
                  200),
          "us");
    // Behind a kernel, so that both are recorded when the GPU gets to them.
    std::vector<double> pairs;
    for (int i = 0; i < (effort_.quick() ? 3 : 101); ++i) {
      require(cuda::spin(stream_, effort_.quick() ? 0 : 100000), "spin");
      for (cudaEvent_t event : events_) require(cudaEventRecord(event, stream_), "cudaEventRecord");
      wait();
      pairs.push_back(elapsed() * 1e6);
    }
    print("two events with nothing between", median(pairs), "us");
  }

  /// Stamps are what a step that is a graph is timed by.
  void graphs() {
    constexpr int kStamps = 100;
    Buffer stamp = device_->allocate(sizeof(unsigned long long));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    require(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
            "cudaStreamBeginCapture");
    for (int i = 0; i < kStamps; ++i) {
      require(cuda::write_stamp(stream_, stamp.as<unsigned long long>()), "write_stamp");
    }
    require(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
    require(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
    const auto launch = [&] { require(cudaGraphLaunch(executable, stream_), "cudaGraphLaunch"); };
    const auto wait = [&] { require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); };
    launch();
    wait();
    print(fmt::format("launch of a graph of {} stamps", kStamps), host_us(launch, wait, 1), "us");
    print("a stamp in a graph", gpu_seconds(launch) / kStamps * 1e6, "us");
    require(cudaGraphExecDestroy(executable), "cudaGraphExecDestroy");
    require(cudaGraphDestroy(graph), "cudaGraphDestroy");
  }

  void clock() {
    Buffer step = device_->allocate(sizeof(unsigned long long));
    require(cuda::timer_step(stream_, step.as<unsigned long long>()), "timer_step");
    require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    unsigned long long nanoseconds = 0;
    device_->download(&nanoseconds, step, 0, sizeof nanoseconds);
    print("least step of the GPU's timer", static_cast<double>(nanoseconds), "ns");
  }

 private:
  double elapsed() {
    float milliseconds = 0;
    require(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]), "cudaEventElapsedTime");
    return milliseconds * 1e-3;
  }

  /// Of a repetition, by events around several.
  double burst_seconds(const std::function<void()>& work) {
    const int repeats = effort_.quick() ? 1 : 10;
    require(cudaEventRecord(events_[0], stream_), "cudaEventRecord");
    for (int i = 0; i < repeats; ++i) work();
    require(cudaEventRecord(events_[1], stream_), "cudaEventRecord");
    require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    return std::max(elapsed() / repeats, 1e-9);
  }

  /// The median of some bursts, of which the first is not counted.
  double gpu_seconds(const std::function<void()>& work) {
    burst_seconds(work);
    std::vector<double> bursts;
    for (int i = 0; i < (effort_.quick() ? 1 : 21); ++i) bursts.push_back(burst_seconds(work));
    return median(bursts);
  }

  /// Of the host, a repetition of `work`; `after` is not timed.
  double host_us(const std::function<void()>& work, const std::function<void()>& after,
                 int repeats) {
    std::vector<double> us;
    for (int i = 0; i < (effort_.quick() ? 3 : 51); ++i) {
      const double begin = wall_seconds();
      for (int k = 0; k < repeats; ++k) work();
      us.push_back((wall_seconds() - begin) / repeats * 1e6);
      after();
    }
    return median(us);
  }

  void multiply(const void* in, void* out) {
    const float one = 1, zero = 0;
    require(cublasGemmEx(handle_, CUBLAS_OP_N, CUBLAS_OP_N, side_, side_, side_, &one, in,
                         CUDA_R_16BF, side_, in, CUDA_R_16BF, side_, &zero, out, CUDA_R_16BF, side_,
                         CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
            "cublasGemmEx");
  }

  /// Rank 0's.
  void print(const std::string& what, double value, const char* unit) {
    if (comm_.rank() != 0) return;
    fmt::print(R"({{"bench":"ceiling","shape":"{}","ranks":{},"device":"{}","value":{:.6g},)"
               R"("unit":"{}"}})"
               "\n",
               what, comm_.size(), device_->name(), value, unit);
    std::fflush(stdout);
  }

  const Comm& comm_;
  const Effort& effort_;
  std::unique_ptr<Device> device_;
  int side_;
  cudaStream_t stream_ = nullptr;
  std::array<cudaEvent_t, 2> events_ = {};
  cublasHandle_t handle_ = nullptr;
};

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  Ceilings ceilings(comm, effort);
  ceilings.copy();
  ceilings.products();
  ceilings.calls();
  ceilings.graphs();
  ceilings.clock();
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
