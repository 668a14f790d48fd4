// Small charts as inline SVG: points, lines, round ticks, a legend. Colours come from the page's
// style sheet (classes s0 ... s7), so that they follow light and dark; shapes tell series apart
// without colour.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace halftone {

struct Series {
  std::string name;  // empty: a plain line in the colour of the axes
  std::vector<std::pair<double, double>> points;
  bool line = true;       // joined in the order given
  bool markers = false;   // a shape at each point
  bool labelled = false;  // its name beside its first point, and not in the legend
};

struct Chart {
  std::string title, x_title, y_title;
  bool log_y = false;
  std::optional<double> level;  // a horizontal line, for instance the teacher
  std::string level_name;
  std::vector<Series> series;
};

// Points that are not finite, or not positive on a log axis, are left out. Empty when nothing is
// left to show. Texts are escaped.
std::string svg_chart(const Chart& chart);

std::string escape_html(const std::string& text);

// Round numbers that cover [low, high], about five; on a log axis 1, 2, 5 times powers of ten.
std::vector<double> round_ticks(double low, double high, bool log_scale);

}  // namespace halftone
