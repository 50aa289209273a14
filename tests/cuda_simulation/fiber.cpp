#include "tests/cuda_simulation/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__) || defined(GEMBENCH_FIBERS_BY_UCONTEXT)
#define GEMBENCH_UCONTEXT
#include <ucontext.h>
#endif

namespace gembench::simulation {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kStackBytes = std::size_t{256} << 10;  // red zones and formatting need room
#else
constexpr std::size_t kStackBytes = std::size_t{64} << 10;
#endif

/// The fiber that was left in the switch that is under way, and the one entered.
GEMBENCH_OF_BLOCK Fiber* left = nullptr;
GEMBENCH_OF_BLOCK Fiber* entered = nullptr;

}  // namespace

#if !defined(GEMBENCH_UCONTEXT)
// Saves what a called function must keep, changes stacks, restores: a return into the other fiber.
extern "C" void gembench_switch_stack(void** save, void* load);
asm(R"(
.text
.globl gembench_switch_stack
.hidden gembench_switch_stack
.type gembench_switch_stack,@function
gembench_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gembench_switch_stack,.-gembench_switch_stack
)");
#endif

Fiber& Fiber::outside() {
  static GEMBENCH_OF_BLOCK Fiber fiber;
#if defined(GEMBENCH_UCONTEXT)
  if (!fiber.context_) fiber.context_ = new ucontext_t;
#endif
  return fiber;
}

Fiber::Fiber(Entry entry) : bytes_(kStackBytes), entry_(entry) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  mapping_ = mmap(nullptr, page + bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // The lowest page catches a stack that overflows.
  if (mapping_ == MAP_FAILED || mprotect(mapping_, page, PROT_NONE) != 0) {
    std::perror("CUDA simulation: no memory for the stack of a CUDA thread");
    std::abort();
  }
  auto* bottom = static_cast<char*>(mapping_) + page;
  bottom_ = bottom;
#if defined(GEMBENCH_UCONTEXT)
  auto* context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = bottom;
  context->uc_stack.ss_size = bytes_;
  context->uc_link = nullptr;
  makecontext(context, &Fiber::start, 0);
  context_ = context;
#else
  // As if start() had been called: its return address, below it six registers to restore.
  constexpr int kRegisters = 6;
  auto** top = reinterpret_cast<void**>(bottom + bytes_ - 16);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&Fiber::start);
  for (int i = 0; i < kRegisters; ++i) *--top = nullptr;
  context_ = top;
#endif
}

Fiber::~Fiber() {
#if defined(GEMBENCH_UCONTEXT)
  delete static_cast<ucontext_t*>(context_);
#endif
  if (mapping_) munmap(mapping_, bytes_ + static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
}

void Fiber::switch_to(Fiber& other) {
  left = this;
  entered = &other;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.bytes_);
#endif
#if defined(GEMBENCH_UCONTEXT)
  swapcontext(static_cast<ucontext_t*>(context_), static_cast<const ucontext_t*>(other.context_));
#else
  gembench_switch_stack(&context_, other.context_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &left->bottom_, &left->bytes_);
#endif
}

void Fiber::start() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &left->bottom_, &left->bytes_);
#endif
  entered->entry_();
  std::abort();
}

}  // namespace gembench::simulation
