#include "tests/cuda_simulation/counters.hpp"

#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "tests/cuda_simulation/environment.hpp"

namespace gembench::simulation {
namespace {

using Counters = GembenchSimulationCounters;
constexpr std::array<std::pair<const char*, std::int64_t Counters::*>, 33> kFields = {{
    {"launches", &Counters::launches},
    {"synchronizations", &Counters::synchronizations},
    {"queries", &Counters::queries},
    {"allocations", &Counters::allocations},
    {"host_allocations", &Counters::host_allocations},
    {"frees", &Counters::frees},
    {"copies", &Counters::copies},
    {"copied_bytes", &Counters::copied_bytes},
    {"pageable_copies", &Counters::pageable_copies},
    {"sets", &Counters::sets},
    {"event_records", &Counters::event_records},
    {"event_waits", &Counters::event_waits},
    {"gemm_calls", &Counters::gemm_calls},
    {"gemms", &Counters::gemms},
    {"nccl_groups", &Counters::nccl_groups},
    {"nccl_sends", &Counters::nccl_sends},
    {"nccl_receives", &Counters::nccl_receives},
    {"nccl_sent_bytes", &Counters::nccl_sent_bytes},
    {"nccl_unaligned", &Counters::nccl_unaligned},
    {"nccl_contacts", &Counters::nccl_contacts},
    {"first_uses", &Counters::first_uses},
    {"captured_calls", &Counters::captured_calls},
    {"graph_instantiations", &Counters::graph_instantiations},
    {"graph_updates", &Counters::graph_updates},
    {"graph_launches", &Counters::graph_launches},
    {"graph_allocations", &Counters::graph_allocations},
    {"graph_kernels", &Counters::graph_kernels},
    {"graph_copies", &Counters::graph_copies},
    {"graph_sets", &Counters::graph_sets},
    {"graph_products", &Counters::graph_products},
    {"graph_exchanges", &Counters::graph_exchanges},
    {"live_bytes", &Counters::live_bytes},
    {"peak_bytes", &Counters::peak_bytes},
}};
static_assert(kFields.size() * sizeof(std::int64_t) == sizeof(Counters),
              "every counter is written");

/// Writes the counters to GEMBENCH_SIMULATED_COUNTERS.RANK when the process ends.
struct Holder {
  Counters values{};
  Holder() = default;
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    const std::string& name = settings().counters_file;
    if (name.empty()) return;
    std::FILE* file =
        std::fopen((name + "." + std::to_string(rank_from_environment())).c_str(), "w");
    if (!file) {
      say("cannot write " + name);
      return;
    }
    const char* before = "{";
    for (const auto& [field, value] : kFields) {
      std::fprintf(file, "%s\"%s\": %lld", before, field, static_cast<long long>(values.*value));
      before = ", ";
    }
    std::fputs("}\n", file);
    std::fclose(file);
  }
};

Holder& holder() {
  settings();  // made before, so that it is there when the holder goes
  static Holder the_holder;
  return the_holder;
}

}  // namespace

GembenchSimulationCounters& counters() {
  return holder().values;
}

}  // namespace gembench::simulation

const GembenchSimulationCounters* gembench_simulation_counters() {
  return &gembench::simulation::counters();
}

void gembench_simulation_reset_counters() {
  auto& values = gembench::simulation::counters();
  const auto live = values.live_bytes;
  values = {};
  values.live_bytes = values.peak_bytes = live;
}
