#pragma once

#include <cstddef>

// What a running block has: one for the process, or one for every host thread where blocks run on
// several (builds with GEMBENCH_BLOCKS_ON_THREADS).
#if defined(GEMBENCH_BLOCKS_ON_THREADS)
#define GEMBENCH_OF_BLOCK thread_local
#else
#define GEMBENCH_OF_BLOCK
#endif

namespace gembench::simulation {

/// A stack that a function runs on until it hands over to another fiber of the same host thread.
/// Fibers are kept and used again until that thread ends. ThreadSanitizer is not told of them: it
/// knows 255 threads at most, and those of one block are ordered anyway. Of a stack that it shows
/// only the first line is certain.
class Fiber {
 public:
  using Entry = void (*)();
  /// `entry` starts at the first switch to this fiber and must never return.
  explicit Fiber(Entry entry);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// What the calling thread runs on when it is in no fiber.
  static Fiber& outside();
  /// Leaves this fiber, which must be the running one, and goes on in `other`.
  void switch_to(Fiber& other);

 private:
  Fiber() = default;
  static void start();  // first function on a new stack

  void* context_ = nullptr;                      // saved stack pointer, or a ucontext_t
  [[maybe_unused]] void* fake_stack_ = nullptr;  // AddressSanitizer's
  const void* bottom_ = nullptr;
  std::size_t bytes_ = 0;
  void* mapping_ = nullptr;
  Entry entry_ = nullptr;
};

}  // namespace gembench::simulation
