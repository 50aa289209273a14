#pragma once

#include "placement/exchange/format_row.hpp"

namespace gembench::inline exchange {

// The rows of placement_formats(), each made in the file of its engine. Schemas and the traps of
// their loaders are described there.
extern const PlacementFormat kGembenchFormat;
extern const PlacementFormat kSglangFormat;
extern const PlacementFormat kTrtllmFormat;
extern const PlacementFormat kVllmAscendFormat;
extern const PlacementFormat kVllmMapFormat;
extern const PlacementFormat kVllmJsonlFormat;
extern const PlacementFormat kVllmRankMapFormat;
extern const PlacementFormat kOmniFormat;

}  // namespace gembench::inline exchange
