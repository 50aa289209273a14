#include "results/profile_file.hpp"

#include <limits>

#include "results/output_file.hpp"

namespace gembench {
namespace {

using h5::Cells;
using h5::File;
using h5::Layout;
using h5::Type;
using h5::Variable;

constexpr std::string_view kSchema = "gembench-profile";
constexpr std::string_view kVersion = "1.0.0";

constexpr Variable kRank{"rank",   Type::int32, Layout::whole, Cells::complete,
                         {"rank"}, "1",         "MPI rank"};
constexpr Variable kKnot{"knot",   Type::int64, Layout::whole,       Cells::complete,
                         {"knot"}, "1",         "tokens on the rank"};
constexpr Variable curve(std::string_view name, std::string_view meaning) {
  return {name, Type::float64, Layout::whole, Cells::complete, {"rank", "knot"}, "s", meaning};
}
constexpr Variable per_rank(std::string_view name, std::string_view units,
                            std::string_view meaning) {
  return {name, Type::float64, Layout::whole, Cells::complete, {"rank"}, units, meaning};
}

/// Every array of Profile with its dataset.
struct Entry {
  Variable variable;
  std::vector<double> Profile::*values = nullptr;
};
constexpr Entry kEntries[] = {
    {curve("latency", "median time of the expert phase"), &Profile::latency},
    {curve("spread", "interquartile range of the same repeats"), &Profile::spread},
    {per_rank("overhead", "s", "time per layer that no placement changes"), &Profile::overhead},
    {per_rank("slowdown", "1", "emulated stretch contained in the numbers"), &Profile::slowdown},
};

h5::Extents extents_of(const Variable& variable, std::uint64_t ranks, std::uint64_t knots) {
  return variable.rank() == 2 ? h5::Extents{ranks, knots} : h5::Extents{ranks};
}

}  // namespace

void write_profile(const std::filesystem::path& path, const Profile& profile, bool overwrite) {
  validate(profile);
  OutputFile output(path, overwrite ? OutputFile::Existing::replace : OutputFile::Existing::refuse,
                    OutputFile::Partial::discard);
  auto& file = output.file();
  file.set("/", "schema", std::string(kSchema));
  file.set("/", "schema_version", std::string(kVersion));
  file.set("/", "model", profile.model);
  file.set("/", "device", profile.device);
  file.set("/", "clock", profile.clock);
  const auto ranks = static_cast<std::uint64_t>(profile.ranks);
  std::vector<std::int32_t> index;
  for (int rank = 0; rank < profile.ranks; ++rank) index.push_back(rank);
  file.make_scale(kRank, ranks);
  file.write(kRank, std::span<const std::int32_t>(index));
  file.make_scale(kKnot, profile.knots.size());
  file.write(kKnot, std::span<const std::int64_t>(profile.knots));
  for (const auto& entry : kEntries) {
    file.make(entry.variable, extents_of(entry.variable, ranks, profile.knots.size()));
    file.write(entry.variable, std::span<const double>(profile.*entry.values));
  }
  output.commit();
}

Profile read_profile(const std::filesystem::path& path) {
  const auto file = File::open(path);
  file.expect_schema(kSchema, kVersion);
  const auto ranks = file.extents(kRank).front(), knots = file.extents(kKnot).front();
  if (ranks > std::numeric_limits<int>::max()) file.refuse("its extents are impossible");
  Profile profile;
  profile.ranks = static_cast<int>(ranks);
  profile.model = file.get<std::string>("/", "model");
  profile.device = file.get<std::string>("/", "device");
  profile.clock = file.get<std::string>("/", "clock");
  try {
    profile.knots = file.read<std::int64_t>(kKnot, {knots});
    for (const auto& entry : kEntries) {
      profile.*entry.values =
          file.read<double>(entry.variable, extents_of(entry.variable, ranks, knots));
    }
  } catch (const std::bad_alloc&) {
    file.refuse("it is larger than the memory of this machine");
  }
  file.expect_valid(profile);
  return profile;
}

}  // namespace gembench
