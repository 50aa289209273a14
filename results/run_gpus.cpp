#include "results/run_gpus.hpp"

#include <algorithm>
#include <span>

#include "results/run_schema.hpp"

namespace gembench::inline results {

void add_gpus(h5::File& file, const h5::Extents& cells) {
  const auto ranks = cells.back();
  file.make_group("gpu");
  for (const Measured& time : kGpuTimes) file.make(time.stored, cells);
  for (const auto& number : schema::kGpuNumbers) {
    file.make(number.before, {ranks});
    file.make(number.after, {ranks});
  }
  file.make(schema::kThrottleBefore, {ranks});
  file.make(schema::kThrottleAfter, {ranks});
  for (const auto& use : schema::kGpuUses) file.make(use.variable, {ranks});
  file.make(schema::kGpuReadings, {ranks});
  file.make(schema::kThrottleDuring, {ranks});
}

void put_gpus(h5::File& file, const std::vector<GpuReading>& readings, bool after) {
  std::vector<double> values(readings.size());
  for (const auto& number : schema::kGpuNumbers) {
    std::transform(readings.begin(), readings.end(), values.begin(),
                   [&](const GpuReading& reading) { return reading.*number.member; });
    file.write(after ? number.after : number.before, std::span<const double>(values));
  }
  std::vector<std::int64_t> reasons;
  for (const GpuReading& reading : readings) reasons.push_back(reading.throttle_reasons);
  file.write(after ? schema::kThrottleAfter : schema::kThrottleBefore,
             std::span<const std::int64_t>(reasons));
}

void put_gpus(h5::File& file, const std::vector<GpuUse>& uses) {
  if (!file.has(schema::kGpuReadings.name)) return;  // begun by a version before 2.9.0
  const auto put = [&](const h5::Variable& variable, auto member, auto type) {
    std::vector<decltype(type)> values;
    for (const GpuUse& use : uses) values.push_back(use.*member);
    file.write(variable, std::span<const decltype(type)>(values));
  };
  for (const auto& use : schema::kGpuUses) put(use.variable, use.member, double{});
  put(schema::kGpuReadings, &GpuUse::readings, std::int64_t{});
  put(schema::kThrottleDuring, &GpuUse::throttle_reasons, std::int64_t{});
}

std::vector<GpuUse> read_gpu_uses(const h5::File& file, std::uint64_t ranks) {
  if (!file.has("gpu") || !file.has(schema::kGpuReadings.name)) return {};
  std::vector<GpuUse> uses(ranks);
  for (const auto& use : schema::kGpuUses) {
    const auto values = file.read<double>(use.variable, {ranks});
    for (std::size_t i = 0; i < values.size(); ++i) uses[i].*use.member = values[i];
  }
  const auto readings = file.read<std::int64_t>(schema::kGpuReadings, {ranks});
  const auto reasons = file.read<std::int64_t>(schema::kThrottleDuring, {ranks});
  for (std::size_t i = 0; i < uses.size(); ++i) {
    uses[i].readings = readings[i];
    uses[i].throttle_reasons = reasons[i];
  }
  return uses;
}

}  // namespace gembench::inline results
