#pragma once

#include "placement/exchange/recording.hpp"

namespace gembench {

// A source file each; recording_formats() is their table.
extern const RecordingFormat kCountsCsv;

}  // namespace gembench
