#include "harness/run/progress_lines.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/printing.hpp"
#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline run {

ProgressLines::ProgressLines(bool on, std::size_t total, double max_seconds)
    : on_(on), total_(total), max_seconds_(max_seconds), begin_(wall_seconds()) {}

void ProgressLines::done(const std::string& what) {
  ++done_;
  const double now = wall_seconds();
  if (!on_ || (now - last_ < 10 && done_ < total_)) return;
  last_ = now;
  double left = (now - begin_) / static_cast<double>(done_) * static_cast<double>(total_ - done_);
  if (max_seconds_ > 0) left = std::clamp(begin_ + max_seconds_ - now, 0.0, left);
  tell(fmt::format("[{:3}/{}] {}, {}{:.0f} s to go", done_, total_, what,
                   max_seconds_ > 0 ? "at most " : "", left));
}

}  // namespace gembench::inline run
