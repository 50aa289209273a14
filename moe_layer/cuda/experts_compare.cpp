// Experts::compare(): which way to compute the products is right, and which is the fastest.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "moe_layer/cuda/experts.hpp"
#include "moe_layer/model/weights.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr int kRounds = 3;
constexpr std::size_t kMadeRows = 256;  // on the host; then they repeat
constexpr const char* kLt = "cublaslt";
constexpr const char* kAsGraph = "as a graph: ";
constexpr const char* kAlgorithms = " (cublaslt algorithms ";

/// So many pairs for experts, of which the first gets half, the next half of the rest, and the last
/// whatever is left; or all get as many.
std::vector<std::int32_t> spread(std::int64_t pairs, std::size_t experts, bool evenly) {
  std::vector<std::int32_t> counts;
  std::int64_t left = pairs;
  for (std::size_t i = 0; i < experts; ++i) {
    const auto others = static_cast<std::int64_t>(experts - i);
    const std::int64_t share = others == 1 ? left : evenly ? left / others : (left + 1) / 2;
    counts.push_back(static_cast<std::int32_t>(share));
    left -= share;
  }
  return counts;
}

std::string ranks(std::int64_t count) {
  return fmt::format("{} rank{}", count, count == 1 ? "" : "s");
}

/// "cublas: ...; cutlass: ..." of the ways of which `why` says something; "none".
template <class Why>
std::string by_way(const Why& why) {
  std::vector<std::string> words;
  for (std::size_t way = 0; way < ExpertProducts::names().size(); ++way) {
    const std::string text = why(way);
    if (!text.empty()) words.push_back(fmt::format("{}: {}", ExpertProducts::names()[way], text));
  }
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, "; "));
}

bool takes_lt(const ProductChoice& choice) {
  return std::ranges::any_of(choice.taken(),
                             [](std::size_t way) { return ExpertProducts::names()[way] == kLt; });
}

}  // namespace

void Experts::fill_rows(cudaStream_t stream, std::size_t rows) {
  const std::size_t width = sz(model_.hidden), made = std::min(rows, kMadeRows);
  std::vector<float> values(made * width);
  fill_input(values, 0, 0, 0, model_.hidden);
  std::vector<std::uint16_t> halves(dtype_ == DType::bf16 ? values.size() : 0);
  std::transform(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(halves.size()),
                 halves.begin(), to_bf16);
  const void* from = halves.empty() ? static_cast<const void*>(values.data()) : halves.data();
  for (std::size_t row = 0; row < rows; row += made) {
    const std::size_t bytes = std::min(made, rows - row) * width * element_;
    check(cudaMemcpyAsync(at_row(gathered_, row, model_.hidden), from, bytes,
                          cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync", at_);
  }
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
}

void Experts::forget_products(cudaStream_t stream, std::size_t pairs) {
  const std::size_t rows = std::min(pairs + 1, most_pairs_);
  const auto forget = [&](const Buffer& made, int width) {
    check(cudaMemsetAsync(made.as<void>(), ProductTrial::kForgotten, rows * sz(width) * element_,
                          stream),
          "cudaMemsetAsync", at_);
  };
  forget(both_, 2 * model_.ffn);
  forget(inner_, model_.ffn);
  forget(outputs_, model_.hidden);
}

template <class Attempt>
void Experts::attempt_each(const char* when, const Attempt& attempt) {
  // What a library refuses leaves its way out, and no rank waits for this one in a kernel.
  auto on_error = std::exchange(at_.on_error, nullptr);
  for (std::size_t way = 0; way < usable_.size(); ++way) {
    if (usable_[way] == 0) continue;
    std::string wrong;
    try {
      wrong = attempt(way);
    } catch (const Error& error) {
      wrong = error.what();
      static_cast<void>(cudaGetLastError());  // or CUTLASS takes it for its own
    }
    if (wrong.empty()) continue;
    failures_[way] = when + wrong;
    usable_[way] = 0;
  }
  at_.on_error = std::move(on_error);
}

std::vector<std::unique_ptr<RecordedWork>> Experts::record_ways(cudaStream_t stream) {
  std::vector<std::unique_ptr<RecordedWork>> recorded(usable_.size());
  attempt_each(kAsGraph, [&](std::size_t way) {
    recorded[way] = std::make_unique<RecordedWork>(
        stream, [&] { products_.run(way, stream, work_); }, at_);
    return std::string();
  });
  return recorded;
}

void Experts::launch(std::size_t way, cudaStream_t stream, bool recorded) {
  if (recorded) {
    recorded_[way]->launch(stream);
  } else {
    products_.run(way, stream, work_);
  }
}

void Experts::hold_against_reference(cudaStream_t stream, std::size_t pairs, bool recorded) {
  attempt_each(recorded ? kAsGraph : "", [&](std::size_t way) {
    forget_products(stream, pairs);
    launch(way, stream, recorded);
    if (trial_->right(stream, outputs_.as<void>(), pairs < most_pairs_)) return std::string();
    return fmt::format("wrong results for {} assignment{}", pairs, pairs == 1 ? "" : "s");
  });
}

void Experts::time_ways(cudaStream_t stream, std::vector<double>& seconds) {
  std::vector<double> least(seconds.size(), HUGE_VAL);
  for (int round = 0; round < kRounds; ++round) {  // in turns: clocks and heat change meanwhile
    attempt_each(wish_.graph ? kAsGraph : "", [&](std::size_t way) {
      const double time = trial_->seconds(stream, [&] { launch(way, stream, wish_.graph); });
      least[way] = std::min(least[way], time);
      return std::string();
    });
  }
  for (std::size_t way = 0; way < usable_.size(); ++way) {
    if (usable_[way] != 0) seconds[way] += least[way];
  }
}

void Experts::choose_algorithms(cudaStream_t stream, std::span<const Buffer* const> slots,
                                const Comm& comm, bool timed) {
  const auto& names = ExpertProducts::names();
  const auto way = sz(std::ranges::find(names, kLt) - names.begin());
  if (comm.min(usable_[way]) == 0) return;
  const auto filled =
      std::ranges::find_if(slots, [](const Buffer* slot) { return slot != nullptr; });
  std::array<Product, 2> samples;
  if (filled != slots.end()) {
    const int rows = static_cast<int>(most_pairs_);
    char* const weights = (*filled)->as<char>();
    check(cudaMemcpyAsync(inner_.as<void>(), gathered_.as<void>(),
                          sz(rows) * sz(std::min(model_.hidden, model_.ffn)) * element_,
                          cudaMemcpyDeviceToDevice, stream),
          "cudaMemcpyAsync", at_);
    samples[0] = {rows,    2 * model_.ffn,   model_.hidden, gathered_.as<void>(),
                  weights, both_.as<void>(), dtype_,        dtype_};
    samples[1] = {rows,
                  model_.hidden,
                  model_.ffn,
                  inner_.as<void>(),
                  weights + layout_.down,
                  outputs_.as<void>(),
                  dtype_,
                  dtype_};
  }
  LtProduct::Clock clock;
  if (timed) {
    clock = [&](const std::function<void()>& work) { return trial_->seconds(stream, work); };
  }
  const std::int64_t most = -comm.min(-static_cast<std::int64_t>(most_pairs_));
  if (products_.choose_algorithms(comm, most, samples, stream, clock)) return;
  usable_[way] = 0;
  failures_[way] = "it has no algorithm for some of these sizes";
}

void Experts::compare(cudaStream_t stream, std::span<const Buffer* const> slots, const Comm& comm) {
  if (!trial_) trial_ = std::make_unique<ProductTrial>(model_, dtype_, at_);
  const bool filled =
      std::ranges::any_of(slots, [](const Buffer* slot) { return slot != nullptr; });
  if (filled && most_pairs_ > 0) fill_rows(stream, most_pairs_);
  const auto try_anew = [&] {
    choose_algorithms(stream, slots, comm, true);
    auto timed = try_ways(stream, slots, comm, true);
    settle(comm);
    return timed;
  };
  auto earlier = take_earlier(stream, slots, comm);
  std::vector<ProductChoice::Timed> timed;
  if (earlier) {
    static_cast<void>(try_ways(stream, slots, comm, false));
    settle(comm);
    if (!can_take(comm, *earlier)) earlier.reset();  // one of its ways is wrong here
  }
  if (!earlier) timed = try_anew();
  trial_.reset();
  if (earlier) {
    choice_ = *earlier;
  } else if (wish_.name == "auto") {  // else it is fixed already
    choice_.decide(comm, timed, usable_);
  }
}

std::vector<ProductChoice::Timed> Experts::try_ways(cudaStream_t stream,
                                                    std::span<const Buffer* const> slots,
                                                    const Comm& comm, bool timed_too) {
  const auto sizes = ProductChoice::sizes_up_to(comm.min(static_cast<std::int64_t>(most_pairs_)));
  std::vector<std::size_t> filled;
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] != nullptr) filled.push_back(slot);
  }
  std::int64_t ways = 0;  // libraries may differ between nodes
  for (std::size_t way = 0; way < usable_.size(); ++way) ways += comm.min(usable_[way]);
  std::vector<std::int32_t> counts(slots.size());
  ExpertArgs args;
  args.slots = slots;
  args.pairs_to = counts;
  const auto fill = [&](std::size_t table, const std::vector<std::int32_t>& of_filled) {
    use_table(table);
    std::ranges::fill(counts, 0);
    for (std::size_t i = 0; i < of_filled.size(); ++i) counts[filled[i]] = of_filled[i];
    fill_table(stream, args);
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  };
  const auto use = [&](std::vector<std::int32_t> of_filled) {
    fill(wish_.graph ? 1 : 0, of_filled);
    trial_->expect(stream, work_, gathered_.as<void>());
    const std::size_t pairs = work_.pairs;
    hold_against_reference(stream, pairs, false);
    if (!wish_.graph) return;
    recorded_ = record_ways(stream);
    // As in a step, the next layer is recorded before this one runs: what a library reads late on
    // the host are fewer rows then.
    for (std::int32_t& count : of_filled) count = std::min(count, 1);
    fill(0, of_filled);
    const auto next = record_ways(stream);
    hold_against_reference(stream, pairs, true);
  };
  std::vector<ProductChoice::Timed> timed;
  for (const std::int64_t pairs : sizes) {
    auto& times = timed.emplace_back();
    times.pairs = pairs;
    times.seconds.assign(usable_.size(), 0);
    if (filled.empty()) continue;
    // A single expert with everything: its size of product may be a kernel of its own.
    use(spread(pairs, 1, true));
    for (const bool evenly : {false, true}) {
      const std::size_t experts = evenly ? std::min(filled.size(), sz(pairs)) : filled.size();
      use(spread(pairs, experts, evenly));
      if (timed_too && ways > 1) time_ways(stream, times.seconds);
    }
  }
  recorded_.clear();
  return timed;
}

void Experts::settle(const Comm& comm) {
  const auto& names = ExpertProducts::names();
  bool any = false;
  for (std::size_t way = 0; way < names.size(); ++way) {
    const bool wished = wish_.name == "auto" || wish_.name == names[way];
    if (!wished) continue;
    const std::int64_t without = comm.sum(products_.lack(way).empty() ? 0 : 1);
    const std::int64_t wrong = comm.sum(failures_[way].empty() ? 0 : 1);
    if (without == 0 && wrong == 0) any = true;
    if (without > 0 && products_.lack(way).empty()) {
      failures_[way] = fmt::format("{} cannot have it", ranks(without));
    } else if (wrong > 0 && failures_[way].empty()) {
      failures_[way] = fmt::format("it failed on {}", ranks(wrong));
    }
  }
  if (!any) {  // on all ranks
    throw Error(ExitCode::failed,
                fmt::format("GPU {} of rank {}: no way to compute the experts' products is right "
                            "({}): run jobs/gpu_check.sh, or try another --expert-products",
                            at_.gpu, at_.rank, failed()));
  }
}

bool Experts::can_take(const Comm& comm, const ProductChoice& choice) const {
  bool all = true;  // all ranks ask, since usable_ may differ
  for (const std::size_t way : choice.taken()) all = comm.min(usable_[way]) != 0 && all;
  return all;
}

std::optional<ProductChoice> Experts::take_earlier(cudaStream_t stream,
                                                   std::span<const Buffer* const> slots,
                                                   const Comm& comm) {
  const std::size_t at = wish_.earlier.find(kAlgorithms);
  ProductChoice earlier(ExpertProducts::names());
  if (!earlier.fix(wish_.earlier.substr(0, at)) || !can_take(comm, earlier)) return {};
  choose_algorithms(stream, slots, comm, false);
  if (!takes_lt(earlier)) return earlier;
  std::string algorithms;
  if (at != std::string::npos) {
    algorithms = wish_.earlier.substr(at + std::string_view(kAlgorithms).size());
    algorithms = algorithms.substr(0, algorithms.find(')'));
  }
  if (!can_take(comm, earlier) || !products_.take_algorithms(comm, algorithms)) return {};
  return earlier;
}

std::string Experts::way() const {
  const std::string algorithms = takes_lt(choice_) ? products_.algorithms() : std::string();
  return algorithms.empty() ? choice_.words()
                            : fmt::format("{}{}{})", choice_.words(), kAlgorithms, algorithms);
}

std::string Experts::failed() const {
  return by_way([&](std::size_t way) { return failures_[way]; });
}

std::string Experts::missing() const {
  return by_way([&](std::size_t way) { return products_.lack(way); });
}

}  // namespace gembench::inline cuda
