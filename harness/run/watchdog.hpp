#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "moe_layer/mpi/progress.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {

/// A rank of a node as its neighbours see it.
struct RankSeen {
  int rank = 0;
  Whereabouts where;
  double silent = 0;  ///< seconds since its process last showed that it runs
};
/// Seconds after which a silent process counts as stopped or gone: its watchdog speaks every
/// second.
inline constexpr double kSilence = 4;
/// Seconds for a rank that was asked to end to move on: well within what launchers wait before they
/// kill, so that the others of a rank that died are gone within ten.
inline constexpr double kStopSeconds = 3;

/// Whether one of these ranks holds the others up; if not, look at other nodes.
[[nodiscard]] bool culprit_among(const std::vector<RankSeen>& ranks);
/// The sentence a node's ranks end with. `why`: "nothing moved for 300 s (--hang-timeout)".
[[nodiscard]] std::string hang_sentence(const std::string& why, const std::string& host,
                                        const std::vector<RankSeen>& ranks);

/// A thread that ends this process, with the timeout code and one sentence a node, when its rank
/// can no longer end in order: kGraceSeconds after the time limit, when it has not moved on for
/// `hang_timeout` seconds (0 = never) outside of Phase::prepare, or for kStopSeconds after a signal
/// asked it to end, as launchers do when another rank has died. It wakes once a second and never
/// calls MPI, so it also works where MPI hangs.
class Watchdog {
 public:
  /// Collective, as is the end; `time_limit` in seconds from now, 0 = none.
  Watchdog(const Comm& comm, double time_limit, double hang_timeout);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Where this rank says what it does.
  [[nodiscard]] Progress& progress() { return board_.mine(); }

 private:
  void watch();
  /// Does not return.
  void end(const std::string& why, ExitCode code);
  [[nodiscard]] std::vector<RankSeen> look() const;
  /// Waits; true when it is over.
  bool wait(double seconds);

  ProgressBoard board_;
  int ranks_;
  double limit_, deadline_, hang_timeout_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace gembench::inline run
