#include "harness/report/report.hpp"

#include "harness/report/report_data.hpp"
#include "harness/report/report_table.hpp"
#include "harness/report/run_config.hpp"

namespace gembench::inline report {

std::string run_report(const RunReader& file, const Comparison& comparison, const std::string& path,
                       const std::string& format) {
  if (format == "csv") return as_csv(file, comparison);
  if (format == "json") return as_json(file, comparison, path);
  return as_table(file, comparison, path);
}

std::string run_report(const std::string& path, const std::string& format) {
  const RunReader file(path);
  return run_report(file, compare(file, stated_non_moe_time(file.info())), path, format);
}

}  // namespace gembench::inline report
