#include "tests/bench/bare_experts.hpp"

#include <algorithm>
#include <bit>
#include <dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "moe_layer/model/weights.hpp"

namespace gembench::bench {
namespace {

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;

constexpr auto kPlain = memory::format_tag::ab;
constexpr auto kF32 = memory::data_type::f32;

/// A matmul of m rows, and its operands expert by expert.
struct Product {
  dnnl::matmul matmul;
  std::vector<Arguments> arguments;
};

/// exp(x) for x <= 0 in a form that compilers vectorise; relative error below 1e-6.
inline float exp_of_negative(float x) {
  const float scaled = std::max(x, -87.0F) * 1.44269504F;
  const float whole = static_cast<float>(static_cast<int>(scaled - 0.5F));
  const float y = (scaled - whole) * 0.693147181F;
  const float series =
      1 + y * (1 + y * (0.5F + y * (1.0F / 6 + y * (1.0F / 24 + y * (1.0F / 120 + y / 720)))));
  return std::bit_cast<float>((static_cast<int>(whole) + 127) << 23) * series;
}

/// inner = swish(gate) * up from rows of [gate | up].
template <class T>
#if !defined(__clang__)  // which knows no clones of templates
[[gnu::target_clones("avx512f", "avx2", "default")]]
#endif
void swiglu(const float* both, T* inner, std::size_t rows, std::size_t ffn) {
  for (std::size_t row = 0; row < rows; ++row) {
    const float* gate = both + row * 2 * ffn;
    const float* up = gate + ffn;
    T* out = inner + row * ffn;
    for (std::size_t i = 0; i < ffn; ++i) {
      const float e = exp_of_negative(-std::abs(gate[i]));
      const float sigmoid = (gate[i] < 0 ? e : 1.0F) / (1 + e);
      const float value = gate[i] * sigmoid * up[i];
      if constexpr (std::is_same_v<T, float>) {
        out[i] = value;
      } else {
        out[i] = to_bf16(value);
      }
    }
  }
}

}  // namespace

struct BareExperts::State {
  int hidden = 0, ffn = 0;
  memory::data_type type{};
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  struct Expert {
    memory gate, up, down, both;  // packed
  };
  std::vector<Expert> experts;
  int rows = 0;
  memory input, swished, inner, output, both;
  Product gate, up, down, wide;

  dnnl::matmul::primitive_desc describe(int m, int k, int n, memory::data_type out,
                                        const dnnl::post_ops& after = {}) const {
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    const memory::desc from({m, k}, type, kPlain), weights({k, n}, type, memory::format_tag::any),
        to({m, n}, out, kPlain);
#if DNNL_VERSION_MAJOR >= 3
    return {engine, from, weights, to, attributes};
#else
    return {dnnl::matmul::desc(from, weights, to), attributes, engine};
#endif
  }
  memory pack(const std::vector<float>& plain, int k, int n) {
    const memory::desc from({k, n}, kF32, kPlain);
    memory source(from, engine, const_cast<float*>(plain.data()));
    memory packed(describe(256, k, n, kF32).weights_desc(), engine);
    dnnl::reorder(source, packed).execute(stream, source, packed);
    stream.wait();
    return packed;
  }
  /// The matmul, with the experts' weights in the layout it asks for.
  Product product(const dnnl::matmul::primitive_desc& plan, memory Expert::*weights,
                  const memory& from, const memory& to, bool from_moves, bool to_moves) {
    Product made{dnnl::matmul(plan), {}};
    for (std::size_t e = 0; e < experts.size(); ++e) {
      memory& held = experts[e].*weights;
      if (held.get_desc() != plan.weights_desc()) {
        memory packed(plan.weights_desc(), engine);
        dnnl::reorder(held, packed).execute(stream, held, packed);
        stream.wait();
        held = packed;
      }
      const auto at = [&](const memory& all, const memory::desc& one, bool moves) {
        auto* base = static_cast<char*>(all.get_data_handle());
        return memory(one, engine, base + (moves ? e * one.get_size() : 0));
      };
      made.arguments.push_back({{DNNL_ARG_SRC, at(from, plan.src_desc(), from_moves)},
                                {DNNL_ARG_WEIGHTS, held},
                                {DNNL_ARG_DST, at(to, plan.dst_desc(), to_moves)}});
    }
    return made;
  }
};

BareExperts::BareExperts(const ModelShape& model, DType dtype) : state_(std::make_unique<State>()) {
  state_->hidden = model.hidden;
  state_->ffn = model.ffn;
  state_->type = dtype == DType::f32 ? kF32 : memory::data_type::bf16;
}

BareExperts::~BareExperts() = default;

void BareExperts::add_expert(const PlainExpert& plain) {
  State& s = *state_;
  const auto hidden = static_cast<std::size_t>(s.hidden), ffn = static_cast<std::size_t>(s.ffn);
  std::vector<float> both(hidden * 2 * ffn);
  for (std::size_t row = 0; row < hidden; ++row) {
    std::copy_n(&plain.gate[row * ffn], ffn, &both[row * 2 * ffn]);
    std::copy_n(&plain.up[row * ffn], ffn, &both[row * 2 * ffn + ffn]);
  }
  s.experts.push_back({s.pack(plain.gate, s.hidden, s.ffn), s.pack(plain.up, s.hidden, s.ffn),
                       s.pack(plain.down, s.ffn, s.hidden), s.pack(both, s.hidden, 2 * s.ffn)});
}

void BareExperts::prepare(int tokens, std::span<const float> input) {
  State& s = *state_;
  s.rows = tokens;
  const auto matrix = [&](std::int64_t rows, int width, memory::data_type type) {
    return memory({{rows, width}, type, kPlain}, s.engine);
  };
  const std::int64_t all = static_cast<std::int64_t>(s.experts.size()) * tokens;
  s.input = matrix(all, s.hidden, s.type);
  s.output = matrix(all, s.hidden, kF32);
  s.swished = matrix(tokens, s.ffn, kF32);
  s.inner = matrix(tokens, s.ffn, s.type);
  s.both = matrix(tokens, 2 * s.ffn, kF32);
  memory given({{all, s.hidden}, kF32, kPlain}, s.engine, const_cast<float*>(input.data()));
  dnnl::reorder(given, s.input).execute(s.stream, given, s.input);
  s.stream.wait();
  dnnl::post_ops swish, times;
#if DNNL_VERSION_MAJOR >= 3
  swish.append_eltwise(dnnl::algorithm::eltwise_swish, 1.0F, 0.0F);
#else
  swish.append_eltwise(1.0F, dnnl::algorithm::eltwise_swish, 1.0F, 0.0F);
#endif
  times.append_binary(dnnl::algorithm::binary_mul, s.swished.get_desc());
  const int hidden = s.hidden, ffn = s.ffn;
  using Expert = State::Expert;
  s.gate = s.product(s.describe(tokens, hidden, ffn, kF32, swish), &Expert::gate, s.input,
                     s.swished, true, false);
  s.up = s.product(s.describe(tokens, hidden, ffn, s.type, times), &Expert::up, s.input, s.inner,
                   true, false);
  for (Arguments& arguments : s.up.arguments) {
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, s.swished);
  }
  s.down = s.product(s.describe(tokens, ffn, hidden, kF32), &Expert::down, s.inner, s.output, false,
                     true);
  s.wide = s.product(s.describe(tokens, hidden, 2 * ffn, kF32), &Expert::both, s.input, s.both,
                     true, false);
}

std::span<const float> BareExperts::output() const {
  const memory& output = state_->output;
  return {static_cast<const float*>(output.get_data_handle()),
          output.get_desc().get_size() / sizeof(float)};
}

void BareExperts::run_post_ops() {
  State& s = *state_;
  for (std::size_t e = 0; e < s.experts.size(); ++e) {
    s.gate.matmul.execute(s.stream, s.gate.arguments[e]);
    s.up.matmul.execute(s.stream, s.up.arguments[e]);
    s.down.matmul.execute(s.stream, s.down.arguments[e]);
  }
  s.stream.wait();
}

void BareExperts::run_wide() {
  State& s = *state_;
  for (std::size_t e = 0; e < s.experts.size(); ++e) {
    s.wide.matmul.execute(s.stream, s.wide.arguments[e]);
    const auto rows = static_cast<std::size_t>(s.rows), ffn = static_cast<std::size_t>(s.ffn);
    const auto* both = static_cast<const float*>(s.both.get_data_handle());
    if (s.type == kF32) {
      swiglu(both, static_cast<float*>(s.inner.get_data_handle()), rows, ffn);
    } else {
      swiglu(both, static_cast<std::uint16_t*>(s.inner.get_data_handle()), rows, ffn);
    }
    s.down.matmul.execute(s.stream, s.down.arguments[e]);
  }
  s.stream.wait();
}

}  // namespace gembench::bench
