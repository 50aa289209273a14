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

}  // namespace gembench::inline results
