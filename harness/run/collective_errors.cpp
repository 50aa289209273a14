#include "harness/run/collective_errors.hpp"

#include <exception>

namespace gembench::inline run {
namespace {

/// Exit code and message of what `work` threw, "" if nothing.
std::string outcome_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return fmt::format("{}{}", static_cast<int>(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return fmt::format("{}out of memory: use fewer --tokens or --layers, or a larger --scale",
                       static_cast<int>(ExitCode::environment));
  } catch (const std::exception& error) {
    return fmt::format("{}{}", static_cast<int>(ExitCode::failed), error.what());
  }
  return {};
}

[[noreturn]] void throw_agreed(const std::string& outcome) {
  throw AgreedError(static_cast<ExitCode>(outcome[0] - '0'), outcome.substr(1));
}

}  // namespace

void on_root(const Comm& comm, const std::function<void()>& work) {
  std::string outcome = comm.rank() == 0 ? outcome_of(work) : "";
  comm.broadcast(outcome);
  if (!outcome.empty()) throw_agreed(outcome);
}

void require_same(const Comm& comm, const std::string& mine, const std::string& sentence) {
  std::string roots = mine;
  comm.broadcast(roots);
  on_every_rank(comm, [&] {
    if (mine == roots) return;
    throw usage_error(fmt::format(fmt::runtime(sentence), comm.rank(), mine, roots));
  });
}

void on_every_rank(const Comm& comm, const std::function<void()>& work) {
  const auto outcomes = comm.gather(outcome_of(work));
  std::string first;
  for (const std::string& outcome : outcomes) {
    if (first.empty()) first = outcome;
  }
  comm.broadcast(first);
  if (!first.empty()) throw_agreed(first);
}

}  // namespace gembench::inline run
