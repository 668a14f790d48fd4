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

// What its axis cannot show is drawn as an arrow at the edge, with the value beside the name: on
// any axis numbers that are not finite, on a log axis those that are not above 0, or that are out
// of all proportion to the others.
struct Chart {
  std::string title, x_title, y_title;
  bool log_y = false;
  double most_over_median = 1e6;  // on a log axis; a millionth of the median is the least
  std::optional<double> level;    // a horizontal line, for instance the teacher
  std::string level_name;
  std::vector<Series> series;
};

// Empty when there is nothing that its axes can show. Of the points of a line that share a column
// of pixels only the extremes are drawn. Texts are escaped.
std::string svg_chart(const Chart& chart);

std::string escape_html(const std::string& text);

// Round numbers that cover [low, high], about five; on a log axis 1, 2, 5 times powers of ten.
std::vector<double> round_ticks(double low, double high, bool log_scale);

}  // namespace halftone
