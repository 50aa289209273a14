#include "harness/report/report.hpp"

#include "harness/report/report_data.hpp"
#include "harness/report/report_table.hpp"
#include "harness/report/run_config.hpp"

namespace gembench::inline report {

std::string run_report(const RunReader& file, const Comparison& comparison, const std::string& path,
                       const ReportStyle& style) {
  if (style.format == "csv") return to_text(csv_table(comparison));
  if (style.format == "json") return as_json(file, comparison, path);
  return as_table(file, comparison, path, style.bold);
}

std::string run_report(const std::string& path, const ReportStyle& style) {
  const RunReader file(path);
  return run_report(file, compare(file, stated_non_moe_time(file.info())), path, style);
}

}  // namespace gembench::inline report
