// GoogleTest under MPI. A failure on any rank is printed by that rank at once and counts for all; a
// fatal failure or an exception would leave the others waiting, so it ends the job. So does a hang,
// after GEMBENCH_TEST_SECONDS, with the test each rank is in.

#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

/// What a hanging rank says; written ahead, because a signal handler must not format.
char hang_message[256] = "hangs outside of tests\n";

extern "C" void on_alarm(int) {
  std::size_t length = 0;
  while (hang_message[length] != '\0') ++length;
  [[maybe_unused]] auto written = write(STDERR_FILENO, hang_message, length);
  // The other ranks' alarms are due now too: let them speak before mpirun ends them all.
  sleep(1);
  _exit(1);
}

void guard_against_hangs() {
  const char* seconds = std::getenv("GEMBENCH_TEST_SECONDS");
  if (!seconds) return;
  std::signal(SIGALRM, on_alarm);
  alarm(static_cast<unsigned>(std::atoi(seconds)));
}

/// Prints this rank's failures without communicating. It must not ask GoogleTest for the current
/// test while a failure is reported: a mutex is held then.
class RankListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& info) override {
    name_ = std::string(info.test_suite_name()) + "." + info.name();
    std::snprintf(hang_message, sizeof(hang_message), "[rank %d] hangs in %s\n", world_rank(),
                  name_.c_str());
  }
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s %s:%d\n%s\n", world_rank(), name_.c_str(),
                 result.file_name() ? result.file_name() : "?", result.line_number(),
                 result.message());
    if (result.fatally_failed()) MPI_Abort(MPI_COMM_WORLD, 1);
  }
  std::string name_;
};

}  // namespace

int main(int argc, char** argv) {
  guard_against_hangs();
  MPI_Init(&argc, &argv);
  testing::InitGoogleTest(&argc, argv);
  // An exception counts as a fatal failure of its test.
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (world_rank() != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new RankListener);
  int result = RUN_ALL_TESTS();
  MPI_Allreduce(MPI_IN_PLACE, &result, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return result;
}
