// The payload exchange against a bare MPI_Alltoallv, and dispatch + combine around it against the
// least code that does the same.
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/device/device.hpp"
#include "placement/base/index.hpp"
#include "tests/bench/minimal_dispatch.hpp"
#include "tests/bench/pairs.hpp"
#include "tests/bench/routed_step.hpp"

namespace gembench::bench {
namespace {

/// `rows` rows to every other rank, a rank's own bytes left out on both sides.
void time_exchange(const Comm& comm, const Effort& effort, int rows, std::size_t row_bytes) {
  const std::size_t ranks = sz(comm.size());
  std::vector<std::int32_t> counts(ranks, rows);
  counts[sz(comm.rank())] = 0;
  const std::size_t bytes = sz(rows) * row_bytes * (ranks - 1);
  std::vector<char> send(bytes, static_cast<char>(comm.rank() + 1)), ours_in(bytes), bare_in(bytes);

  std::vector<int> byte_counts(ranks), byte_at(ranks);
  for (std::size_t r = 0; r < ranks; ++r) byte_counts[r] = counts[r] * static_cast<int>(row_bytes);
  std::exclusive_scan(byte_counts.begin(), byte_counts.end(), byte_at.begin(), 0);
  const auto ours = [&] {
    comm.all_to_all_rows(send.data(), counts, ours_in.data(), counts, row_bytes);
  };
  const auto reference = [&] {
    MPI_Alltoallv(send.data(), byte_counts.data(), byte_at.data(), MPI_BYTE, bare_in.data(),
                  byte_counts.data(), byte_at.data(), MPI_BYTE, MPI_COMM_WORLD);
  };
  ours();
  reference();
  if (ours_in != bare_in) throw std::runtime_error("both sides received different bytes");
  compare(comm, effort, "exchange", fmt::format("{} rows of {} B to each", rows, row_bytes), ours,
          reference);
}

/// pack, counts, both exchanges, the way back and combine, as MoeLayers calls them; results are the
/// received rows themselves.
class OurDispatch {
 public:
  OurDispatch(const Comm& comm, const ModelShape& model, const RoutedStep& step,
              std::span<const float> x, std::span<const float> weights)
      : comm_(comm), device_(make_cpu_device(comm, model, DType::f32)) {
    const std::size_t ranks = sz(comm.size()), tokens = sz(step.range.count);
    row_bytes_ = sz(model.hidden) * sizeof(float);
    const std::size_t sent = tokens * std::min(sz(model.topk), ranks);
    const auto filled = [&](const void* from, std::size_t bytes) {
      Buffer made = device_->allocate(bytes);
      device_->upload(made, 0, from, bytes);
      return made;
    };
    const std::vector<Location> all = locations(step.placement);
    payload_ = filled(x.data(), x.size_bytes());
    ids_ = filled(step.ids.data(), step.ids.size() * sizeof(std::uint16_t));
    weights_ = filled(weights.data(), weights.size_bytes());
    locations_ = filled(all.data(), all.size() * sizeof(Location));
    const std::vector<float> zeros(x.size(), 0.0F);
    sums_ = filled(zeros.data(), x.size_bytes());
    send_rows_ = device_->allocate(sent * row_bytes_);
    returned_ = device_->allocate(sent * row_bytes_);
    send_pairs_ = device_->allocate(tokens * sz(model.topk) * sizeof(Pair));
    row_token_ = device_->allocate(sent * sizeof(std::int32_t));
    slots_ = sz(step.placement.slots);
    recv_rows_ = device_->allocate(sz(step.limits.rows) * row_bytes_);
    recv_pairs_ = device_->allocate(sz(step.limits.pairs) * sizeof(Pair));
    for (auto* counts : {&send_counts_, &recv_counts_}) counts->resize((2 + slots_) * ranks);
    for (auto* split : {&rows_out_, &rows_in_, &pairs_out_, &pairs_in_}) split->resize(ranks);
    tokens_ = step.range.count;
  }

  void run() {
    PackArgs pack;
    pack.tokens = tokens_;
    pack.payload = &payload_;
    pack.ids = &ids_;
    pack.weights = &weights_;
    pack.locations = &locations_;
    pack.send_rows = &send_rows_;
    pack.send_pairs = &send_pairs_;
    pack.row_token = &row_token_;
    pack.slots = static_cast<int>(slots_);
    pack.counts = send_counts_;
    device_->pack({}, pack);
    comm_.all_to_all(send_counts_, recv_counts_);
    for (std::size_t rank = 0; rank < rows_out_.size(); ++rank) {
      rows_out_[rank] = send_counts_[rank * (2 + slots_)];
      pairs_out_[rank] = send_counts_[rank * (2 + slots_) + 1];
      rows_in_[rank] = recv_counts_[rank * (2 + slots_)];
      pairs_in_[rank] = recv_counts_[rank * (2 + slots_) + 1];
    }
    const RowExchange parts[] = {
        {&send_pairs_, pairs_out_, &recv_pairs_, pairs_in_, sizeof(Pair)},
        {&send_rows_, rows_out_, &recv_rows_, rows_in_, row_bytes_},
    };
    device_->exchange({}, parts);
    const RowExchange back{&recv_rows_, rows_in_, &returned_, rows_out_, row_bytes_};
    device_->exchange({}, {&back, 1});
    CombineArgs combine;
    combine.tokens = tokens_;
    combine.rows = std::accumulate(rows_out_.begin(), rows_out_.end(), 0);
    combine.returned = &returned_;
    combine.row_token = &row_token_;
    combine.hidden_state = &sums_;
    device_->combine({}, combine);
  }
  [[nodiscard]] std::vector<float> sums() const {
    std::vector<float> sums(sums_.bytes() / sizeof(float));
    device_->download(sums.data(), sums_, 0, sums_.bytes());
    return sums;
  }

 private:
  const Comm& comm_;
  std::unique_ptr<Device> device_;
  std::size_t row_bytes_ = 0, slots_ = 0;
  int tokens_ = 0;
  Buffer payload_, ids_, weights_, locations_, sums_, send_rows_, send_pairs_, row_token_;
  Buffer recv_rows_, recv_pairs_, returned_;
  std::vector<std::int32_t> send_counts_, recv_counts_, rows_out_, rows_in_, pairs_out_, pairs_in_;
};

void time_dispatch(const Comm& comm, const Effort& effort, const char* name, double scale,
                   int tokens) {
  ModelShape model = scaled(find_model(name), scale);
  model.layers = 1;
  const RoutedStep step(comm, model, tokens);
  const std::vector<float> x(sz(step.range.count) * sz(model.hidden), 0.25F);
  const std::vector<float> weights(sz(step.range.count) * sz(model.topk), 0.125F);
  const std::vector<Location> where = locations(step.placement);
  OurDispatch ours(comm, model, step, x, weights);
  MinimalDispatch minimal(MPI_COMM_WORLD, step.range.count, model.topk, model.hidden,
                          step.limits.rows, step.limits.pairs);
  std::vector<float> sums(x.size(), 0.0F);
  const auto reference = [&] {
    minimal.dispatch(x, step.ids, weights, where);
    minimal.combine(sums);
  };
  ours.run();
  reference();
  if (ours.sums() != sums) throw std::runtime_error("both sides combined different sums");
  compare(
      comm, effort, "dispatch",
      fmt::format("{}/{:g} hidden {}, {} tokens", name, scale, model.hidden, tokens),
      [&] { ours.run(); }, reference);
}

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  const std::vector<int> rows = effort.quick() ? std::vector{16} : std::vector{1, 4, 16, 64, 256};
  for (const int each : rows) time_exchange(comm, effort, each, 8192);
  time_exchange(comm, effort, 128, sizeof(Pair));
  if (effort.quick()) {
    time_dispatch(comm, effort, "gpt-oss-20b", 16, 64);
    return 0;
  }
  for (const int tokens : {64, 256, 1024, 4096}) {
    time_dispatch(comm, effort, "gpt-oss-20b", 4, tokens);
    time_dispatch(comm, effort, "qwen3-30b-a3b", 1, tokens);
  }
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
