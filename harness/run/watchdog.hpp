#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "moe_layer/mpi/progress.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {

/// A rank as seen by the other ranks of its node.
struct RankSeen {
  int rank = 0;
  Whereabouts where;
  double silent = 0;  ///< seconds since its process last showed that it runs
};
/// Seconds after which a silent process counts as stopped or gone; its watchdog reports every
/// second.
inline constexpr double kSilence = 4;
/// Seconds that a rank has to make progress after it was asked to end. Well below the time that
/// launchers wait before they kill, so that after a rank dies the others end within ten seconds.
inline constexpr double kStopSeconds = 3;

/// Whether one of these ranks blocks the others; if not, the cause is on another node.
[[nodiscard]] bool culprit_among(const std::vector<RankSeen>& ranks);
/// The sentence a node's ranks end with. `why`: "nothing moved for 300 s (--hang-timeout)".
[[nodiscard]] std::string hang_sentence(const std::string& why, const std::string& host,
                                        const std::vector<RankSeen>& ranks);

/// A thread that ends this process, with the timeout code and one sentence per node, when its rank
/// can no longer end normally: kGraceSeconds after the time limit, after `hang_timeout` seconds
/// without progress (0 = never) outside of Phase::prepare, or after kStopSeconds without progress
/// when a signal asked it to end, which launchers send when another rank has died. It wakes once a
/// second and never calls MPI, so it also works if MPI hangs. When it ends it limits the time that
/// the process may still take: MPI's own end waits for all ranks.
class Watchdog {
 public:
  /// Collective, as is the end; `time_limit` in seconds from now, 0 = none.
  Watchdog(const Comm& comm, double time_limit, double hang_timeout);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Where this rank reports its progress.
  [[nodiscard]] Progress& progress() { return board_.mine(); }

 private:
  void watch();
  /// Does not return.
  void end(const std::string& why, ExitCode code);
  [[nodiscard]] std::vector<RankSeen> look() const;
  /// What follows the watchdog waits for all ranks, too.
  void limit_the_end() const;
  /// Waits; true when it is over.
  bool wait(double seconds);

  ProgressBoard board_;
  int rank_, ranks_;
  double limit_, deadline_, hang_timeout_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace gembench::inline run
