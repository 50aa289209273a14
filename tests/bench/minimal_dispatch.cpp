#include "tests/bench/minimal_dispatch.hpp"
#include "placement/base/index.hpp"

#include <algorithm>
#include <numeric>

namespace gembench::bench {
namespace {

MPI_Datatype bytes(std::size_t count) {
  MPI_Datatype type = MPI_DATATYPE_NULL;
  MPI_Type_contiguous(static_cast<int>(count), MPI_BYTE, &type);
  MPI_Type_commit(&type);
  return type;
}

}  // namespace

MinimalDispatch::MinimalDispatch(MPI_Comm comm, int tokens, int topk, int hidden,
                                 std::int64_t max_rows, std::int64_t max_pairs)
    : comm_(comm), topk_(topk), hidden_(hidden), tokens_(tokens) {
  MPI_Comm_size(comm, &ranks_);
  row_ = bytes(sz(hidden) * sizeof(float));
  pair_ = bytes(sizeof(Pair));
  for (auto* counts : {&send_counts_, &recv_counts_}) counts->resize(sz(2 * ranks_));
  for (auto* counts : {&rows_out_, &rows_out_at_, &rows_in_, &rows_in_at_, &pairs_out_,
                       &pairs_out_at_, &pairs_in_, &pairs_in_at_, &row_of_}) {
    counts->resize(sz(ranks_));
  }
  const std::size_t sent = sz(tokens) * sz(std::min(topk, ranks_));
  token_of_.resize(sent);
  sent_.resize(sent * sz(hidden));
  returned_.resize(sent * sz(hidden));
  received_.resize(sz(max_rows) * sz(hidden));
  pairs_sent_.resize(sz(tokens) * sz(topk));
  pairs_received_.resize(sz(max_pairs));
}

MinimalDispatch::~MinimalDispatch() {
  MPI_Type_free(&row_);
  MPI_Type_free(&pair_);
}

void MinimalDispatch::dispatch(std::span<const float> x, std::span<const std::uint16_t> ids,
                               std::span<const float> weights,
                               std::span<const Location> locations) {
  std::fill(rows_out_.begin(), rows_out_.end(), 0);
  std::fill(pairs_out_.begin(), pairs_out_.end(), 0);
  const auto each_pair = [&](auto&& visit) {
    for (std::size_t t = 0; t < sz(tokens_); ++t) {
      std::fill(row_of_.begin(), row_of_.end(), -1);
      for (std::size_t i = t * sz(topk_); i < (t + 1) * sz(topk_); ++i)
        visit(t, i, locations[ids[i]]);
    }
  };
  each_pair([&](std::size_t, std::size_t, Location location) {
    const std::size_t rank = sz(location.rank);
    if (row_of_[rank] < 0) row_of_[rank] = rows_out_[rank]++;
    ++pairs_out_[rank];
  });
  std::exclusive_scan(rows_out_.begin(), rows_out_.end(), rows_out_at_.begin(), 0);
  std::exclusive_scan(pairs_out_.begin(), pairs_out_.end(), pairs_out_at_.begin(), 0);
  std::vector<int>&rows = rows_in_, &pairs = pairs_in_;  // how far every destination has got
  std::fill(rows.begin(), rows.end(), 0);
  std::fill(pairs.begin(), pairs.end(), 0);
  each_pair([&](std::size_t t, std::size_t i, Location location) {
    const std::size_t rank = sz(location.rank);
    if (row_of_[rank] < 0) {
      row_of_[rank] = rows[rank]++;
      const std::size_t at = sz(rows_out_at_[rank] + row_of_[rank]);
      std::copy_n(&x[t * sz(hidden_)], hidden_, &sent_[at * sz(hidden_)]);
      token_of_[at] = static_cast<int>(t);
    }
    pairs_sent_[sz(pairs_out_at_[rank] + pairs[rank]++)] = {row_of_[rank], location.slot,
                                                            weights[i]};
  });

  for (std::size_t rank = 0; rank < sz(ranks_); ++rank) {
    send_counts_[2 * rank] = rows_out_[rank];
    send_counts_[2 * rank + 1] = pairs_out_[rank];
  }
  MPI_Alltoall(send_counts_.data(), 2, MPI_INT, recv_counts_.data(), 2, MPI_INT, comm_);
  for (std::size_t rank = 0; rank < sz(ranks_); ++rank) {
    rows_in_[rank] = recv_counts_[2 * rank];
    pairs_in_[rank] = recv_counts_[2 * rank + 1];
  }
  std::exclusive_scan(rows_in_.begin(), rows_in_.end(), rows_in_at_.begin(), 0);
  std::exclusive_scan(pairs_in_.begin(), pairs_in_.end(), pairs_in_at_.begin(), 0);
  MPI_Alltoallv(pairs_sent_.data(), pairs_out_.data(), pairs_out_at_.data(), pair_,
                pairs_received_.data(), pairs_in_.data(), pairs_in_at_.data(), pair_, comm_);
  MPI_Alltoallv(sent_.data(), rows_out_.data(), rows_out_at_.data(), row_, received_.data(),
                rows_in_.data(), rows_in_at_.data(), row_, comm_);
}

void MinimalDispatch::combine(std::span<float> sums) {
  MPI_Alltoallv(received_.data(), rows_in_.data(), rows_in_at_.data(), row_, returned_.data(),
                rows_out_.data(), rows_out_at_.data(), row_, comm_);
  const std::size_t rows = sz(std::accumulate(rows_out_.begin(), rows_out_.end(), 0));
  for (std::size_t row = 0; row < rows; ++row) {
    float* sum = &sums[sz(token_of_[row]) * sz(hidden_)];
    const float* from = &returned_[row * sz(hidden_)];
    for (std::size_t i = 0; i < sz(hidden_); ++i) sum[i] += from[i];
  }
}

}  // namespace gembench::bench
