#include "harness/report/sensitivity_report.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace gembench {
namespace {

TEST(Sensitivity, a_row_is_the_mean_over_draws_with_students_interval) {
  const std::vector<double> reference{1, 2, 4}, own{0.9, 1.6, 3.6};  // -10, -20, -10 %
  const SensitivityRow row = sensitivity_row("gem", 1.2, 0.1, own, &reference);
  EXPECT_DOUBLE_EQ(row.step_mean, 6.1 / 3);
  EXPECT_NEAR(row.change.value(), -0.4 / 3, 1e-12);
  const double half = 4.302652730 * std::sqrt(0.02 / 3 / 2 / 3);  // t of 2 degrees of freedom
  EXPECT_NEAR(row.low.value(), -0.4 / 3 - half, 1e-6);
  EXPECT_NEAR(row.high.value(), -0.4 / 3 + half, 1e-6);
}

TEST(Sensitivity, what_is_unknown_is_left_out) {
  const std::vector<double> one{2};
  const SensitivityRow first = sensitivity_row("linear", 0, 0, one, nullptr);
  EXPECT_FALSE(first.change);
  const SensitivityRow other = sensitivity_row("gem", 0, 0, one, &one);
  EXPECT_EQ(other.change, 0);
  EXPECT_FALSE(other.low) << "one draw has no interval";
  const auto json = nlohmann::json::parse(sensitivity_report({}, {first, other}, "json"));
  EXPECT_TRUE(json["sensitivity"][0]["change"].is_null());
  EXPECT_EQ(json["sensitivity"][1]["change"], 0);
  EXPECT_EQ(sensitivity_report({}, {first}, "csv"),
            "strategy,alpha,spread,step_mean,change,low,high\n\"linear\",0,0,2,,,\n");
  EXPECT_NE(sensitivity_report({}, {first, other}, "table").find("against linear"),
            std::string::npos);
}

}  // namespace
}  // namespace gembench
