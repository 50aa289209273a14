#include "results/profile_file.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "results/hdf5/output_file.hpp"
#include "results/run_profile.hpp"
#include "results/run_schema.hpp"
#include "results/run_series.hpp"
#include "results/whole_arrays.hpp"

namespace gembench::inline results {
namespace {

using h5::Extents;
using h5::File;
using h5::Type;
using h5::Variable;

constexpr std::string_view kVersion = "1.5.0";

constexpr Variable kRound = schema::scale("round", "round", "round of measurement");
constexpr Variable of_sweep(std::string_view name, std::string_view meaning) {
  return schema::complete(name, Type::float64, {"rank", "active_load", "active"}, "s", meaning);
}

/// Every array of a profile of schema 1.0.0 with its dataset.
struct Entry {
  Variable variable;
  std::vector<double> Profile::*values = nullptr;
};
constexpr Entry kEntries[] = {
    {schema::curve("latency", "median time of the expert phase"), &Profile::latency},
    {schema::curve("spread", "interquartile range of the same repeats"), &Profile::spread},
    {schema::per_rank("overhead", "s", "time per layer that no placement changes"),
     &Profile::overhead},
    {schema::per_rank("slowdown", "1", "emulated stretch contained in the numbers"),
     &Profile::slowdown},
};

constexpr Variable kActiveLatency =
    of_sweep("active_latency", "median time of the expert phase with few experts active");
constexpr Variable kSamples = schema::unmeasured(
    "samples", Type::float64, {"rank", "load_point", "round"}, "s", "every reading, outliers too");
constexpr Variable kActiveSamples =
    schema::unmeasured("active_samples", Type::float64, {"rank", "active_load", "active", "round"},
                       "s", "every reading, outliers too");
constexpr Variable kRoutedLatency = schema::routed_latency("routed_latency");
constexpr Variable kRoutedTokens = schema::routed_tokens("routed_tokens");
constexpr Variable kRoutedSamples =
    schema::unmeasured("routed_samples", Type::float64, {"rank", "routed", "round"}, "s",
                       "every reading, outliers too");
/// Statistics of the load points' samples, for reading the file without gembench.
constexpr Variable kLow = schema::curve("low", "lower end of the median's 95 % interval");
constexpr Variable kHigh = schema::curve("high", "upper end of the median's 95 % interval");
constexpr Variable kOutliers = schema::complete("outliers", Type::int32, {"rank", "load_point"},
                                                "1", "samples far from the median");

/// One number of GpuReading, before and after.
constexpr auto kNumbers = std::to_array<schema::GpuNumber>(
    {schema::gpu_number("state/clock_before", "state/clock_after", "Hz", "clock",
                        &GpuReading::clock),
     schema::gpu_number("state/memory_clock_before", "state/memory_clock_after", "Hz",
                        "clock of the memory", &GpuReading::memory_clock),
     schema::gpu_number("state/power_before", "state/power_after", "W", "power drawn",
                        &GpuReading::power),
     schema::gpu_number("state/temperature_before", "state/temperature_after", "degC",
                        "temperature", &GpuReading::temperature)});

Extents extents_of(const Variable& variable, std::uint64_t ranks, std::uint64_t load_points) {
  return variable.rank() == 2 ? Extents{ranks, load_points} : Extents{ranks};
}

/// [rank][point from first on][round]
std::vector<double> samples_of(const ProfileSamples& samples, std::size_t first,
                               std::size_t points) {
  std::vector<double> part;
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(samples.ranks); ++rank) {
    const auto begin =
        samples.seconds.begin() +
        static_cast<std::ptrdiff_t>((rank * samples.points + first) * samples.rounds);
    part.insert(part.end(), begin, begin + static_cast<std::ptrdiff_t>(points * samples.rounds));
  }
  return part;
}

void add_samples(File& file, const Profile& profile, const ProfileSamples& samples) {
  const auto ranks = static_cast<std::uint64_t>(profile.ranks), rounds = samples.rounds;
  const std::uint64_t load_points = profile.load_points.size();
  add_index(file, kRound, rounds);
  add(file, kSamples, {ranks, load_points, rounds}, samples_of(samples, 0, load_points));
  if (const ActiveSweep& sweep = profile.active; !sweep.empty()) {
    add(file, kActiveSamples, {ranks, sweep.loads.size(), sweep.active.size(), rounds},
        samples_of(samples, load_points, sweep.points()));
  }
  if (const std::size_t routed = profile.routed.points; routed > 0) {
    add(file, kRoutedSamples, {ranks, routed, rounds},
        samples_of(samples, load_points + profile.active.points(), routed));
  }
  std::vector<double> low, high;
  std::vector<std::int32_t> outliers;
  for (int rank = 0; rank < profile.ranks; ++rank) {
    for (std::size_t load_point = 0; load_point < load_points; ++load_point) {
      const Median median = median_of(samples.of(rank, load_point));
      low.push_back(median.low);
      high.push_back(median.high);
      outliers.push_back(median.outliers);
    }
  }
  add(file, kLow, {ranks, load_points}, low);
  add(file, kHigh, {ranks, load_points}, high);
  add(file, kOutliers, {ranks, load_points}, outliers);
}

void add_state(File& file, const std::vector<GpuReading>& readings, bool after) {
  for (const auto& number : kNumbers) {
    std::vector<double> values;
    for (const auto& reading : readings) values.push_back(reading.*number.member);
    add(file, after ? number.after : number.before, {readings.size()}, values);
  }
}

void add_attributes(File& file, const ProfileFile& content) {
  const Profile& profile = content.profile;
  file.set("/", "schema", std::string(kProfileSchema));
  file.set("/", "schema_version", std::string(kVersion));
  file.set("/", "model", profile.model);
  file.set("/", "device", profile.device);
  file.set("/", "clock", profile.clock);
  file.set("/", "measured", content.measured);
  file.set("/", "program", content.program);
  file.set("/", "slots", std::int64_t{profile.slots});
  file.set("/", "warmup_rounds", std::int64_t{content.warmup_rounds});
  file.set("/", "warm", std::int64_t{content.warm});
  file.set("/", "tight", std::int64_t{content.tight});
  file.set("/", "seconds", content.seconds);
  if (const SoakRecord& soak = content.soak; soak.steps >= 0) {
    file.set("/", "soak_seconds", soak.seconds);
    file.set("/", "soak_steps", soak.steps);
    file.set("/", "soak_steady", std::int64_t{soak.steady});
    file.set("/", "soak_unsteady", soak.unsteady);
  }
  if (profile.slots == 0) return;
  const FitError tokens = CostModel(profile).fit_error(),
                 experts = CostModel(profile, CostKind::per_expert, profile.slots).fit_error();
  file.set("/", "fit_tokens_mean", tokens.mean);
  file.set("/", "fit_tokens_worst", tokens.worst);
  file.set("/", "fit_experts_mean", experts.mean);
  file.set("/", "fit_experts_worst", experts.worst);
}

ProfileSamples read_samples(const File& file, const Profile& profile) {
  ProfileSamples samples;
  if (!file.has(kSamples.name)) return samples;
  const auto ranks = static_cast<std::uint64_t>(profile.ranks);
  const std::uint64_t load_points = profile.load_points.size(), rounds = file.extents(kSamples)[2];
  auto of_load_points = file.read<double>(kSamples, {ranks, load_points, rounds});
  const ActiveSweep& sweep = profile.active;
  std::vector<double> of_active;
  if (!sweep.empty()) {
    of_active =
        file.read<double>(kActiveSamples, {ranks, sweep.loads.size(), sweep.active.size(), rounds});
  }
  std::vector<double> of_routed;
  if (const std::uint64_t routed = profile.routed.points; routed > 0) {
    of_routed = file.read<double>(kRoutedSamples, {ranks, routed, rounds});
  }
  samples.ranks = profile.ranks;
  samples.points = load_points + sweep.points() + profile.routed.points;
  samples.rounds = rounds;
  for (std::uint64_t rank = 0; rank < ranks; ++rank) {
    for (auto* part : {&of_load_points, &of_active, &of_routed}) {
      const auto size = static_cast<std::ptrdiff_t>(part->size() / ranks);
      const auto begin = part->begin() + static_cast<std::ptrdiff_t>(rank) * size;
      samples.seconds.insert(samples.seconds.end(), begin, begin + size);
    }
  }
  const auto is_time = [](double s) { return std::isnan(s) || (std::isfinite(s) && s >= 0); };
  if (!std::ranges::all_of(samples.seconds, is_time)) file.refuse("a sample is no time");
  return samples;
}

std::vector<GpuReading> read_state(const File& file, std::uint64_t ranks, bool after) {
  std::vector<GpuReading> readings(ranks);
  for (const auto& number : kNumbers) {
    const auto values = file.read<double>(after ? number.after : number.before, {ranks});
    for (std::size_t i = 0; i < values.size(); ++i) readings[i].*number.member = values[i];
  }
  return readings;
}

void read_profile_group(const File& file, std::uint64_t ranks, Profile& profile) {
  profile.ranks = static_cast<int>(ranks);
  profile.model = file.get<std::string>("/", "model");
  profile.device = file.get<std::string>("/", "device");
  profile.clock = file.get<std::string>("/", "clock");
  const auto load_points = file.extents(schema::kLoadPoint).front();
  profile.load_points = file.read<std::int64_t>(schema::kLoadPoint, {load_points});
  for (const auto& entry : kEntries) {
    profile.*entry.values =
        file.read<double>(entry.variable, extents_of(entry.variable, ranks, load_points));
  }
  profile.slots = read_count(file, "slots");
  if (file.has(kActiveLatency.name)) {
    const auto extents = file.extents(kActiveLatency);
    profile.active.loads = file.read<std::int64_t>(schema::kActiveLoad, {extents[1]});
    profile.active.active = file.read<std::int32_t>(schema::kActive, {extents[2]});
    profile.active.latency = file.read<double>(kActiveLatency, {ranks, extents[1], extents[2]});
  }
  read_routed(file, kRoutedLatency, kRoutedTokens, profile);
  file.expect_valid(profile);
}

/// What 1.1.0 added to the numbers.
void read_circumstances(const File& file, std::uint64_t ranks, ProfileFile& content) {
  content.samples = read_samples(file, content.profile);
  if (file.has("state")) {
    content.before = read_state(file, ranks, false);
    content.after = read_state(file, ranks, true);
  }
  if (file.has("environment")) {
    for (const auto& name : file.members("environment")) {
      content.rank_facts[name] =
          file.read_texts(schema::fact_of_rank("environment/" + name), {ranks});
    }
  }
  if (file.has("series")) static_cast<void>(SeriesReader(file, ranks));
  const auto told = file.attributes("/");
  if (std::ranges::find(told, "soak_steps") != told.end()) {
    content.soak = {file.get<double>("/", "soak_seconds"),
                    file.get<std::int64_t>("/", "soak_steps"),
                    file.get<std::int64_t>("/", "soak_steady") == 1 ? 1 : 0,
                    file.get<std::string>("/", "soak_unsteady")};
  }
  if (std::ranges::find(told, "program") != told.end())
    content.program = file.get<std::string>("/", "program");
  if (std::ranges::find(told, "measured") == told.end()) return;
  content.measured = file.get<std::string>("/", "measured");
  content.warmup_rounds = read_count(file, "warmup_rounds");
  content.warm = file.get<std::int64_t>("/", "warm") != 0;
  content.tight = file.get<std::int64_t>("/", "tight") != 0;
  content.seconds = file.get<double>("/", "seconds");
}

}  // namespace

void write_profile(const std::filesystem::path& path, const ProfileFile& content, bool overwrite) {
  write_profile(OutputOwner(path), content, overwrite);
}

void write_profile(OutputOwner owner, const ProfileFile& content, bool overwrite) {
  const Profile& profile = content.profile;
  validate(profile);
  OutputFile output(std::move(owner),
                    overwrite ? OutputFile::Existing::replace : OutputFile::Existing::refuse,
                    OutputFile::Partial::discard);
  auto& file = output.file();
  add_attributes(file, content);
  const auto ranks = static_cast<std::uint64_t>(profile.ranks);
  add_index(file, schema::kRank, ranks);
  add_scale(file, schema::kLoadPoint, profile.load_points);
  for (const auto& entry : kEntries) {
    add(file, entry.variable, extents_of(entry.variable, ranks, profile.load_points.size()),
        profile.*entry.values);
  }
  if (const ActiveSweep& sweep = profile.active; !sweep.empty()) {
    file.make_scale(schema::kActiveLoad, sweep.loads.size());
    file.write(schema::kActiveLoad, std::span<const std::int64_t>(sweep.loads));
    file.make_scale(schema::kActive, sweep.active.size());
    file.write(schema::kActive, std::span<const std::int32_t>(sweep.active));
    add(file, kActiveLatency, {ranks, sweep.loads.size(), sweep.active.size()}, sweep.latency);
  }
  add_routed(file, profile, kRoutedLatency, kRoutedTokens);
  if (content.samples.points > 0) add_samples(file, profile, content.samples);
  if (!content.before.empty()) {
    file.make_group("state");
    add_state(file, content.before, false);
    add_state(file, content.after, true);
  }
  if (!content.series.empty()) {
    require_size(content.series, {ranks}, "series");
    add_series(file, content.series);
  }
  if (!content.rank_facts.empty()) file.make_group("environment");
  for (const auto& [name, values] : content.rank_facts) {
    const auto variable_name = "environment/" + name;
    const auto variable = schema::fact_of_rank(variable_name);
    file.make(variable, {ranks});
    file.write(variable, values);
  }
  output.commit();
}

ProfileFile read_profile_file(const std::filesystem::path& path) {
  const auto file = File::open(path, schema::kRenamed);
  file.expect_schema(kProfileSchema, kVersion);
  const auto ranks = file.extents(schema::kRank).front();
  if (ranks > std::numeric_limits<int>::max()) file.refuse("its extents are impossible");
  ProfileFile content;
  try {
    read_profile_group(file, ranks, content.profile);
    read_circumstances(file, ranks, content);
  } catch (const std::bad_alloc&) {
    file.refuse("it is larger than the memory of this machine");
  }
  return content;
}

std::vector<StateSample> read_profile_series(const std::filesystem::path& path, int rank) {
  const auto file = File::open(path, schema::kRenamed);
  file.expect_schema(kProfileSchema, kVersion);
  const auto ranks = file.extents(schema::kRank).front();
  if (rank < 0 || static_cast<std::uint64_t>(rank) >= ranks) {
    throw std::out_of_range("read_profile_series: no such rank");
  }
  return SeriesReader(file, ranks).of(static_cast<std::uint64_t>(rank));
}

Profile read_profile(const std::filesystem::path& path) {
  return read_profile_file(path).profile;
}

}  // namespace gembench::inline results
