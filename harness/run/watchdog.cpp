#include "harness/run/watchdog.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "harness/cli/printing.hpp"
#include "harness/run/stop.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

constexpr double kPeriod = 1;
/// How long a node without a culprit lets the others speak first.
constexpr double kPatience = 3;

std::string ranks_text(std::vector<int> ranks) {
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", cpu_list(ranks));
}

std::vector<int> numbers_of(const std::vector<RankSeen>& ranks,
                            const std::function<bool(const RankSeen&)>& which) {
  std::vector<int> numbers;
  for (const RankSeen& one : ranks) {
    if (which(one)) numbers.push_back(one.rank);
  }
  return numbers;
}

Whereabouts furthest_behind(const std::vector<RankSeen>& ranks) {
  return std::min_element(ranks.begin(), ranks.end(),
                          [](const RankSeen& a, const RankSeen& b) { return a.where < b.where; })
      ->where;
}

bool silent(const RankSeen& one) {
  return one.silent > kSilence;
}

}  // namespace

bool culprit_among(const std::vector<RankSeen>& ranks) {
  const Whereabouts behind = furthest_behind(ranks);
  return std::any_of(ranks.begin(), ranks.end(), [&](const RankSeen& one) {
    return silent(one) || one.where != behind || !waits_in(one.where.phase);
  });
}

std::string hang_sentence(const std::string& why, const std::string& host,
                          const std::vector<RankSeen>& ranks) {
  const Whereabouts behind = furthest_behind(ranks);
  if (!culprit_among(ranks)) {
    return fmt::format(
        "{}: {} on {} {} {}: look for a node that is down, a network that is cut, or a rank that "
        "hangs elsewhere",
        why, ranks_text(numbers_of(ranks, [](const RankSeen&) { return true; })), host,
        ranks.size() == 1 ? "waits" : "all wait", describe(behind));
  }
  const bool stopped = std::any_of(ranks.begin(), ranks.end(), silent);
  const auto late = [&](const RankSeen& one) {
    return stopped ? silent(one) : one.where == behind;
  };
  const auto first = std::find_if(ranks.begin(), ranks.end(), late);
  const auto culprits = numbers_of(ranks, late);
  const bool one = culprits.size() == 1;
  const char* state =
      stopped ? (one ? ", and is stopped or gone" : ", and are stopped or gone") : "";
  const char* remedy = stopped                  ? "see who stopped it"
                       : waits_in(behind.phase) ? "look at that process and at the network"
                                                : "look at that process and its device";
  return fmt::format("{}: {} on {} {} last seen {}{}: {}", why, ranks_text(culprits), host,
                     one ? "was" : "were", describe(first->where), state, remedy);
}

Watchdog::Watchdog(const Comm& comm, double time_limit, double hang_timeout)
    : board_(comm),
      rank_(comm.rank()),
      ranks_(comm.size()),
      limit_(time_limit),
      deadline_(time_limit > 0 ? wall_seconds() + time_limit + kGraceSeconds : HUGE_VAL),
      hang_timeout_(hang_timeout > 0 ? hang_timeout : HUGE_VAL),
      thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  limit_the_end();
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Watchdog::limit_the_end() const {
  if (!must_stop() && hang_timeout_ == HUGE_VAL) return;
  const double seconds = must_stop() ? kGraceSeconds : std::ceil(hang_timeout_);
  const bool speaks = rank_ == 0 && !asked_to_stop();  // asked to end, it has said so
  end_within(static_cast<unsigned>(seconds), asked_to_stop() ? ExitCode::failed : ExitCode::timeout,
             speaks
                 ? fmt::format("all is done, and a rank did not end within {:g} s: see whether it "
                               "is stopped or gone",
                               seconds)
                 : std::string());
}

bool Watchdog::wait(double seconds) {
  std::unique_lock lock(mutex_);
  return wake_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return over_; });
}

void Watchdog::watch() {
  Whereabouts before;
  double moved = wall_seconds();
  do {
    const double now = wall_seconds();
    board_.mine().be_alive(now);
    const Whereabouts where = board_.mine().now();
    const bool asked = asked_to_stop();
    if (where != before || (where.phase == Phase::prepare && !asked)) {
      before = where;
      moved = now;
    }
    if (now > deadline_) {
      end(fmt::format("not ended {} s after --timeout {:g} s", kGraceSeconds, limit_),
          ExitCode::timeout);
    }
    if (asked && now - moved > kStopSeconds) {
      end(fmt::format("asked to end, and nothing moved for {:g} s", kStopSeconds),
          ExitCode::failed);
    }
    if (now - moved > hang_timeout_) {
      end(fmt::format("nothing moved for {:g} s (--hang-timeout)", hang_timeout_),
          ExitCode::timeout);
    }
  } while (!wait(kPeriod));
}

std::vector<RankSeen> Watchdog::look() const {
  std::vector<RankSeen> seen;
  const double now = wall_seconds();
  for (std::size_t i = 0; i < board_.ranks().size(); ++i) {
    const Progress& one = board_.of(i);
    seen.push_back({board_.ranks()[i], one.now(), now - one.alive()});
  }
  return seen;
}

void Watchdog::end(const std::string& why, ExitCode code) {
  auto ranks = look();
  const bool elsewhere = static_cast<int>(ranks.size()) < ranks_ && !culprit_among(ranks);
  if (elsewhere && wait(kPatience)) return;
  // The launcher ended the others because a rank has reported or died: one more node's message is
  // enough.
  const bool said = elsewhere && asked_to_stop() && board_.ranks().front() != 0;
  if (!said && board_.claim()) {
    tell(hang_sentence(why, place_of_this_rank().host, ranks));
  } else {
    // The launcher ends the job at the first rank's end: not before its sentence is out.
    wait(kPeriod);
  }
  _exit(static_cast<int>(code));
}

}  // namespace gembench::inline run
