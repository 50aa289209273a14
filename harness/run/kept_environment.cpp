#include "harness/run/kept_environment.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace gembench::inline run {
namespace {

constexpr std::string_view kKept[] = {
    // Open MPI; its launcher and its wires since 5.0; MPICH.
    "OMPI_MCA_",      "PRTE_MCA_",    "PMIX_MCA_", "MPIR_CVAR_", "SLURM_JOB",
    "SLURM_NTASKS",   "SLURM_NNODES", "NCCL_",     "UCX_",       "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS"};

constexpr std::string_view kTemporary[] = {"/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run"};

bool is_address(const std::string& word) {
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  return inet_pton(AF_INET6, word.c_str(), parsed.data()) == 1 ||
         inet_pton(AF_INET, word.substr(0, word.find(':')).c_str(), parsed.data()) == 1;
}

bool is_temporary(std::string_view word) {
  return std::ranges::any_of(kTemporary, [&](std::string_view folder) {
    return word.starts_with(folder) && (word.size() == folder.size() || word[folder.size()] == '/');
  });
}

/// Calls `look` with what lies between these characters, until it says true.
template <class F>
bool any_word(std::string_view text, std::string_view between, F look) {
  while (true) {
    const auto end = text.find_first_of(between);
    if (look(text.substr(0, end))) return true;
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

bool is_of_this_run_alone(std::string_view value) {
  return value.find("://") != std::string_view::npos ||
         any_word(value, ",;=[]/ ",
                  [](std::string_view word) { return is_address(std::string(word)); }) ||
         any_word(value, ",;=: ", is_temporary);
}

std::map<std::string, std::string> kept_environment(const char* const* environment) {
  std::map<std::string, std::string> kept;
  for (; *environment != nullptr; ++environment) {
    const std::string_view text = *environment;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    const auto name = text.substr(0, equals), value = text.substr(equals + 1);
    const bool wanted = std::ranges::any_of(
        kKept, [&](std::string_view prefix) { return name.starts_with(prefix); });
    if (wanted && !is_of_this_run_alone(value)) kept["env_" + std::string(name)] = value;
  }
  return kept;
}

}  // namespace gembench::inline run
