#include "halftone/report/svg_chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/rng.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(SvgChart, TicksAreRoundAndCoverTheRange) {
  EXPECT_EQ(round_ticks(0, 10, false), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(round_ticks(9, 60, true), (std::vector<double>{10, 20, 50}));
}

// No tag holds a number that is not finite, or one so large that it is written with an exponent.
void expect_numbers_inside(const std::string& svg) {
  for (const char* bad : {"nan", "inf", "e+", "e-"})
    for (size_t at = svg.find(bad); at != std::string::npos; at = svg.find(bad, at + 1))
      if (svg.rfind('<', at) > svg.rfind('>', at)) ADD_FAILURE() << svg.substr(at - 40, 80);
}

Chart broken_chart() {
  Chart chart{.title = "c", .log_y = true};
  for (const auto& [name, y] : std::vector<std::pair<std::string, double>>{{"good", 20},
                                                                           {"better", 18},
                                                                           {"huge", 1e300},
                                                                           {"endless", kInfinity},
                                                                           {"undefined", -kNan},
                                                                           {"nothing", 0},
                                                                           {"below", -kInfinity}})
    chart.series.push_back({.name = name,
                            .points = {{static_cast<double>(chart.series.size()), y}},
                            .line = false,
                            .markers = true,
                            .labelled = true});
  return chart;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(SvgChart, WhatItsAxisCannotShowIsAnArrowWithTheValue) {
  const std::string svg = svg_chart(broken_chart());
  expect_numbers_inside(svg);
  for (const char* label : {">good<", ">huge 1e+300<", ">endless inf<", ">undefined nan<",
                            ">nothing 0<", ">below -inf<"})
    EXPECT_NE(svg.find(label), std::string::npos) << label;
  EXPECT_EQ(count(svg, "<path class='line s"), 5u) << svg;
  EXPECT_EQ(count(svg, "V13.0m-4 6l4 -6l4 6'"), 3u);    // at the upper edge
  EXPECT_EQ(count(svg, "V295.0m-4 -6l4 6l4 -6'"), 2u);  // at the lower one
  EXPECT_NE(svg.find("'>20<"), std::string::npos);      // the axis is that of the good ones
  EXPECT_EQ(svg.find("'>100<"), std::string::npos);
}

TEST(SvgChart, TheTeachersLineMayBeBeyondTheAxisToo) {
  Chart chart = broken_chart();
  chart.level_name = "teacher";
  for (const double y : {kNan, kInfinity, 1e300, 0.0}) {
    chart.level = y;
    expect_numbers_inside(svg_chart(chart));
    EXPECT_NE(svg_chart(chart).find(">teacher "), std::string::npos);
    EXPECT_EQ(svg_chart(chart).find("class='level'"), std::string::npos);
  }
  chart.level = 17;
  EXPECT_NE(svg_chart(chart).find("class='level'"), std::string::npos);
}

TEST(SvgChart, ALineBreaksWhereItLeavesTheAxis) {
  const Chart chart{
      .log_y = true,
      .series = {{.name = "s", .points = {{1, 3}, {2, 2}, {3, kNan}, {4, kNan}, {5, 2}, {6, 1}}}}};
  const std::string svg = svg_chart(chart);
  expect_numbers_inside(svg);
  const size_t path = svg.find("<path class='line s0' d='M");
  const std::string drawn = svg.substr(path, svg.find("'/>", path) - path);
  EXPECT_EQ(count(drawn, "M"), 2u) << drawn;
  EXPECT_EQ(count(drawn, "L"), 2u) << drawn;
  EXPECT_NE(svg.find("s (nan at 3)"), std::string::npos);
}

TEST(SvgChart, APointOfALineWithoutNeighboursIsAMarker) {
  const Chart chart{.series = {{.name = "s", .points = {{1, 3}, {2, kNan}, {3, 2}, {4, 2}}}}};
  EXPECT_EQ(count(svg_chart(chart), "<circle"), 2u);  // it, and the legend's
}

TEST(SvgChart, NothingThatItsAxesCanShowIsNoChart) {
  Chart chart{.log_y = true, .series = {{.name = "s", .points = {{1, 0}, {2, kNan}}}}};
  EXPECT_EQ(svg_chart(chart), "");
  chart.series[0].points.push_back({3, 5});
  EXPECT_NE(svg_chart(chart), "");
}

TEST(SvgChart, AWideRangeWithoutGapsIsShownWhole) {
  Chart chart{.log_y = true, .series = {{.name = "s"}}};
  for (int i = 0; i <= 10; ++i) chart.series[0].points.emplace_back(i, std::pow(10, -i));
  EXPECT_EQ(svg_chart(chart).find("m-4"), std::string::npos);
}

TEST(SvgChart, NoNumbersBreakIt) {
  const double largest = std::numeric_limits<double>::max();
  const std::vector<double> values{
      kNan, kInfinity, -kInfinity, 0,      -0.0,  5e-324, 1e-300, 1e300,     largest, -largest, 1,
      20,   1 + 1e-15, 2,          -1e300, 1e-12, 1e12,   1e17,   1e17 + 64, -5,      1e6};
  Rng rng(1, RngStream::test);
  for (int i = 0; i < 3000; ++i) {
    SCOPED_TRACE(i);
    Chart chart{.log_y = rng.below(2) == 0, .most_over_median = 1e3, .level_name = "l"};
    if (rng.below(2)) chart.level = values[rng.below(values.size())];
    for (uint64_t n = rng.below(4); n > 0; --n) {
      chart.series.push_back({.name = "s", .markers = true, .labelled = rng.below(2) == 0});
      for (uint64_t k = rng.below(5); k > 0; --k)
        chart.series.back().points.emplace_back(values[rng.below(values.size())],
                                                values[rng.below(values.size())]);
    }
    expect_numbers_inside(svg_chart(chart));
  }
}

TEST(SvgChart, OfAMillionPointsItDrawsTheExtremesOfEachColumn) {
  Chart chart{.log_y = true, .series = {{.name = "s"}}};
  for (int i = 0; i < 1000000; ++i)
    chart.series[0].points.emplace_back(i, i == 777777 ? 50 : i % 1000 ? 2 + i % 2 : kNan);
  const std::string svg = svg_chart(chart);
  EXPECT_LT(svg.size(), 60000u);
  EXPECT_NE(svg.find("'>50<"), std::string::npos);  // one point in a million made the axis
  EXPECT_EQ(count(svg, " 27.2"), 1u) << "and is drawn";
}

TEST(SvgChart, TextsAreEscaped) {
  EXPECT_EQ(escape_html("a<b> & \"c\" 'd'").find_first_of("<>\"'"), std::string::npos);
  EXPECT_EQ(escape_html("a<b"), "a&lt;b");
  const Chart chart{.title = "<i>", .series = {{.name = "<b>", .points = {{1, 1}, {2, 2}}}}};
  const std::string svg = svg_chart(chart);
  EXPECT_EQ(svg.find("<i>"), std::string::npos);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_NE(svg.find("&lt;b&gt;"), std::string::npos);
}

}  // namespace
}  // namespace halftone
