#include "harness/run/placement_files.hpp"

#include <fmt/format.h>

#include "harness/cli/option_values.hpp"
#include "harness/cli/placement_names.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/strategy.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline run {

FileOrigin origin_of(const std::string& path, const PlacementFile& file, const TraceDigests& trace,
                     int first, int count) {
  FileOrigin origin{path, std::nullopt, count};
  if (!file.planned_on) return origin;
  const int planned = count_planned(*file.planned_on, trace, first, count);
  if (planned > 0 || file.planned_on->complete) origin.planned = planned;
  return origin;
}

std::string to_text(const FileOrigin& origin) {
  if (!origin.planned) return fmt::format("{} does not say what it was planned on", origin.path);
  if (*origin.planned == 0)
    return fmt::format("{} was planned on none of these steps", origin.path);
  return fmt::format("{} was planned on {} of these {} steps (IN-SAMPLE)", origin.path,
                     *origin.planned, origin.judged);
}

void require_readable(const SessionOptions& options, const Comm& comm) {
  const int ranks = comm.size();
  const bool builtin = comm.is_simulated() && options.profile.starts_with(kBuiltin);
  if (!options.profile.empty() && !builtin) {
    const Profile profile = read_profile(options.profile);
    if (profile.ranks != ranks) {
      throw usage_error(
          fmt::format("{} holds {} ranks but {} run: measure one with gembench profile",
                      options.profile, profile.ranks, ranks));
    }
  }
  const ModelShape model = model_of(options);
  for (const std::string& name : options.placements) {
    const std::string strategy = parse_placement_name(name).strategy;
    const std::string path(file_in(strategy));
    if (path.empty()) continue;
    static_cast<void>(read_any_placement(path, {ranks, model.layers, model.experts}));
  }
}

std::string check_placement_files(const std::vector<std::string>& placements,
                                  const Workload& workload, int ranks, int slots, bool in_sample) {
  std::string said;
  for (const std::string& name : placements) {
    const std::string strategy = parse_placement_name(name).strategy;
    const std::string path(file_in(strategy));
    if (path.empty()) continue;
    const PlacementFile file = read_placement_file_for(path, workload.measured, ranks);
    try {
      static_cast<void>(with_slots(file.placement, slots));
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", path, error.what()));
    }
    const FileOrigin origin =
        origin_of(path, file, workload.digests, workload.first_measured, workload.measured.steps);
    if (origin.planned.value_or(0) > 0 && !in_sample) {
      throw usage_error(fmt::format(
          "{} was planned on {} of the {} steps to be measured: plan on earlier ones with gembench "
          "plan --plan-steps N, measure others, or add --in-sample, which the header repeats",
          path, *origin.planned, origin.judged));
    }
    said += fmt::format("{}{}", said.empty() ? "" : "; ", to_text(origin));
  }
  return said;
}

}  // namespace gembench::inline run
