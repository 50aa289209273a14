#include "tests/cuda_simulation/block.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <numeric>
#include <vector>

#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/fiber.hpp"
#include "tests/cuda_simulation/host_threads.hpp"

// Kernels see these as constants, and for one CUDA thread they are. They are set at every switch.
extern "C" {
#if !defined(GEMBENCH_BLOCKS_ON_THREADS)
uint3 threadIdx{}, blockIdx{};
#endif
dim3 blockDim, gridDim;
extern const int warpSize = gembench::simulation::kWarp;
}

namespace gembench::simulation {

GEMBENCH_OF_BLOCK void* dynamic_shared = nullptr;
#if defined(GEMBENCH_BLOCKS_ON_THREADS)
thread_local uint3 thread_index{}, block_index{};
#endif

namespace {

#if !defined(GEMBENCH_BLOCKS_ON_THREADS)
uint3 &thread_index = threadIdx, &block_index = blockIdx;
#endif

enum class State : unsigned char { unstarted, running, ready, at_barrier, in_collective, exited };

struct Thread {
  uint3 index{};
  unsigned number = 0;  // in the block, x fastest
  State state = State::unstarted;
  Collective kind{};
  unsigned mask = 0, source = 0;
  std::uint64_t value = 0, result = 0;
  Fiber* fiber = nullptr;  // its stack while it is neither unstarted nor exited
  Place where;
};

/// The lanes of a warp, as bits.
struct Warp {
  unsigned alive = 0;  // exist and did not exit
  unsigned in_collective = 0;
};

// A fiber takes unstarted threads one after another, as long as none of them has to wait: a kernel
// without barriers needs one stack. A thread that waits keeps its fiber, and another one goes on.
GEMBENCH_OF_BLOCK const Grid* grid = nullptr;
GEMBENCH_OF_BLOCK std::vector<Thread> threads;
GEMBENCH_OF_BLOCK std::vector<Warp> warps;
GEMBENCH_OF_BLOCK std::vector<unsigned> order;  // in which threads start
GEMBENCH_OF_BLOCK std::size_t started = 0, at_barrier = 0, exited = 0;
// May go on; who was released last comes first, so that a warp runs as far ahead of the others as
// barriers let it.
GEMBENCH_OF_BLOCK std::vector<Thread*> ready;
GEMBENCH_OF_BLOCK std::vector<Fiber*> idle;
GEMBENCH_OF_BLOCK std::deque<Fiber> fibers;
GEMBENCH_OF_BLOCK Fiber* running_fiber = nullptr;
GEMBENCH_OF_BLOCK Thread* running_thread = nullptr;

/// From here on this fiber is `thread`.
void become(Thread& thread) {
  thread.state = State::running;
  running_thread = &thread;
  thread_index = thread.index;
}

[[noreturn]] void give_up(const std::string& problem) {
  const auto& b = block_index;
  std::fprintf(stderr, "CUDA simulation: kernel %s, block (%u, %u, %u): %s\n", grid->name.c_str(),
               b.x, b.y, b.z, problem.c_str());
  std::fflush(stderr);
  std::abort();
}

std::string text_of(Place where) {
  return std::string(where.file) + ":" + std::to_string(where.line);
}

[[noreturn]] void report_deadlock() {
  std::string problem = "its threads wait for each other (divergent barrier?):";
  int shown = 0;
  for (const Thread& thread : threads) {
    if (thread.state != State::at_barrier && thread.state != State::in_collective) continue;
    if (++shown > 4) break;  // an example says as much as all
    problem +=
        "\n  thread " + std::to_string(thread.number) +
        (thread.state == State::at_barrier ? " at __syncthreads, " : " in a warp collective, ") +
        text_of(thread.where);
  }
  problem += "\n  " + std::to_string(at_barrier) + " of " + std::to_string(threads.size()) +
             " threads are at __syncthreads, " + std::to_string(exited) + " have exited";
  give_up(problem);
}

/// Dynamic shared memory of a block: exactly as large as asked for, so that AddressSanitizer sees
/// what goes beyond; without it, bytes behind the end tell.
class DynamicShared {
 public:
  explicit DynamicShared(std::size_t bytes) : bytes_(bytes) {
    constexpr std::size_t kAlignment = 128;
    if (posix_memalign(&begin_, kAlignment, bytes_ + kGuardBytes) != 0) {
      give_up("no memory for its shared memory");
    }
  }
  DynamicShared(const DynamicShared&) = delete;
  DynamicShared& operator=(const DynamicShared&) = delete;
  ~DynamicShared() { std::free(begin_); }
  [[nodiscard]] void* begin() const { return begin_; }
  void fill() { std::memset(begin_, kJunkByte, bytes_ + kGuardBytes); }
  [[nodiscard]] bool overrun() const {
    const auto* guard = static_cast<const unsigned char*>(begin_) + bytes_;
    return std::any_of(guard, guard + kGuardBytes,
                       [](unsigned char byte) { return byte != kJunkByte; });
  }

 private:
  std::size_t bytes_;
  void* begin_ = nullptr;
};

void fiber_main();

Fiber& idle_fiber() {
  if (idle.empty()) return fibers.emplace_back(fiber_main);
  Fiber* fiber = idle.back();
  idle.pop_back();
  return *fiber;
}

void switch_to(Fiber& fiber) {
  Fiber* from = running_fiber;
  running_fiber = &fiber;
  from->switch_to(fiber);
}

/// Who goes on, or none.
Thread* take_ready() {
  if (ready.empty()) return nullptr;
  Thread* thread = ready.back();
  ready.pop_back();
  return thread;
}

/// Leaves the running thread, which waits, until it was released.
void wait_for_release() {
  Thread& self = *running_thread;
  if (Thread* next = take_ready()) {
    switch_to(*next->fiber);
  } else if (started < order.size()) {
    switch_to(idle_fiber());
  } else {
    report_deadlock();
  }
  become(self);
}

void release(Thread& thread) {
  if (&thread == running_thread) {
    thread.state = State::running;
  } else {
    thread.state = State::ready;
    ready.push_back(&thread);
  }
}

/// Releases the lanes of `mask` when all that are alive wait in the same collective.
void complete_collective(std::size_t number, unsigned mask) {
  Warp& warp = warps[number];
  const unsigned part = mask & warp.alive;
  if ((part & ~warp.in_collective) != 0 || part == 0) return;
  Thread* lanes = threads.data() + number * kWarp;
  const Thread& first = lanes[__builtin_ctz(part)];
  unsigned votes = 0;
  for (unsigned bits = part; bits != 0; bits &= bits - 1) {
    const auto lane = static_cast<unsigned>(__builtin_ctz(bits));
    if (lanes[lane].mask != mask) return;  // it has to finish something else first
    if (lanes[lane].kind != first.kind) {
      give_up("lanes of one warp wait in different collectives, " + text_of(first.where) + " and " +
              text_of(lanes[lane].where));
    }
    if (lanes[lane].value != 0) votes |= 1U << lane;
  }
  for (unsigned bits = part; bits != 0; bits &= bits - 1) {
    Thread& thread = lanes[__builtin_ctz(bits)];
    if (thread.kind == Collective::vote) {
      thread.result = votes;
    } else {
      thread.result = (part >> thread.source & 1U) != 0 ? lanes[thread.source].value : kJunk;
    }
  }
  warp.in_collective &= ~part;
  for (unsigned bits = part; bits != 0;) {
    const unsigned lane = kWarp - 1 - static_cast<unsigned>(__builtin_clz(bits));
    release(lanes[lane]);  // the highest first, so that the lowest goes on first
    bits &= ~(1U << lane);
  }
}

void exit_thread(Thread& thread) {
  thread.state = State::exited;
  ++exited;
  const std::size_t number = thread.number / kWarp;
  Warp& warp = warps[number];
  warp.alive &= ~(1U << thread.number % kWarp);
  running_thread = nullptr;
  // Lanes may have waited for this one only.
  for (unsigned bits = warp.in_collective; bits != 0; bits &= bits - 1) {
    const Thread& waits = threads[number * kWarp + static_cast<unsigned>(__builtin_ctz(bits))];
    if (waits.state == State::in_collective) complete_collective(number, waits.mask);
  }
}

void fiber_main() {
  for (;;) {
    while (ready.empty() && started < order.size()) {
      Thread& thread = threads[order[started++]];
      thread.fiber = running_fiber;
      become(thread);
      grid->body();
      exit_thread(thread);
    }
    idle.push_back(running_fiber);
    if (Thread* next = take_ready()) {
      switch_to(*next->fiber);
    } else if (exited == threads.size()) {
      switch_to(Fiber::outside());
    } else {
      report_deadlock();
    }
  }
}

/// Sets the threads of a block back to before they start.
void reset_block() {
  started = at_barrier = exited = 0;
  for (Thread& thread : threads) thread.state = State::unstarted;
  for (std::size_t w = 0; w < warps.size(); ++w) {
    const std::size_t lanes = std::min<std::size_t>(kWarp, threads.size() - w * kWarp);
    warps[w] = {lanes == kWarp ? ~0U : (1U << lanes) - 1, 0};
  }
}

void lay_out_threads(dim3 size) {
  const unsigned count = size.x * size.y * size.z;
  threads.resize(count);
  warps.resize((count + kWarp - 1) / kWarp);
  for (unsigned i = 0; i < count; ++i) {
    threads[i].number = i;
    threads[i].index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
  }
}

/// 0 .. count-1 in the order the environment asks for.
void fill_order(std::vector<unsigned>& numbers, std::size_t count) {
  numbers.resize(count);
  std::iota(numbers.begin(), numbers.end(), 0U);
  const BlockOrder& wanted = settings().block_order;
  if (wanted.kind == BlockOrder::reverse) std::reverse(numbers.begin(), numbers.end());
  if (wanted.kind == BlockOrder::shuffle) {
    std::shuffle(numbers.begin(), numbers.end(), settings().random);
  }
}

/// Runs every `step`th block from the `first` one on.
void run_blocks(const Grid& launched, const std::vector<unsigned>& blocks, std::size_t first,
                std::size_t step) {
  grid = &launched;
  lay_out_threads(launched.threads);
  fill_order(order, threads.size());
  DynamicShared shared(launched.shared_bytes);
  dynamic_shared = shared.begin();
  for (std::size_t i = first; i < blocks.size(); i += step) {
    const unsigned number = blocks[i];
    const dim3 size = launched.blocks;
    block_index = {number % size.x, number / size.x % size.y, number / (size.x * size.y)};
    shared.fill();
    reset_block();
    running_fiber = &Fiber::outside();
    switch_to(idle_fiber());
    if (shared.overrun()) give_up("it wrote past the end of its dynamic shared memory");
  }
  dynamic_shared = nullptr;
  grid = nullptr;
}

}  // namespace

void block_barrier(Place where) {
  Thread& self = *running_thread;
  self.where = where;
  self.state = State::at_barrier;
  if (++at_barrier < threads.size()) return wait_for_release();
  for (const Thread& thread : threads) {
    if (thread.where.line != where.line) {
      give_up("its threads wait at different __syncthreads, " + text_of(thread.where) + " and " +
              text_of(where));
    }
  }
  at_barrier = 0;
  for (std::size_t i = order.size(); i-- > 0;) release(threads[order[i]]);
}

std::uint64_t warp_collective(Collective kind, unsigned mask, std::uint64_t value, unsigned source,
                              Place where) {
  Thread& self = *running_thread;
  const unsigned lane = self.number % kWarp;
  if ((mask >> lane & 1U) == 0) {
    give_up("lane " + std::to_string(lane) + " is not in the mask of its own collective, " +
            text_of(where));
  }
  self.kind = kind;
  self.mask = mask;
  self.value = value;
  self.source = source;
  self.where = where;
  self.state = State::in_collective;
  warps[self.number / kWarp].in_collective |= 1U << lane;
  complete_collective(self.number / kWarp, mask);
  if (self.state == State::in_collective) wait_for_release();
  return self.result;
}

unsigned lane_of_running_thread() {
  return running_thread->number % kWarp;
}

void run_grid(const Grid& launched) {
  gridDim = launched.blocks;
  blockDim = launched.threads;
  std::vector<unsigned> blocks;
  fill_order(blocks, std::size_t{launched.blocks.x} * launched.blocks.y * launched.blocks.z);
  const auto hosts = static_cast<std::size_t>(settings().block_order.threads);
  if (hosts == 0) return run_blocks(launched, blocks, 0, 1);
  on_host_threads(std::min(hosts, blocks.size()),
                  [&](std::size_t host) { run_blocks(launched, blocks, host, hosts); });
}

}  // namespace gembench::simulation
