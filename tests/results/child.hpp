#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>

#include "placement/base/error.hpp"

/// Writers that end early are processes of their own.
namespace gembench::example {

/// Ends with the exit code of the Error that `body` throws.
inline int in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 0;
    try {
      body();
    } catch (const Error& error) {
      std::fprintf(stderr, "[child] %s\n", error.what());
      code = static_cast<int>(error.code());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "[child] %s\n", error.what());
      code = 99;
    }
    std::exit(code);  // with exit handlers: HDF5's must not spoil the file
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/// A limit on the size of files acts like a disk that fills up at that size.
inline void limit_file_size(std::uintmax_t bytes) {
  signal(SIGXFSZ, SIG_IGN);
  const rlimit size{bytes, bytes};
  setrlimit(RLIMIT_FSIZE, &size);
}

/// A child that says after each step how far it is, for a kill at any moment.
class Reporter {
 public:
  /// `body` calls its argument after each step; then the child waits for its end.
  explicit Reporter(const std::function<void(const std::function<void()>&)>& body) {
    int ends[2];
    if (pipe(ends) != 0) throw std::exception();
    child_ = fork();
    if (child_ == 0) {
      close(ends[0]);
      try {
        body([&] {
          if (::write(ends[1], "x", 1) != 1) _exit(98);
        });
      } catch (const std::exception& error) {
        std::fprintf(stderr, "[child] %s\n", error.what());
        _exit(99);
      }
      pause();
    }
    close(ends[1]);
    from_ = ends[0];
  }
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter() {
    kill();
    close(from_);
  }
  /// Waits for so many more steps; false when the child ended before.
  [[nodiscard]] bool wait_for(int steps) {
    char byte = 0;
    for (int i = 0; i < steps; ++i) {
      if (::read(from_, &byte, 1) != 1) return false;
    }
    return true;
  }
  void kill() {
    if (child_ < 0) return;
    ::kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }

 private:
  pid_t child_ = -1;
  int from_ = -1;
};

}  // namespace gembench::example
