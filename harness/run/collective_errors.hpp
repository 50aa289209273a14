#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>

#include "moe_layer/mpi/comm.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {

/// An error that all ranks throw together, so that the program can end normally. Any other
/// exception may be on one rank only and must abort the job.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Collective: runs `work` on rank 0 only; an exception there is thrown on all ranks.
void on_root(const Comm& comm, const std::function<void()>& work);

/// Collective: runs `work`, which must not communicate, on every rank; if any rank throws, all
/// throw the first failing rank's error.
void on_every_rank(const Comm& comm, const std::function<void()>& work);

/// Collective: throws on all ranks, naming the first rank whose text is not rank 0's. `sentence`:
/// with {0} for that rank, {1} for its text, {2} for rank 0's.
void require_same(const Comm& comm, const std::string& mine, const std::string& sentence);

}  // namespace gembench::inline run
