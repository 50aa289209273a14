#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "placement/loads/trace.hpp"
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
extern const RecordingFormat kRouteLines;

[[nodiscard]] std::span<const RecordingFormat> recording_formats();

/// The formats of proposals that no release has adopted, for help texts.
[[nodiscard]] std::string experimental_recording_formats();

/// By its name, or where `name` is "auto" the only one that recognises the input, else each of its
/// paths. Usage error that names the candidates.
[[nodiscard]] const RecordingFormat& find_format(std::string_view name,
                                                 const RecordingInput& input);

/// Recordings in the input, in its order: one, or one for each path if the format recognises every
/// path alone but not all together.
[[nodiscard]] std::vector<RecordingInput> recordings_in(const RecordingFormat& format,
                                                        const RecordingInput& input);

/// The whole recording of steps in memory, its layers equalised (LayerSums' tolerance) and
/// validated. Usage error that names the file.
[[nodiscard]] Trace read_recording(std::string_view format, const RecordingInput& input);

}  // namespace gembench::inline recordings
