#include <fmt/format.h>

#include "harness/commands.hpp"
#include "harness/printing.hpp"
#include "harness/report.hpp"
#include "placement/error.hpp"

namespace gembench {

void compare_command(const Options& options) {
  if (options.files.empty()) throw usage_error("compare needs at least one results file");
  for (const std::string& path : options.files) print_text(report(path, options.format));
}

}  // namespace gembench
