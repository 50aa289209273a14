#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/report/comparison.hpp"
#include "harness/report/probe_verdict.hpp"
#include "harness/report/profile_compare.hpp"
#include "harness/report/profile_history.hpp"
#include "harness/report/regression.hpp"
#include "results/profile_file.hpp"

/// Numbers for a monitoring system: the text format that Prometheus scrapes
/// (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4), as the textfile collector
/// of its node_exporter reads it. OUTPUT.md lists the metrics.
namespace gembench::inline report {

/// A number, and the labels that say of what. An empty label is left out.
struct MetricSample {
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;  ///< NaN = not known, and not written
};
/// A metric: its name, and a sentence that says what it is.
struct Metric {
  std::string name, help;
  std::vector<MetricSample> samples;
};

/// Of a results file: step times, waits, ranks that arrive last.
[[nodiscard]] std::vector<Metric> metrics_of(const RunReader& file, const Comparison& comparison);
/// Of a run against an earlier one.
[[nodiscard]] std::vector<Metric> metrics_of(const Regression& regression);
/// Of a profile, of its comparison with an older one, and of its devices' past.
[[nodiscard]] std::vector<Metric> metrics_of(const ProfileFile& file,
                                             const std::optional<ProfileComparison>& comparison,
                                             const std::optional<ProfileHistory>& history);
/// Of a probe.
[[nodiscard]] std::vector<Metric> metrics_of(const ProfileFile& file, const ProbeVerdict& verdict);

/// The text: all metrics are gauges. Metrics without a known number are left out; bytes that are no
/// UTF-8 become U+FFFD, since one of them would make the collector refuse the file.
[[nodiscard]] std::string prometheus_text(const std::vector<Metric>& metrics);

}  // namespace gembench::inline report
