// Our own placement.json, as a row of the table; placement_file.hpp describes it.

#include <fmt/format.h>

#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {
namespace {

bool recognise(std::string_view content) {
  return mentions(content, "gembench-placement");
}

PlacementFile read(std::string_view content, const StatedShape& /*stated*/) {
  return {placement_from_json(content)};
}

std::string usage(const PlacementFile& /*file*/, const std::string& path) {
  return fmt::format("gembench score {}, --placements file:{}, plan --from {}", path, path, path);
}

}  // namespace

const PlacementFormat kGembenchFormat = {
    "gembench", "gembench's placement.json", "nothing", recognise,
    read,       placement_to_json,           usage,     {},
    "gembench"};

}  // namespace gembench::inline exchange
