#include "moe_layer/cpu/gemm.hpp"

#include <omp.h>

#include <array>
#include <dnnl.hpp>
#include <optional>
#include <string>

namespace gembench::inline cpu {
namespace {

using dnnl::memory;
using dnnl::primitive_attr;

dnnl::engine& engine() {
  // One thread per rank: a rank represents one GPU, and thread CPU time counts one thread. Setting
  // OMP_NUM_THREADS in main() would be too late, since OpenMP reads it when it is loaded.
  static dnnl::engine the_engine = [] {
    omp_set_num_threads(1);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return the_engine;
}

memory::data_type type_of(DType dtype) {
  return dtype == DType::f32 ? memory::data_type::f32 : memory::data_type::bf16;
}

}  // namespace

/// The primitive for one number of rows, with its memory objects, which `arguments` share: run()
/// only swaps their pointers.
struct Kernel {
  dnnl::matmul matmul;
  memory a, b, c, factor, scratch;
  std::unordered_map<int, memory> arguments;
};

struct CpuGemm::State {
  int k = 0, n = 0;
  DType in{}, out{};
  Epilogue epilogue{};
  memory::desc packed;
  dnnl::stream stream{engine()};
  std::array<std::optional<Kernel>, kChunk + 1> kernels;  // [rows]
  memory shared_scratch;  // of all kernels, as large as the largest needs

  dnnl::matmul::primitive_desc describe(int m, const memory::desc& weights) const {
    const auto plain = memory::format_tag::ab;
    const memory::desc product({m, n}, type_of(out), plain);
    dnnl::post_ops after;
    if (epilogue == Epilogue::swish) {
#if DNNL_VERSION_MAJOR >= 3
      after.append_eltwise(dnnl::algorithm::eltwise_swish, 1.0F, 0.0F);
#else
      after.append_eltwise(1.0F, dnnl::algorithm::eltwise_swish, 1.0F, 0.0F);
#endif
    } else if (epilogue == Epilogue::multiply) {
      after.append_binary(dnnl::algorithm::binary_mul,
                          memory::desc({m, n}, memory::data_type::f32, plain));
    }
    primitive_attr attributes;
    attributes.set_post_ops(after);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const memory::desc rows({m, k}, type_of(in), plain);
#if DNNL_VERSION_MAJOR >= 3
    return {engine(), rows, weights, product, attributes};
#else
    return {dnnl::matmul::desc(rows, weights, product), attributes, engine()};
#endif
  }
};

CpuGemm::CpuGemm(int k, int n, DType in, DType out, Epilogue epilogue)
    : state_(std::make_unique<State>()) {
  state_->k = k;
  state_->n = n;
  state_->in = in;
  state_->out = out;
  state_->epilogue = epilogue;
  const memory::desc any({k, n}, type_of(in), memory::format_tag::any);
  state_->packed = state_->describe(kChunk, any).weights_desc();
  // Without AVX-512, oneDNN is fastest with plain rows. If these are a multiple of 512 bytes apart,
  // the rows that a kernel reads together fall into the same few sets of the L1 cache: half the
  // speed at n = 2048, a tenth less at n = 768. Padding of two cache lines between rows fixes it;
  // with one, the pairs of lines that are fetched together would not match what a kernel reads,
  // which costs a tenth at 8 tokens.
  constexpr int kHalfKib = 128, kTwoLines = 32;  // in f32, the type of all plain rows
  const memory::desc plain({k, n}, memory::data_type::f32, memory::format_tag::ab);
  if (state_->packed == plain && n % kHalfKib == 0) {
    state_->packed = memory::desc({k, n}, memory::data_type::f32, memory::dims{n + kTwoLines, 1});
  }
}

CpuGemm::~CpuGemm() = default;

std::size_t CpuGemm::packed_bytes() const {
  return state_->packed.get_size();
}

void CpuGemm::pack(const float* plain, void* packed) {
  const memory::desc from({state_->k, state_->n}, memory::data_type::f32, memory::format_tag::ab);
  // oneDNN takes a non-const pointer but only reads the source of a reorder.
  memory source(from, engine(), const_cast<float*>(plain));
  memory target(state_->packed, engine(), packed);
  dnnl::reorder(source, target).execute(state_->stream, source, target);
  state_->stream.wait();
}

void CpuGemm::make(int rows) {
  State& s = *state_;
  auto& kernel = s.kernels.at(static_cast<std::size_t>(rows));
  if (kernel) return;
  const auto plan = s.describe(rows, s.packed);
  const auto without_memory = [](const memory::desc& desc) {
    return memory(desc, engine(), DNNL_MEMORY_NONE);
  };
  const memory::desc factor({rows, s.n}, memory::data_type::f32, memory::format_tag::ab);
  const memory::desc scratch = plan.scratchpad_desc();
  kernel = Kernel{dnnl::matmul(plan),
                  without_memory(plan.src_desc()),
                  without_memory(plan.weights_desc()),
                  without_memory(plan.dst_desc()),
                  without_memory(factor),
                  without_memory(scratch),
                  {}};
  kernel->arguments = {{DNNL_ARG_SRC, kernel->a},
                       {DNNL_ARG_WEIGHTS, kernel->b},
                       {DNNL_ARG_DST, kernel->c},
                       {DNNL_ARG_SCRATCHPAD, kernel->scratch}};
  if (s.epilogue == Epilogue::multiply) {
    kernel->arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, kernel->factor);
  }
  if (!s.shared_scratch || scratch.get_size() > s.shared_scratch.get_desc().get_size()) {
    s.shared_scratch = memory(scratch, engine());
  }
}

void CpuGemm::prepare(std::span<const int> row_counts) {
  for (int rows = 0; rows <= kChunk; ++rows) {
    if (std::ranges::find(row_counts, rows) != row_counts.end()) {
      make(rows);
    } else {
      state_->kernels[static_cast<std::size_t>(rows)].reset();
    }
  }
}

int CpuGemm::kernels() const {
  return static_cast<int>(std::ranges::count_if(
      state_->kernels, [](const auto& kernel) { return kernel.has_value(); }));
}

void CpuGemm::run(int rows, const void* a, const void* packed, void* c, const float* factor) {
  make(rows);
  Kernel& kernel = *state_->kernels[static_cast<std::size_t>(rows)];
  kernel.a.set_data_handle(const_cast<void*>(a));
  kernel.b.set_data_handle(const_cast<void*>(packed));
  kernel.c.set_data_handle(c);
  if (state_->shared_scratch.get_desc().get_size() > 0) {
    kernel.scratch.set_data_handle(state_->shared_scratch.get_data_handle());
  }
  if (state_->epilogue == Epilogue::multiply) {
    kernel.factor.set_data_handle(const_cast<float*>(factor));
  }
  kernel.matmul.execute(state_->stream, kernel.arguments);
  state_->stream.wait();
}

const char* cpu_gemm_version() {
  static const std::string text = [] {
    const dnnl_version_t* version = dnnl_version();
    return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
           std::to_string(version->patch);
  }();
  return text.c_str();
}

namespace {

bool runs(dnnl::cpu_isa wanted) {
  const auto all = static_cast<int>(wanted);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & all) == all;
}

}  // namespace

bool cpu_has_bf16() {
  return runs(dnnl::cpu_isa::avx512_core_bf16);
}

bool cpu_has_tiles(DType dtype) {
  return dtype == DType::bf16 && runs(dnnl::cpu_isa::avx512_core_amx);
}

}  // namespace gembench::inline cpu
