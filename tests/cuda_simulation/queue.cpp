#include "tests/cuda_simulation/queue.hpp"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/cuda_simulation/environment.hpp"

namespace gembench::simulation {

bool Ticket::done() const {
  return !queue || queue->completed_ >= number;
}

Scheduler& Scheduler::instance() {
  static Scheduler scheduler;
  return scheduler;
}

std::shared_ptr<Queue> Scheduler::make_queue() {
  // A destroyed stream's queue goes when its work is done and nobody holds a ticket of it.
  std::erase_if(queues_,
                [](const Shared& queue) { return queue.use_count() == 1 && queue->work_.empty(); });
  queues_.push_back(std::make_shared<Queue>(made_++));
  return queues_.back();
}

Ticket Scheduler::last(const std::shared_ptr<Queue>& queue) {
  return {queue, queue->enqueued_};
}

Ticket Scheduler::enqueue(const std::shared_ptr<Queue>& queue, const char* what, Run run) {
  queue->work_.push_back({what, std::move(run), {}});
  ++queue->enqueued_;
  if (settings().order == Order::eager) {
    while (step_any(busy())) continue;
  }
  return last(queue);
}

void Scheduler::enqueue_wait(const std::shared_ptr<Queue>& queue, const Ticket& ticket) {
  if (ticket.done()) return;
  queue->work_.push_back({"event wait", [] { return Progress::done; }, ticket});
  ++queue->enqueued_;
}

std::vector<std::shared_ptr<Queue>> Scheduler::busy() const {
  std::vector<Shared> found;
  std::copy_if(queues_.begin(), queues_.end(), std::back_inserter(found),
               [](const Shared& queue) { return !queue->work_.empty(); });
  return found;
}

bool Scheduler::run_head(Queue& queue) {
  if (queue.work_.empty() || !queue.work_.front().after.done()) return false;
  if (queue.work_.front().run() == Progress::waiting) return false;
  if (settings().log) {
    say("stream " + std::to_string(queue.number_) + ": " + queue.work_.front().what);
  }
  queue.work_.pop_front();
  ++queue.completed_;
  return true;
}

bool Scheduler::step_any(const std::vector<Shared>& candidates) {
  return std::any_of(candidates.begin(), candidates.end(),
                     [&](const Shared& queue) { return run_head(*queue); });
}

bool Scheduler::step_towards(const Ticket& goal) {
  // What the goal's queue waits for, and what that waits for. There is no circle: a ticket is of
  // work that was there first.
  Shared queue = goal.queue;
  while (!queue->work_.empty() && !queue->work_.front().after.done()) {
    queue = queue->work_.front().after.queue;
  }
  return run_head(*queue);
}

bool Scheduler::step(const Ticket& goal) {
  auto candidates = busy();
  switch (settings().order) {
    case Order::late:
      return step_towards(goal);
    case Order::greedy:
      // Everybody else first, each as far as it can; the goal's own queue last.
      std::stable_partition(candidates.begin(), candidates.end(),
                            [&](const Shared& queue) { return queue != goal.queue; });
      break;
    case Order::reverse:
      std::reverse(candidates.begin(), candidates.end());
      break;
    case Order::random:
      std::shuffle(candidates.begin(), candidates.end(), settings().random);
      break;
    case Order::eager:
      break;
  }
  return step_any(candidates);
}

void Scheduler::give_up(const std::vector<Shared>& stuck) {
  std::string problem = "no progress for " + std::to_string(settings().timeout) + " s:";
  for (const Shared& queue : stuck) {
    const Queue::Work& head = queue->work_.front();
    problem += "\n  stream " + std::to_string(queue->number_) + " is at: " + head.what;
    if (!head.after.done()) {
      problem += ", behind stream " + std::to_string(head.after.queue->number_);
    }
  }
  say(problem);
  std::abort();
}

void Scheduler::wait_for(const Ticket& ticket) {
  double last_progress = now();
  while (!ticket.done()) {
    if (step(ticket)) {
      last_progress = now();
      continue;
    }
    // Only messages of other ranks can be missing.
    if (now() - last_progress > settings().timeout) give_up(busy());
    sched_yield();
  }
}

void Scheduler::wait_for_all() {
  for (const Shared& queue : std::vector<Shared>(queues_)) wait_for(last(queue));
}

void Scheduler::poll(const Ticket& ticket) {
  if (!ticket.done() && !step(ticket)) sched_yield();  // other ranks may share this core
}

}  // namespace gembench::simulation
