#include "moe_layer/cuda/cuda_device.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/cuda/nccl_transport.hpp"
#include "moe_layer/model/weights.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

cudaStream_t handle(Stream stream) {
  return static_cast<cudaStream_t>(stream.handle);
}

/// "13.0.2" of 130002.
std::string cublas_version() {
  const int number = Gemm::version();
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

std::string step_of_timer(double seconds) {
  return seconds > 0 ? fmt::format("{:.3f} us", seconds * 1e6) : "not measured";
}

}  // namespace

CudaDevice::CudaDevice(const Comm& comm, const ModelShape& model, const CudaOptions& options)
    : comm_(comm),
      model_(model),
      dtype_(options.dtype),
      locked_mhz_(options.lock_clocks),
      gpu_(choose_gpu(comm.node_rank())),
      at_{.rank = comm.rank(), .gpu = gpu_.index, .phase = "start", .layer = -1, .on_error = {}},
      near_cpus_(gpu_.pci),
      nvml_(gpu_.uuid),
      spans_(at_),
      transport_({comm, spans_, at_},
                 transport_for(options.transport, MpiSession::is_cuda_aware())),
      experts_(model, dtype_, comm.size(),
               {options.expert_products, options.earlier_products, options.graph}, at_),
      forwarding_(model, dtype_, comm.size(), transport_, spans_, at_),
      graphs_(experts_, at_) {
  check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags",
        at_);
  check(cudaEventCreateWithFlags(&counted_, cudaEventDisableTiming), "cudaEventCreateWithFlags",
        at_);
  if (locked_mhz_ > 0) nvml_.lock_clocks(locked_mhz_);
}

CudaDevice::~CudaDevice() {
  if (in_range_) nvtxRangePop();
  for (const cudaStream_t stream : streams_) static_cast<void>(cudaStreamDestroy(stream));
  static_cast<void>(cudaEventDestroy(counted_));
  static_cast<void>(cudaStreamDestroy(copies_));
}

void CudaDevice::connect() {
  transport_.connect(copies_);
  if (!at_.on_error) return;
  at_.on_error = [this, release = at_.on_error] {
    graphs_.forget();
    release();
  };
}

std::string CudaDevice::name() const {
  return fmt::format("cuda: {}, {}, cuBLAS {} (experts by {}), {}", gpu_.name, name_of(dtype_),
                     cublas_version(), fmt::join(experts_.ways(), ", "), transport_.row().words());
}

std::map<std::string, std::string> CudaDevice::facts() const {
  return {{"gpu", gpu_.name},
          {"gpu_uuid", gpu_.uuid},
          {"gpu_cpus", near_cpus_.words()},
          {"gpu_event_floor", fmt::format("{:.2f} us", spans_.floor() * 1e6)},
          {"gpu_power", nvml_.power_source()},
          {"gpu_driver", nvml_.driver()},
          {"gpu_driver_cuda", gpu_.driver},
          {"cuda_toolkit", gpu_.toolkit},
          {"cublas", cublas_version()},
          {"expert_products", experts_.way()},
          {"expert_products_failed", experts_.failed()},
          {"expert_products_missing", experts_.missing()},
          {"nccl", nccl_version()},
          {"transport", transport_.row().words()},
          {"gpu_timer_step", step_of_timer(graphs_.timer_step())},
          {"locked_clocks", locked_mhz_ > 0 ? fmt::format("{} MHz", locked_mhz_) : "no"}};
}

std::size_t CudaDevice::memory_left() const {
  std::size_t left = 0, total = 0;
  return cudaMemGetInfo(&left, &total) == cudaSuccess ? std::max<std::size_t>(left, 1) : 0;
}

void CudaDevice::enter(const char* phase, int layer) {
  at_.phase = phase;
  at_.layer = layer;
  char text[64];
  *fmt::format_to_n(text, sizeof text - 1, "layer {} {}", layer, phase).out = '\0';
  if (in_range_) nvtxRangePop();
  nvtxRangePushA(text);
  in_range_ = true;
}

void CudaDevice::end_span(Stream stream) {
  spans_.end(handle(stream));
}

Buffer CudaDevice::allocate(std::size_t bytes) {
  return device_memory(bytes, at_);
}

void CudaDevice::upload(Buffer& to, std::size_t offset, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to.as<char>() + offset, from, bytes, cudaMemcpyHostToDevice, copies_),
        "cudaMemcpyAsync", at_);
  check(cudaStreamSynchronize(copies_), "cudaStreamSynchronize", at_);
}

void CudaDevice::download(void* to, const Buffer& from, std::size_t offset, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from.as<char>() + offset, bytes, cudaMemcpyDeviceToHost, copies_),
        "cudaMemcpyAsync", at_);
  check(cudaStreamSynchronize(copies_), "cudaStreamSynchronize", at_);
}

Stream CudaDevice::make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags",
        at_);
  streams_.push_back(stream);
  return {stream};
}

void CudaDevice::synchronize(Stream stream) {
  spans_.close(handle(stream));
  transport_.synchronize(handle(stream));
}

std::size_t CudaDevice::counts_bytes(const LayerLimits& limits) const {
  // A rank may get every expert; hierarchical dispatch names the slots of a node.
  const std::size_t slots = sz(model_.experts) * sz(std::max(1, limits.forwarded.node_ranks));
  return sz(comm_.size()) * (2 + slots) * sizeof(std::int32_t);
}

std::size_t CudaDevice::chunk_bytes(const LayerLimits& limits) const {
  return 2 * sz(comm_.size()) * sz(chunks_of(static_cast<int>(limits.tokens))) *
         sizeof(std::int32_t);
}

std::size_t CudaDevice::scratch_bytes(const LayerLimits& limits) const {
  return experts_.scratch_bytes(limits) + forwarding_.scratch_bytes(limits) + counts_bytes(limits) +
         chunk_bytes(limits) + (limits.tokens * sz(comm_.size()) + 1) * sizeof(std::int32_t);
}

void CudaDevice::prepare(const LayerLimits& limits) {
  counts_ = device_memory(counts_bytes(limits), at_);
  host_counts_ = pinned_memory(counts_bytes(limits), at_);
  token_row_ = device_memory(limits.tokens * sz(comm_.size()) * sizeof(std::int32_t), at_);
  row_count_ = device_memory(sizeof(std::int32_t), at_);
  chunk_counts_ = device_memory(chunk_bytes(limits), at_);
  most_rows_sent_ = limits.tokens * sz(std::min(model_.topk, comm_.size()));
  const std::size_t row = sz(model_.hidden) * size_of(dtype_);
  // Dispatch sends rows and pairs; combine sends what dispatch received.
  const std::size_t out = most_rows_sent_ * row + limits.tokens * sz(model_.topk) * sizeof(Pair);
  const std::size_t in = limits.rows * row + limits.pairs * sizeof(Pair);
  const std::size_t most = std::max({out, in, forwarding_.most_exchanged(limits)});
  transport_.prepare(most, most);
  experts_.prepare(limits);
  forwarding_.prepare(limits);
  measure_spin();
  spans_.calibrate(copies_);
}

void CudaDevice::compare_ways(Stream stream, std::span<const Buffer* const> slots) {
  experts_.compare(handle(stream), slots, comm_);
}

/// A launch and the wait for it also take time.
void CudaDevice::measure_spin() {
  constexpr int kRounds = 10;
  double least = 1;
  for (int round = 0; round < kRounds; ++round) {
    const double begin = wall_seconds();
    check(cuda::spin(copies_, 0), "spin", at_);
    check(cudaStreamSynchronize(copies_), "cudaStreamSynchronize", at_);
    least = std::min(least, wall_seconds() - begin);
  }
  spin_overhead_ = least;
}

void CudaDevice::spin(Stream stream, double seconds) {
  constexpr double kNano = 1e-9;
  if (seconds > spin_overhead_) {
    const auto ns = static_cast<std::uint64_t>((seconds - spin_overhead_) / kNano);
    check(cuda::spin(handle(stream), ns), "spin", at_);
    return;
  }
  const double until = wall_seconds() + seconds;  // too short for a launch
  while (wall_seconds() < until) {
  }
}

void CudaDevice::load_expert(Buffer& to, const PlainExpert& plain) {
  const ExpertLayout layout = expert_layout(model_, dtype_);
  packed_.assign(layout.bytes, 0);
  const std::size_t hidden = sz(model_.hidden), ffn = sz(model_.ffn);
  const auto put = [&](std::size_t offset, std::size_t at, const float* from, std::size_t n) {
    if (dtype_ == DType::f32) {
      std::memcpy(packed_.data() + offset + at * sizeof(float), from, n * sizeof(float));
      return;
    }
    auto* halves = reinterpret_cast<std::uint16_t*>(packed_.data() + offset) + at;
    std::transform(from, from + n, halves, to_bf16);
  };
  for (std::size_t h = 0; h < hidden; ++h) {
    put(0, 2 * h * ffn, &plain.gate[h * ffn], ffn);
    put(0, (2 * h + 1) * ffn, &plain.up[h * ffn], ffn);
  }
  put(layout.down, 0, plain.down.data(), plain.down.size());
  upload(to, 0, packed_.data(), packed_.size());
}

std::size_t CudaDevice::router_bytes() const {
  return sz(model_.hidden) * sz(model_.experts) * sizeof(float);
}

void CudaDevice::load_router(Buffer& to, std::span<const float> plain) {
  upload(to, 0, plain.data(), plain.size_bytes());
}

/// The first kernel of a phase stamps its begin; without tokens there is none.
void CudaDevice::stamp_without_work(Stream stream, int tokens, int mark) {
  if (tokens == 0 && mark != kNoMark) graphs_.stamp(stream, mark);
}

void CudaDevice::make_inputs(Stream stream, const InputArgs& args) {
  const InputStream inputs = input_stream(args.seed, args.step);
  const Filling filling{args.first_token, args.tokens, model_.hidden,
                        inputs.key,       inputs.step, args.hidden_state->as<float>()};
  check(fill_inputs(handle(stream), filling), "fill_inputs", at_);
}

void CudaDevice::route(Stream stream, const RouteArgs& args) {
  spans_.open(handle(stream));
  stamp_without_work(stream, args.tokens, args.mark);
  check(
      norm_rows(handle(stream), dtype_, args.tokens, model_.hidden, args.hidden_state->as<float>(),
                args.normed->as<float>(), args.payload->as<void>(), graphs_.stamp_of(args.mark)),
      "norm_rows", at_);
  experts_.gemm().run(handle(stream),
                      {args.tokens, model_.experts, model_.hidden, args.normed->as<void>(),
                       args.router->as<void>(), args.logits->as<void>(), DType::f32, DType::f32});
  Choice choice{};
  choice.tokens = args.tokens;
  choice.experts = model_.experts;
  choice.topk = model_.topk;
  choice.logits = args.logits->as<float>();
  if (args.replay != nullptr) {
    choice.replay =
        reinterpret_cast<const std::uint16_t*>(args.replay->as<char>() + args.replay_offset);
  }
  choice.gate_ids = args.gate_ids->as<std::uint16_t>();
  choice.ids = args.ids->as<std::uint16_t>();
  choice.weights = args.weights->as<float>();
  check(choose_experts(handle(stream), choice), "choose_experts", at_);
}

// The counts are on their way to the host while the rows are still being put in order.
void CudaDevice::pack(Stream stream, const PackArgs& args) {
  spans_.open(handle(stream));
  Packing packing{};
  packing.tokens = args.tokens;
  packing.topk = model_.topk;
  packing.ranks = comm_.size();
  packing.slots = args.slots;
  packing.ids = args.ids->as<std::uint16_t>();
  packing.weights = args.weights->as<float>();
  packing.locations = args.locations->as<Location>();
  packing.counts = counts_.as<std::int32_t>();
  packing.chunk_counts = chunk_counts_.as<std::int32_t>();
  packing.pairs = args.send_pairs->as<Pair>();
  packing.row_token = args.row_token->as<std::int32_t>();
  packing.token_row = token_row_.as<std::int32_t>();
  packing.rows = row_count_.as<std::int32_t>();
  packing.stamp = graphs_.stamp_of(args.mark);
  check(count_pairs(handle(stream), packing), "count_pairs", at_);
  if (!args.counts.empty()) {
    check(cudaMemcpyAsync(host_counts_.as<void>(), counts_.as<void>(), args.counts.size_bytes(),
                          cudaMemcpyDeviceToHost, handle(stream)),
          "cudaMemcpyAsync", at_);
    check(cudaEventRecord(counted_, handle(stream)), "cudaEventRecord", at_);
  }
  check(place_pairs(handle(stream), packing), "place_pairs", at_);
  check(copy_rows(handle(stream), sz(model_.hidden) * size_of(dtype_),
                  sz(args.tokens) * sz(std::min(model_.topk, comm_.size())), packing.rows,
                  packing.row_token, args.payload->as<void>(), args.send_rows->as<void>()),
        "copy_rows", at_);
  if (args.counts.empty()) return;
  spans_.close(handle(stream));
  transport_.wait_for(counted_);
  std::memcpy(args.counts.data(), host_counts_.as<void>(), args.counts.size_bytes());
}

void CudaDevice::exchange(Stream stream, std::span<const RowExchange> parts) {
  spans_.open(handle(stream));
  transport_.exchange(handle(stream), parts);
}

void CudaDevice::experts(Stream stream, const ExpertArgs& args) {
  spans_.open(handle(stream));
  experts_.run(handle(stream), args, graphs_.stamp_of(args.mark));
}

void CudaDevice::shared_experts(Stream stream, const SharedArgs& args) {
  spans_.open(handle(stream));
  experts_.run_shared(handle(stream), args);
}

void CudaDevice::combine(Stream stream, const CombineArgs& args) {
  spans_.open(handle(stream));
  stamp_without_work(stream, args.tokens, args.mark);
  const Adding adding{args.tokens,
                      comm_.size(),
                      model_.hidden,
                      token_row_.as<std::int32_t>(),
                      args.returned->as<void>(),
                      args.shared != nullptr ? args.shared->as<float>() : nullptr,
                      args.hidden_state->as<float>(),
                      graphs_.stamp_of(args.mark)};
  check(add_rows(handle(stream), dtype_, adding), "add_rows", at_);
}

void CudaDevice::send_weights(std::span<const Message> sends, std::span<const Message> receives) {
  transport_.send_weights(copies_, sends, receives);
}

}  // namespace gembench::inline cuda
