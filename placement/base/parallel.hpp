#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace gembench::inline base {

/// Threads meant by a number of them, of which 0 is one per CPU.
inline int threads_of(int threads) {
  return threads > 0 ? threads
                     : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

/// Calls work(i) for every i in [0, count) on up to `threads` threads (0: one per CPU). If each
/// call depends on i only, the result is the same for any number of threads. Where the host refuses
/// threads, those that there are do the work, this one among them. The first exception is rethrown
/// here, after all threads have ended.
template <class Work>
void parallel_for(int count, int threads, const Work& work) {
  threads = std::min(threads_of(threads), count);
  if (threads <= 1) {
    for (int i = 0; i < count; ++i) work(i);
    return;
  }
  std::atomic<int> next{0};
  std::exception_ptr failed;
  std::mutex failing;
  const auto run = [&] {
    try {
      for (int i = next++; i < count; i = next++) work(i);
    } catch (...) {
      const std::lock_guard lock(failing);
      if (!failed) failed = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    others.reserve(static_cast<std::size_t>(threads));
    try {
      for (int i = 1; i < threads; ++i) others.emplace_back(run);
    } catch (const std::system_error&) {  // a limit of the host: it must not change the result
    }
    run();
  }
  if (failed) std::rethrow_exception(failed);
}

}  // namespace gembench::inline base
