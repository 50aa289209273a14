#pragma once

#include "placement/recordings/recording.hpp"

namespace gembench::inline recordings {

// A source file each; recording_formats() is their table.
extern const RecordingFormat kCountsCsv;
extern const RecordingFormat kNpy;
extern const RecordingFormat kTrtllmStatistics;
extern const RecordingFormat kSglangJson;
extern const RecordingFormat kSglangStat;
extern const RecordingFormat kSglangPerPass;
extern const RecordingFormat kAscendPt;
extern const RecordingFormat kOmniCounts;
extern const RecordingFormat kTrtllmCalibration;
extern const RecordingFormat kVllmLoadStats;
// Of tokens.
extern const RecordingFormat kIds;
extern const RecordingFormat kVllmRouted;
extern const RecordingFormat kSglangRouted;

}  // namespace gembench::inline recordings
