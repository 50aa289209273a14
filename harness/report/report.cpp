#include "harness/report/report.hpp"

#include "harness/report/report_data.hpp"
#include "harness/report/report_table.hpp"

namespace gembench::inline report {

std::string run_report(const RunReader& file, const Comparison& comparison, const std::string& path,
                       const ReportStyle& style) {
  if (style.format == "csv") return to_text(csv_table(comparison), style.part);
  if (style.format == "json") return as_json(file, comparison, path);
  return as_table(file, comparison, path, style.bold);
}

}  // namespace gembench::inline report
