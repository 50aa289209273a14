#include "harness/run/address_layout.hpp"

#include <sys/personality.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace gembench::inline run {

void reenter_with_fixed_addresses(char** argv) {
  constexpr const char* kOnce = "GEMBENCH_REENTERED";  // the flag does not survive every exec
  constexpr unsigned long kAsk = 0xffffffff;
  const int before = personality(kAsk);
  const bool again = std::getenv(kOnce) != nullptr;
  unsetenv(kOnce);  // programs that this one starts are not the second
  if (again || before < 0 || (before & ADDR_NO_RANDOMIZE) != 0) return;
  if (personality(static_cast<unsigned long>(before) | ADDR_NO_RANDOMIZE) < 0) return;
  // By its own path, so that the process keeps its name.
  std::error_code unknown;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", unknown);
  if (!unknown && setenv(kOnce, "1", 1) == 0) execv(path.c_str(), argv);  // returns if it cannot
  unsetenv(kOnce);
  static_cast<void>(personality(static_cast<unsigned long>(before)));
}

}  // namespace gembench::inline run
