#pragma once

#include <optional>
#include <string>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// What a run has found, for a reader who reads one line of it.
struct Verdict {
  /// The placement that is faster than every other one beyond doubt: all intervals hold together,
  /// and it was not planned on the measured steps.
  std::optional<int> fastest;
  std::string sentence;  ///< without a full stop
};
[[nodiscard]] Verdict verdict_of(const RunReader& file, const Comparison& comparison);

/// What comes before a sentence about such placements (see planned_in_sample).
inline constexpr const char* kInSample =
    "planned on the measured steps (in-sample), so gains are larger than a deployment would see: ";

/// Whether the check of a complete run failed: its times are of something else.
[[nodiscard]] bool outputs_are_wrong(const RunReader& file);

/// The placement that every interval of `every_pair` says is faster; none while one is open.
[[nodiscard]] std::optional<int> fastest_of(const Comparison& comparison);

/// The placement with the least step time against `first`, among those that are certainly faster
/// than it if there are any; `first` itself if none seems to be faster.
[[nodiscard]] int looks_fastest(const Comparison& comparison, int first);

/// "-13.30 % (95 % CI -14.10 % .. -12.50 %)"
[[nodiscard]] std::string in_words(const Difference& d);

/// "gem is faster than linear: step time -13.30 % (95 % CI -14.10 % .. -12.50 %)", the faster one
/// first; none if the interval is missing or includes zero. For pooled launches too.
[[nodiscard]] std::optional<std::string> faster_sentence(const std::string& placement,
                                                         const std::string& reference,
                                                         double typical, std::optional<double> low,
                                                         std::optional<double> high);

/// "no difference was found between gem and linear", of `names` "gem and linear"; where there is no
/// interval, none was `looked_for`: "too short to tell gem and linear apart".
[[nodiscard]] std::string undecided(const std::string& names, bool looked_for);

}  // namespace gembench::inline report
