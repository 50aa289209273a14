#include "tests/cuda_simulation/environment.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>
#include <vector>

namespace gembench::simulation {
namespace {

struct Fault {
  std::string name;
  int call = 0, code = 0, rank = -1;  // rank -1: all
};

Settings the_settings;
std::vector<Fault> faults;
std::map<std::string, int, std::less<>> calls;
std::set<std::string> used;
bool loaded = false;

[[noreturn]] void refuse(const char* variable, std::string_view value) {
  std::fprintf(stderr,
               "CUDA simulation: %s=%.*s cannot be read: see tests/cuda_simulation/README.md\n",
               variable, static_cast<int>(value.size()), value.data());
  std::exit(2);
}

std::string text(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

template <class T>
T number(const char* variable, std::string_view value) {
  T result{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size() || result < 0) {
    refuse(variable, value);
  }
  return result;
}

template <class T>
void set_number(const char* variable, T& to) {
  const std::string value = text(variable);
  if (!value.empty()) to = number<T>(variable, value);
}

std::vector<std::string> split(const std::string& joined, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= joined.size() && !joined.empty()) {
    const std::size_t end = std::min(joined.find(separator, begin), joined.size());
    parts.push_back(joined.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

void read_orders() {
  constexpr const char* kStreams = "GEMBENCH_SIMULATED_ORDER";
  constexpr const char* kBlocks = "GEMBENCH_SIMULATED_BLOCKS";
  const std::map<std::string, Order, std::less<>> orders = {
      {"", Order::late},         {"eager", Order::eager},     {"late", Order::late},
      {"greedy", Order::greedy}, {"reverse", Order::reverse}, {"random", Order::random}};
  const std::map<std::string, BlockOrder, std::less<>> block_orders = {
    {"", {BlockOrder::forward}},
    {"forward", {BlockOrder::forward}},
    {"reverse", {BlockOrder::reverse}},
    {"shuffle", {BlockOrder::shuffle}},
#if defined(GEMBENCH_BLOCKS_ON_THREADS)
    {"threads", {BlockOrder::forward, 8}},
#endif
  };
  std::uint64_t seed = 0;
  for (const char* variable : {kStreams, kBlocks}) {
    const std::string value = text(variable);
    const std::size_t colon = std::min(value.find(':'), value.size());
    const std::string name = value.substr(0, colon);
    std::uint64_t behind = 0;
    if (colon < value.size()) behind = number<std::uint64_t>(variable, value.substr(colon + 1));
    seed += behind;
    if (variable == kStreams && orders.contains(name)) {
      the_settings.order = orders.at(name);
    } else if (variable == kBlocks && block_orders.contains(name)) {
      the_settings.block_order = block_orders.at(name);
      if (name == "threads" && behind > 0) {
        the_settings.block_order.threads = static_cast<int>(std::min<std::uint64_t>(behind, 64));
      }
    } else {
      refuse(variable, value);
    }
  }
  the_settings.random.seed(seed);
}

void read_faults() {
  constexpr const char* kFault = "GEMBENCH_SIMULATED_FAULT";
  faults.clear();
  calls.clear();
  for (const std::string& part : split(text(kFault), ',')) {
    const auto fields = split(part, ':');
    if (fields.size() < 3 || fields.size() > 4) refuse(kFault, part);
    faults.push_back({fields[0], number<int>(kFault, fields[1]), number<int>(kFault, fields[2]),
                      fields.size() == 4 ? number<int>(kFault, fields[3]) : -1});
  }
}

/// Of `NUMBER[:RANK],...`, the last that is meant for this rank.
void set_of_rank(const char* variable, double& to) {
  for (const std::string& part : split(text(variable), ',')) {
    const auto fields = split(part, ':');
    if (fields.empty() || fields.size() > 2) refuse(variable, part);
    const bool negative = fields[0].starts_with('-');
    const auto value = number<double>(variable, fields[0].substr(negative ? 1 : 0));
    if (fields.size() == 2 && number<int>(variable, fields[1]) != rank_from_environment()) continue;
    to = negative ? -value : value;
  }
}

void read_clock_settings() {
  constexpr const char* kClock = "GEMBENCH_SIMULATED_CLOCK";
  auto& clock = the_settings.clock;
  const std::string kind = text(kClock);
  if (!kind.empty() && kind != "host" && kind != "virtual") refuse(kClock, kind);
  clock.is_virtual = kind == "virtual";
  set_of_rank("GEMBENCH_SIMULATED_CLOCK_OFFSET", clock.offset);
  set_of_rank("GEMBENCH_SIMULATED_CLOCK_DRIFT", clock.drift);
  set_number("GEMBENCH_SIMULATED_CLOCK_STEP", clock.step);
}

void load() {
  the_settings = {};
  used.clear();
  read_orders();
  read_faults();
  read_clock_settings();
  set_number("GEMBENCH_SIMULATED_GPUS", the_settings.gpus);
  set_number("GEMBENCH_SIMULATED_MEMORY", the_settings.memory);
  set_number("GEMBENCH_SIMULATED_CAPABILITY", the_settings.capability);
  set_number("GEMBENCH_SIMULATED_NCCL", the_settings.nccl);
  set_number("GEMBENCH_SIMULATED_TIMEOUT", the_settings.timeout);
  set_number("GEMBENCH_SIMULATED_FIRST_USE", the_settings.first_use);
  the_settings.log = text("GEMBENCH_SIMULATED_LOG") == "1";
  the_settings.slow = text("GEMBENCH_SIMULATED_SLOW");
  the_settings.wrong = text("GEMBENCH_SIMULATED_WRONG");
  the_settings.counters_file = text("GEMBENCH_SIMULATED_COUNTERS");
  loaded = true;
}

}  // namespace

Settings& settings() {
  if (!loaded) load();
  return the_settings;
}

int rank_from_environment() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* value = std::getenv(variable)) return std::atoi(value);
  }
  return 0;
}

int injected_fault(const char* name) {
  if (!loaded) load();
  if (faults.empty()) return 0;
  const int call = ++calls[name];
  for (const Fault& fault : faults) {
    if (fault.name == name && fault.call == call &&
        (fault.rank < 0 || fault.rank == rank_from_environment())) {
      return fault.code;
    }
  }
  return 0;
}

bool first_use(const std::string& what) {
  const double seconds = settings().first_use;
  if (!used.insert(what).second) return false;
  const double until = now() + seconds;
  while (seconds > 0 && now() < until) {
  }
  return true;
}

double slowed(const char* name) {
  for (const std::string& part : split(settings().slow, ',')) {
    const auto fields = split(part, ':');
    if (fields.size() != 2) refuse("GEMBENCH_SIMULATED_SLOW", settings().slow);
    if (fields[0] == name) return number<double>("GEMBENCH_SIMULATED_SLOW", fields[1]);
  }
  return 0;
}

Wrong wrong_results(const char* name) {
  static const std::map<std::string, Wrong> kinds{
      {"nothing", Wrong::nothing}, {"late", Wrong::late}, {"capture", Wrong::capture}};
  for (const std::string& part : split(settings().wrong, ',')) {
    const auto fields = split(part, ':');
    if (fields[0] != name) continue;
    if (fields.size() == 1) return Wrong::zeros;
    const auto kind = kinds.find(fields[1]);
    if (kind == kinds.end()) refuse("GEMBENCH_SIMULATED_WRONG", settings().wrong);
    return kind->second;
  }
  return Wrong::not_at_all;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void say(const std::string& text) {
  std::fprintf(stderr, "CUDA simulation, rank %d: %s\n", rank_from_environment(), text.c_str());
  std::fflush(stderr);
}

}  // namespace gembench::simulation

void gembench_simulation_reload() {
  gembench::simulation::load();
}
