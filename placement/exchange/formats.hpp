#pragma once

#include "placement/exchange/recording.hpp"

namespace gembench {

// A source file each; recording_formats() is their table.
extern const RecordingFormat kCountsCsv;
extern const RecordingFormat kTrtllmCalibration;
extern const RecordingFormat kVllmLoadStats;
// Of tokens.
extern const RecordingFormat kIds;
extern const RecordingFormat kVllmRouted;
extern const RecordingFormat kSglangRouted;

}  // namespace gembench
