#include "halftone/eval/result.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "halftone/io/json_numbers.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Result, ABrokenModelKeepsAllItsFigures) {
  RunResult run{.evaluated = true,
                .eval = {.perplexity = kInfinity,
                         .agreement = Agreement{.teacher_perplexity = kNan, .kl = 1e300}},
                .layers = {{"q_proj", kNan}}};
  const nlohmann::json json = nlohmann::json::parse(result_json(run));
  EXPECT_EQ(json_number(json["eval"]["perplexity"]), kInfinity);
  EXPECT_TRUE(std::isnan(json_number(json["eval"]["teacher_perplexity"]).value()));
  EXPECT_EQ(json_number(json["agreement"]["kl"]), 1e300);
  EXPECT_EQ(json["layers"][0]["relative_error"], "NaN");
}

TEST(Result, ATeachersPerplexityOfZeroIsOne) {
  const Evaluation with{.perplexity = 5, .agreement = Agreement{}};
  const auto json = nlohmann::json::parse(evaluation_json(with, {}, 0, ""));
  EXPECT_EQ(json["teacher_perplexity"], 0);
  EXPECT_TRUE(json.contains("agreement"));
  const auto alone = nlohmann::json::parse(evaluation_json({.perplexity = 5}, {}, 0, ""));
  EXPECT_FALSE(alone.contains("teacher_perplexity"));
  EXPECT_FALSE(alone.contains("agreement"));
}

}  // namespace
}  // namespace halftone
