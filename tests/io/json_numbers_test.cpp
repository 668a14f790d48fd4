#include "halftone/io/json_numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "halftone/io/strict_json.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(JsonNumbers, WhatIsNotFiniteComesBackFromStrictJson) {
  const nlohmann::ordered_json written{{"a", kInfinity},
                                       {"b", {{"c", -kInfinity}, {"d", {1.5, kNan}}}}};
  EXPECT_EQ(json_text(written), R"({"a":"Infinity","b":{"c":"-Infinity","d":[1.5,"NaN"]}})");
  const nlohmann::json read = parse_strict_json(json_text(written, 2), "test");
  EXPECT_EQ(json_number(read["a"]), kInfinity);
  EXPECT_EQ(json_number(read["b"]["c"]), -kInfinity);
  EXPECT_EQ(json_number(read["b"]["d"][0]), 1.5);
  EXPECT_TRUE(std::isnan(json_number(read["b"]["d"][1]).value()));
}

TEST(JsonNumbers, FiniteNumbersStayNumbersBitForBit) {
  for (const double x : {0.1, 1e300, 5e-324, 0.0, 20.0})
    EXPECT_EQ(json_number(parse_strict_json(json_text(x), "test")), x);
  EXPECT_EQ(json_text({{"n", 3}}), R"({"n":3})");
}

TEST(JsonNumbers, NullOfEarlierFilesIsNanAndOtherTextsAreNoNumbers) {
  EXPECT_TRUE(std::isnan(json_number(nullptr).value()));
  for (const nlohmann::json& other :
       {nlohmann::json("inf"), nlohmann::json("1"), nlohmann::json(true), nlohmann::json({1})})
    EXPECT_FALSE(json_number(other)) << other;
}

TEST(JsonNumbers, ATextThatIsNotUtf8IsWrittenWithAMark) {
  EXPECT_EQ(json_text({{"path", "a\xff"}}), "{\"path\":\"a\xef\xbf\xbd\"}");
}

}  // namespace
}  // namespace halftone
