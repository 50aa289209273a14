#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

namespace gembench::simulation {

/// In what order queued work of several streams runs: README.md.
enum class Order : unsigned char { eager, late, greedy, reverse, random };
struct BlockOrder {
  enum Kind : unsigned char { forward, reverse, shuffle } kind = forward;
  int threads = 0;  // of the host, on which the blocks of a launch run; 0 = one after another
};

/// The clock of this rank's GPU: README.md.
struct ClockSettings {
  bool is_virtual = false;  // advances by what work is said to take; else it is the host's
  double offset = 0;        // ns
  double drift = 0;         // parts per million
  std::int64_t step = 0;    // ns between two values that it can have; 0: each
};

/// What the GEMBENCH_SIMULATED_* variables ask for: README.md.
struct Settings {
  Order order = Order::late;
  BlockOrder block_order;
  std::mt19937_64 random;  // for both orders
  int gpus = 8;
  std::size_t memory = std::size_t{8} << 30;  // bytes of each GPU
  int capability = 9;                         // compute capability, before the point
  int nccl = 0;                               // the version that NCCL says it is; 0: its header's
  double timeout = 60;                        // s without progress until the process gives up
  double first_use = 0;  // s that a kernel, a size of products or a peer takes the first time
  ClockSettings clock;
  bool log = false;
  std::string counters_file;
  std::string slow, wrong;  // calls: NAME:SECONDS,... and NAME[:KIND],... with wrong results
};

/// Read at the first call and by reload(). A value that cannot be meant ends the process, exit 2.
Settings& settings();

/// MPI rank from the launcher's environment, 0 without one.
int rank_from_environment();

/// Counts a call of the function `name`. The code that GEMBENCH_SIMULATED_FAULT wants this call to
/// fail with, else 0.
int injected_fault(const char* name);

/// Whether `what` is used for the first time since the settings were read; keeps the host busy for
/// as long as that takes.
bool first_use(const std::string& what);
/// Seconds by which GEMBENCH_SIMULATED_SLOW wants the work of this call to take longer.
double slowed(const char* name);

/// What GEMBENCH_SIMULATED_WRONG wants this call to do: zeros or nothing instead of its last
/// product; numbers of rows read when products run instead of at the call; an error where a stream
/// captures.
enum class Wrong : unsigned char { not_at_all, zeros, nothing, late, capture };
Wrong wrong_results(const char* name);

/// Seconds of a clock that only goes forward.
double now();

/// One line on standard error, with the rank.
void say(const std::string& text);

}  // namespace gembench::simulation

/// Reads the environment again, and counts calls for faults from 1 again.
extern "C" void gembench_simulation_reload();
