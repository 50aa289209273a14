#include "harness/report/prometheus.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "placement/base/random.hpp"
#include "tests/results/example.hpp"

namespace gembench {
namespace {

TEST(Prometheus, writes_help_type_and_a_line_for_each_known_number) {
  const Metric two{"a_ratio",
                   "What",
                   {{{{"rank", "0"}, {"host", ""}}, 0.25},
                    {{{"rank", "1"}}, NAN},
                    {{}, std::numeric_limits<double>::infinity()}}};
  EXPECT_EQ(prometheus_text({two, {"b_ratio", "Unknown", {{{}, NAN}}}, {"c_ratio", "None", {}}}),
            "# HELP a_ratio What\n# TYPE a_ratio gauge\na_ratio{rank=\"0\"} 0.25\na_ratio +Inf\n");
}

TEST(Prometheus, escapes_what_would_end_a_label_or_a_line_and_mends_what_is_no_text) {
  EXPECT_EQ(prometheus_text({{"a", "x\\y\nz\"", {{{{"l", "q\"\\\n\xff\xc3\x9c"}}, 1}}}}),
            "# HELP a x\\\\y\\nz\"\n# TYPE a gauge\na{l=\"q\\\"\\\\\\n\xef\xbf\xbd\xc3\x9c\"} 1\n");
}

TEST(Prometheus, a_profile_gives_each_rank_with_its_device_and_when) {
  Random random(1);
  ProfileFile file = example::profile_file(2, random);
  file.measured = "1970-01-02T00:00:01Z";
  const std::string text = prometheus_text(metrics_of(file, {}, {}));
  for (const char* part :
       {"gembench_rank_slower_ratio{rank=\"1\",host=\"host1 Ü\",device=\"device_id1 Ü\"} ",
        "# TYPE gembench_rank_slow gauge\n", "\ngembench_profile_timestamp_seconds 86401\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  EXPECT_EQ(text.find("change_ratio"), std::string::npos) << "without an older profile";
  file.measured = "yesterday";
  EXPECT_EQ(prometheus_text(metrics_of(file, {}, {})).find("timestamp"), std::string::npos);
}

}  // namespace
}  // namespace gembench
