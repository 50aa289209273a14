#pragma once

#include "placement/exchange/format_row.hpp"

namespace gembench::inline exchange {

// The rows of placement_formats(), each defined in the file of its engine, which describes the
// schema and pitfalls of the loader.
extern const PlacementFormat kGembenchFormat;
extern const PlacementFormat kSglangFormat;
extern const PlacementFormat kTrtllmFormat;
extern const PlacementFormat kVllmAscendFormat;
extern const PlacementFormat kVllmMapFormat;
extern const PlacementFormat kVllmJsonlFormat;
extern const PlacementFormat kVllmRankMapFormat;
extern const PlacementFormat kOmniFormat;
extern const PlacementFormat kPhy2logFormat;

}  // namespace gembench::inline exchange
