#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "harness/agreement.hpp"
#include "harness/commands.hpp"
#include "harness/session.hpp"
#include "harness/version.hpp"
#include "results/profile_file.hpp"

namespace gembench {
namespace {

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace

void profile_command(const Comm& comm, const Options& options, Progress& progress) {
  on_root(comm, [&] {
    if (options.output.empty()) throw usage_error("profile needs --output FILE");
    if (!options.overwrite && std::filesystem::exists(options.output)) {
      throw Error(ExitCode::output, fmt::format("{} exists: pass --overwrite or choose another "
                                                "--output",
                                                options.output));
    }
  });
  Session session(comm, options, progress);
  const Profile profile = session.measure_profile();
  on_root(comm, [&] {
    write_profile(options.output, profile, options.overwrite);
    fmt::print("# {}  {}  clock {} ({})\n", program_version(), profile.device, profile.clock,
               session.clock_reason);
    fmt::print("# {}\n", session.describe_model());
    fmt::print(
        "# median us of the expert phase, load spread evenly over {} experts; +- half the "
        "interquartile range\n# tokens",
        session.linear.slots);
    for (int rank = 0; rank < profile.ranks; ++rank)
      fmt::print("{:>20}", fmt::format("rank {}", rank));
    for (std::size_t knot = 0; knot < profile.knots.size(); ++knot) {
      fmt::print("\n{:>8}", profile.knots[knot]);
      for (int rank = 0; rank < profile.ranks; ++rank) {
        const double half = profile.spread[sz(rank) * profile.knots.size() + knot] / 2;
        fmt::print("{:>20}",
                   fmt::format("{:.1f} +- {:.1f}", profile.at(rank, knot) * 1e6, half * 1e6));
      }
    }
    fmt::print("\n# overhead");
    for (const double seconds : profile.overhead) fmt::print(" {:.1f}", seconds * 1e6);
    fmt::print(" us a layer (route and shared experts)\n# slowdown, emulated:");
    for (const double s : profile.slowdown) fmt::print(" {:.3f}", s);
    fmt::print("\n# result: {}\n", options.output);
    std::fflush(stdout);
  });
}

}  // namespace gembench
