#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace gembench::simulation {

class Queue;

/// A place in a queue: done when all work up to there has run. An empty ticket is always done.
struct Ticket {
  std::shared_ptr<Queue> queue;
  std::uint64_t number = 0;
  [[nodiscard]] bool done() const;
};

/// What a piece of work says when it ran: waiting work (for messages) is run again until done.
enum class Progress : unsigned char { done, waiting };
using Run = std::function<Progress()>;

/// Work of one stream, run in order, by the host's own thread, when the host waits for something.
/// Which queue goes first is the order of the settings.
class Queue {
 public:
  /// `what` names the work in messages; a string literal.
  struct Work {
    const char* what;
    Run run;
    Ticket after;  // runs not before this
  };
  explicit Queue(int number) : number_(number) {}
  [[nodiscard]] int number() const { return number_; }

 private:
  friend struct Ticket;
  friend class Scheduler;
  int number_;  // in order of creation
  std::uint64_t enqueued_ = 0, completed_ = 0;
  std::deque<Work> work_;
};

/// All queues of the process.
class Scheduler {
 public:
  static Scheduler& instance();
  [[nodiscard]] std::shared_ptr<Queue> make_queue();

  /// Appends work that runs later (at once where the order is `eager`).
  Ticket enqueue(const std::shared_ptr<Queue>& queue, const char* what, Run run);
  /// What is put on `queue` from now on runs after `ticket`.
  void enqueue_wait(const std::shared_ptr<Queue>& queue, const Ticket& ticket);
  [[nodiscard]] static Ticket last(const std::shared_ptr<Queue>& queue);

  /// Runs work until the ticket is done. Ends the process when nothing moves for the settings'
  /// timeout.
  void wait_for(const Ticket& ticket);
  void wait_for_all();
  /// Runs one piece of work at most, as a poll by the host does.
  void poll(const Ticket& ticket);

 private:
  using Shared = std::shared_ptr<Queue>;
  bool step(const Ticket& goal);  // false: nothing could run to its end
  bool run_head(Queue& queue);
  bool step_towards(const Ticket& goal);
  bool step_any(const std::vector<Shared>& candidates);
  [[nodiscard]] std::vector<Shared> busy() const;
  [[noreturn]] static void give_up(const std::vector<Shared>& stuck);

  std::vector<Shared> queues_;  // in order of creation
  int made_ = 0;
};

}  // namespace gembench::simulation
