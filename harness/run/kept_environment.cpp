#include "harness/run/kept_environment.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace gembench::inline run {
namespace {

/// Names that begin so.
constexpr std::string_view kKept[] = {
    // Open MPI; its launcher and its wires since 5.0; MPICH.
    "OMPI_MCA_",
    "PRTE_MCA_",
    "PMIX_MCA_",
    "MPIR_CVAR_",
    "NCCL_",
    "UCX_",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS"};

/// Slurm's, by whole names; `of_job`: they name the job or its nodes.
struct SlurmVariable {
  std::string_view name;
  bool of_job = false;
};
constexpr SlurmVariable kSlurm[] = {
    {"SLURM_JOB_ID", true},    {"SLURM_JOB_NODELIST", true}, {"SLURM_JOB_PARTITION", true},
    {"SLURM_JOB_NUM_NODES"},   {"SLURM_JOB_CPUS_PER_NODE"},  {"SLURM_JOB_GPUS"},
    {"SLURM_NTASKS"},          {"SLURM_NTASKS_PER_CORE"},    {"SLURM_NTASKS_PER_GPU"},
    {"SLURM_NTASKS_PER_NODE"}, {"SLURM_NTASKS_PER_SOCKET"},  {"SLURM_NNODES"}};

bool is_kept(std::string_view name) {
  return std::ranges::find(kSlurm, name, &SlurmVariable::name) != std::end(kSlurm) ||
         std::ranges::any_of(kKept,
                             [&](std::string_view prefix) { return name.starts_with(prefix); });
}

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

/// Calls `take` with every variable's name and value.
template <class F>
void for_each(const char* const* environment, F take) {
  for (; *environment != nullptr; ++environment) {
    const std::string_view text = *environment;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) take(text.substr(0, equals), text.substr(equals + 1));
  }
}

/// Whose environment it is; empty = unknown.
struct Person {
  std::string_view home, user, login;
};

Person person_in(const char* const* environment) {
  Person person;
  for_each(environment, [&](std::string_view name, std::string_view value) {
    if (name == "HOME" && value != "/") person.home = value;
    if (name == "USER") person.user = value;
    if (name == "LOGNAME") person.login = value;
  });
  return person;
}

/// Whether a value names the home folder, or a folder called like the user.
bool is_personal(std::string_view value, const Person& person) {
  if (!person.home.empty() && value.find(person.home) != std::string_view::npos) return true;
  return value.find('/') != std::string_view::npos &&
         any_word(value, "/,;=: ", [&](std::string_view word) {
           return !word.empty() && (word == person.user || word == person.login);
         });
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
  const Person person = person_in(environment);
  for_each(environment, [&](std::string_view name, std::string_view value) {
    if (!is_kept(name) || is_of_this_run_alone(value) || is_personal(value, person)) return;
    kept[fmt::format("env_{}", name)] = value;
  });
  return kept;
}

bool names_job(std::string_view kept) {
  return std::ranges::any_of(kSlurm, [&](const SlurmVariable& one) {
    return one.of_job && kept == fmt::format("env_{}", one.name);
  });
}

}  // namespace gembench::inline run
