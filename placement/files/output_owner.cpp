#include "placement/files/output_owner.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline files {
namespace fs = std::filesystem;
namespace {

using std::chrono::milliseconds;

/// How often, and at what interval, to retry reading a file that another process is just writing.
constexpr int kLooks = 20;
constexpr milliseconds kBetweenLooks{20};
/// Without locks: how long a name of a dead owner must stay ours before we rely on it.
constexpr milliseconds kSettled{100};
/// How often a name may be released just when it is requested.
constexpr int kAttempts = 100;

/// The lines of PATH.lock about its owner.
struct Owner {
  std::string host;
  std::string processes;  ///< where a process id means something: the boot and its pid namespace
  long process = 0;
  std::string started;  ///< in clock ticks since the boot: process ids are used again
  std::string job;      ///< Slurm's, empty outside of one
  long restarts = 0;    ///< how often Slurm has queued that job again

  friend bool operator==(const Owner&, const Owner&) = default;
};

std::string text_of(const Owner& owner) {
  return fmt::format("host {}\nprocesses {}\nprocess {}\nstarted {}\njob {}\nrestarts {}\n",
                     owner.host, owner.processes, owner.process, owner.started, owner.job,
                     owner.restarts);
}

Owner owner_in(const std::string& text) {
  Owner owner;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.find(' ');
    if (space == std::string::npos) continue;
    const std::string name = line.substr(0, space), value = line.substr(space + 1);
    if (name == "host") owner.host = value;
    if (name == "processes") owner.processes = value;
    if (name == "process") owner.process = std::strtol(value.c_str(), nullptr, 10);
    if (name == "started") owner.started = value;
    if (name == "job") owner.job = value;
    if (name == "restarts") owner.restarts = std::strtol(value.c_str(), nullptr, 10);
  }
  return owner;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// When a process of this host started; empty when it does not run any more.
std::string start_of(long process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto name_end = text.rfind(')');  // a name may hold anything
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  fields >> field;  // the third of proc(5): the state
  if (field == "Z" || field == "X") return {};
  for (int i = 4; i <= 22; ++i) fields >> field;
  return field;
}

Owner this_process() {
  Owner owner;
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  owner.host = host;
  std::error_code error;
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  std::getline(boot, owner.processes);
  owner.processes += ' ' + fs::read_symlink("/proc/self/ns/pid", error).string();
  owner.process = getpid();
  owner.started = start_of(owner.process);
  owner.job = environment("SLURM_JOB_ID");
  owner.restarts = std::strtol(environment("SLURM_RESTART_COUNT").c_str(), nullptr, 10);
  return owner;
}

enum class State { alive, dead, unknown };

State state_of(const Owner& owner, const Owner& mine) {
  if (owner.process == 0) return State::dead;  // it died before it could write who it is
  if (owner.processes == mine.processes && owner.host == mine.host) {
    const bool runs = kill(static_cast<pid_t>(owner.process), 0) == 0 || errno == EPERM;
    return runs && start_of(owner.process) == owner.started ? State::alive : State::dead;
  }
  // Slurm restarts a job only when no process of it runs any more.
  const bool same_job = !owner.job.empty() && owner.job == mine.job;
  return same_job && owner.restarts < mine.restarts ? State::dead : State::unknown;
}

Error cannot_write(const fs::path& path, int error) {
  return Error(ExitCode::output,
               fmt::format("cannot write {}: {}", path.string(), system_reason(error)));
}

Owner read_owner(int file) {
  char text[1024];
  const auto size = pread(file, text, sizeof text, 0);
  return owner_in(std::string(text, size > 0 ? static_cast<std::size_t>(size) : 0));
}

/// Another process writes it just after it has made the file.
Owner read_owner_patiently(int file) {
  Owner owner = read_owner(file);
  for (int look = 0; owner.process == 0 && look < kLooks; ++look) {
    std::this_thread::sleep_for(kBetweenLooks);
    owner = read_owner(file);
  }
  return owner;
}

void write_owner(int file, const fs::path& path) {
  const std::string text = text_of(this_process());
  errno = ENOSPC;  // what a short write means
  if (ftruncate(file, 0) != 0 ||
      pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    throw cannot_write(path, errno);
  }
}

bool is_at(int file, const fs::path& path) {
  struct stat here {
  }, there{};
  return fstat(file, &here) == 0 && stat(path.c_str(), &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

[[noreturn]] void refuse(const fs::path& path, const fs::path& lock, const Owner& owner,
                         State state) {
  const std::string name = path.string();
  std::string sentence;
  if (owner.process == 0) {
    sentence = fmt::format(
        "{} is being written by another process: wait for its end or choose another name", name);
  } else if (owner == this_process()) {
    sentence = fmt::format("{} is named for two outputs of one command: choose two names", name);
  } else if (state == State::unknown) {
    sentence = fmt::format(
        "{} is being written by process {} on {}, as far as can be seen from here: wait for its "
        "end or, if it is gone, delete {}",
        name, owner.process, owner.host, lock.string());
  } else {
    sentence = fmt::format(
        "{} is being written by process {} on {}: wait for its end or choose another name", name,
        owner.process, owner.host);
  }
  throw Error(ExitCode::output, sentence);
}

/// A new file with our name replaces a dead owner's. If several processes try, the last one wins,
/// and the others notice.
int replace_dead(const fs::path& path, const fs::path& lock) {
  const Owner mine = this_process();
  const fs::path mine_path = fmt::format("{}.{}.{}", lock.string(), mine.host, mine.process);
  const int file = open(mine_path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) throw cannot_write(path, errno);
  std::error_code error;
  try {
    write_owner(file, path);
    fs::rename(mine_path, lock);
  } catch (const std::exception&) {
    close(file);
    fs::remove(mine_path, error);
    throw;
  }
  std::this_thread::sleep_for(kSettled);
  if (is_at(file, lock)) return file;
  close(file);
  const int other = open(lock.c_str(), O_RDONLY | O_CLOEXEC);
  const Owner owner = other < 0 ? Owner{} : read_owner_patiently(other);
  if (other >= 0) close(other);
  refuse(path, lock, owner, State::alive);
}

}  // namespace

OutputOwner::OutputOwner(std::filesystem::path path)
    : path_(std::move(path)), lock_path_(fs::path(path_) += ".lock") {
  try {
    claim();
  } catch (...) {
    if (file_ >= 0) close(file_);
    throw;
  }
}

OutputOwner::OutputOwner(OutputOwner&& other) noexcept
    : path_(other.path_),
      lock_path_(other.lock_path_),
      file_(std::exchange(other.file_, -1)),
      locked_(other.locked_) {}

OutputOwner::~OutputOwner() {
  if (file_ < 0) return;
  // Before the lock is released: whoever gets it then sees that it no longer belongs to the name.
  if (is_at(file_, lock_path_)) unlink(lock_path_.c_str());
  close(file_);
}

void OutputOwner::claim() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    file_ = open(lock_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool created = file_ >= 0;
    if (!created && errno != EEXIST) throw cannot_write(path_, errno);
    if (!created) file_ = open(lock_path_.c_str(), O_RDWR | O_CLOEXEC);
    if (file_ < 0 && errno != ENOENT) throw cannot_write(lock_path_, errno);
    if (file_ >= 0 && claim_file(created)) return;
    if (file_ >= 0) close(std::exchange(file_, -1));
  }
  throw cannot_write(lock_path_, EBUSY);
}

/// Whether file_ is ours now; false if its owner has just released the name.
bool OutputOwner::claim_file(bool created) {
  int failure = 0;
  do {
    failure = flock(file_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  } while (failure == EINTR);
  if (failure == EWOULDBLOCK) {
    const Owner owner = read_owner_patiently(file_);
    if (!is_at(file_, lock_path_)) return false;
    refuse(path_, lock_path_, owner, State::alive);
  }
  locked_ = failure == 0;
  if (!is_at(file_, lock_path_)) return false;
  if (!created) {
    const Owner owner = locked_ ? read_owner(file_) : read_owner_patiently(file_);
    const State state = state_of(owner, this_process());
    // If the lock is available, an owner on another host is dead.
    if (state == State::alive || (state == State::unknown && !locked_)) {
      refuse(path_, lock_path_, owner, state);
    }
    if (!locked_) {
      close(std::exchange(file_, -1));
      file_ = replace_dead(path_, lock_path_);
      return true;
    }
  }
  try {
    write_owner(file_, path_);
  } catch (const Error&) {
    unlink(lock_path_.c_str());
    throw;
  }
  return true;
}

void require_new(const std::filesystem::path& path) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(path, ignored))) {
    throw Error(
        ExitCode::output,
        fmt::format("{} exists: pass --overwrite or choose another --output", path.string()));
  }
}

}  // namespace gembench::inline files
