#include "tests/cuda_simulation/host_threads.hpp"

#include <deque>
#include <semaphore>
#include <thread>

namespace gembench::simulation {
namespace {

class HostThread {
 public:
  explicit HostThread(std::size_t number)
      : thread_([this, number] {
          for (begin_.acquire(); work_ != nullptr; begin_.acquire()) {
            (*work_)(number);
            end_.release();
          }
        }) {}
  HostThread(const HostThread&) = delete;
  HostThread& operator=(const HostThread&) = delete;
  ~HostThread() {
    begin(nullptr);
    thread_.join();
  }
  void begin(const std::function<void(std::size_t)>* work) {
    work_ = work;
    begin_.release();
  }
  void wait() { end_.acquire(); }

 private:
  const std::function<void(std::size_t)>* work_ = nullptr;
  std::binary_semaphore begin_{0}, end_{0};
  std::thread thread_;  // last: it uses the others
};

}  // namespace

void on_host_threads(std::size_t count, const std::function<void(std::size_t)>& work) {
  static std::deque<HostThread> threads;
  while (threads.size() < count) threads.emplace_back(threads.size());
  for (std::size_t i = 0; i < count; ++i) threads[i].begin(&work);
  for (std::size_t i = 0; i < count; ++i) threads[i].wait();
}

}  // namespace gembench::simulation
