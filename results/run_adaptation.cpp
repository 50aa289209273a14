#include "results/run_adaptation.hpp"

#include <span>

#include "results/run_schema.hpp"

namespace gembench::inline results {
namespace {

using h5::extent;
using h5::Extents;

template <class T>
void put(h5::File& file, const h5::Variable& variable, int segment, T value) {
  file.write(variable, {extent(segment)}, {1}, std::span<const T>(&value, 1));
}

}  // namespace

void add_adaptation(h5::File& file, const RunShape& shape) {
  const auto segments = extent(shape.segments);
  for (const h5::Variable* one : schema::kReplans) file.make(*one, {segments});
  file.make(schema::kSegmentSlots,
            {segments, extent(shape.layers), extent(shape.ranks), extent(shape.slots)});
}

void put_adaptation(h5::File& file, const RunShape& shape, const SegmentRecord& block) {
  const ReplanRecord& replan = block.notes.replan;
  put(file, schema::kReplanReason, block.segment, static_cast<std::int32_t>(replan.reason));
  put(file, schema::kReplanExperts, block.segment, replan.experts_moved);
  put(file, schema::kReplanBytes, block.segment, replan.bytes_moved);
  put(file, schema::kReplanSeconds, block.segment, replan.move_seconds);
  put(file, schema::kReplanPlanning, block.segment, replan.planning_seconds);
  put(file, schema::kReplanGain, block.segment, replan.predicted_gain);
  if (block.slots.empty()) return;
  file.write(schema::kSegmentSlots, {extent(block.segment), 0, 0, 0},
             {1, extent(shape.layers), extent(shape.ranks), extent(shape.slots)},
             std::span<const std::int32_t>(block.slots));
}

std::vector<ReplanRecord> read_replans(const h5::File& file, const RunShape& shape) {
  if (!file.has(schema::kSegmentSlots.name)) return {};
  const Extents segments{extent(shape.segments)};
  const auto reasons = file.read<std::int32_t>(schema::kReplanReason, segments);
  const auto experts = file.read<std::int64_t>(schema::kReplanExperts, segments);
  const auto bytes = file.read<std::int64_t>(schema::kReplanBytes, segments);
  const auto seconds = file.read<double>(schema::kReplanSeconds, segments);
  const auto planning = file.read<double>(schema::kReplanPlanning, segments);
  const auto gains = file.read<double>(schema::kReplanGain, segments);
  std::vector<ReplanRecord> replans;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (reasons[i] < -1 || reasons[i] > static_cast<int>(ReplanRecord::Reason::both)) {
      file.refuse("its adaptation gives an unknown reason");
    }
    replans.push_back({static_cast<ReplanRecord::Reason>(reasons[i]), experts[i], bytes[i],
                       seconds[i], planning[i], gains[i]});
  }
  return replans;
}

std::vector<std::int32_t> read_segment_slots(const h5::File& file, const RunShape& shape,
                                             int segment) {
  if (!file.has(schema::kSegmentSlots.name)) return {};
  const Extents count{1, extent(shape.layers), extent(shape.ranks), extent(shape.slots)};
  std::vector<std::int32_t> slots(count[1] * count[2] * count[3]);
  file.read(schema::kSegmentSlots, {extent(segment), 0, 0, 0}, count, slots.data());
  return slots;
}

}  // namespace gembench::inline results
