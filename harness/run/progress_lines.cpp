#include "harness/run/progress_lines.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/printing.hpp"
#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline run {
namespace {

constexpr double kLine = 10;  // s

}  // namespace

ProgressLines::ProgressLines(bool on, std::size_t total, double max_seconds)
    : on_(on), total_(total), max_seconds_(max_seconds), begin_(wall_seconds()) {}

ProgressLines::~ProgressLines() {
  if (on_) clear_progress();
}

void ProgressLines::done(const std::string& what) {
  ++done_;
  const double now = wall_seconds(), every = draws_progress() ? kRedraw : kLine;
  if (!on_ || (now - last_ < every && done_ < total_)) return;
  last_ = now;
  const double share = static_cast<double>(done_) / static_cast<double>(total_);
  const double passed = now - begin_;
  double left = passed / static_cast<double>(done_) * static_cast<double>(total_ - done_);
  if (max_seconds_ > 0) left = std::clamp(max_seconds_ - passed, 0.0, left);
  const std::string to_go =
      fmt::format("{}{:.0f} s to go", max_seconds_ > 0 ? "at most " : "", left);
  if (draws_progress()) {
    // A run that ends by time has come as far as its time has.
    const double by_time = max_seconds_ > 0 ? passed / max_seconds_ : 0;
    draw_progress({"measuring", std::max(share, by_time), fmt::format("{}, {}", to_go, what)});
    return;
  }
  tell(fmt::format("[{:3}/{}] {}, {}", done_, total_, what, to_go));
}

ProfileLines::ProfileLines(bool on, double budget)
    : on_(on), budget_(budget), begin_(wall_seconds()), last_(draws_progress() ? 0 : begin_) {}

ProfileLines::~ProfileLines() {
  if (on_) clear_progress();
}

void ProfileLines::at_round() {
  const double now = wall_seconds(), passed = now - begin_;
  if (!on_ || now - last_ < (draws_progress() ? kRedraw : kLine)) return;
  last_ = now;
  // A few rounds are measured in any case, however short the time.
  const double most = std::max(budget_, passed);
  if (draws_progress()) {
    draw_progress(
        {"profiling", passed / most, fmt::format("at most {:.0f} s to go", most - passed)});
  } else {
    tell(fmt::format("profiling: {:.0f} of at most {:.0f} s", passed, most));
  }
}

}  // namespace gembench::inline run
