#include "halftone/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "halftone/base/number_text.h"

namespace halftone {
namespace {

constexpr double kWidth = 560, kHeight = 340, kLeft = 64, kRight = 16, kTop = 12, kBottom = 44;
constexpr size_t kColours = 8;
constexpr double kLargest = 1e300;     // beyond it axes would overflow
constexpr double kArrowDistance = 12;  // pixels between two of a series

std::string number(double x) {
  if (x == 0) return "0";  // not -0
  if (!std::isfinite(x)) return fixed_text(x, 0);
  if (std::abs(x) >= 1e5 || std::abs(x) < 1e-3) return fmt::format("{:.0e}", x);
  return fmt::format("{:.6g}", x);
}

struct Axis {
  double low = 0, high = 1, from = 0, to = 1;
  bool log_scale = false;
  std::vector<double> ticks;

  double at(double x) const {
    const double a = log_scale ? std::log(x) : x, l = log_scale ? std::log(low) : low,
                 h = log_scale ? std::log(high) : high;
    return from + (to - from) * (a - l) / (h - l);
  }
};

Axis fit_axis(double low, double high, double from, double to, bool log_scale) {
  const double pad = log_scale ? std::pow(high / low, 0.06) : 0.06 * (high - low);
  if (log_scale) {
    low /= std::max(pad, 1.02);
    high *= std::max(pad, 1.02);
  } else {
    const double least = std::max(pad, 1e-9 + 0.02 * std::abs(high));
    low -= least;
    high += least;
  }
  return {low, high, from, to, log_scale, round_ticks(low, high, log_scale)};
}

std::string marker(size_t kind, double x, double y) {
  const std::string css = fmt::format("s{}", kind % kColours);
  switch ((kind + kind / kColours) % 4) {  // after eight, the same colours in other shapes
    case 0:
      return fmt::format("<circle class='m {}' cx='{:.1f}' cy='{:.1f}' r='4.5'/>", css, x, y);
    case 1:
      return fmt::format("<rect class='m {}' x='{:.1f}' y='{:.1f}' width='8' height='8'/>", css,
                         x - 4, y - 4);
    case 2:
      return fmt::format("<path class='m {}' d='M{:.1f} {:.1f}l5 9h-10z'/>", css, x, y - 5);
    default:
      return fmt::format("<path class='m {}' d='M{:.1f} {:.1f}l5 5l-5 5l-5-5z'/>", css, x, y - 5);
  }
}

// At the edge that a value lies beyond.
std::string arrow(const std::string& css, double x, bool up) {
  const double tip = up ? kTop : kHeight - kBottom, down = up ? 1 : -1;
  return fmt::format("<path class='{0}' d='M{1:.1f} {2:.1f}V{3:.1f}m-4 {4}l4 {5}l4 {4}'/>", css, x,
                     tip + 13 * down, tip + down, 6 * down, -6 * down);
}

std::string line_class(const Series& series, size_t kind) {
  return series.name.empty() ? "front" : fmt::format("line s{}", kind % kColours);
}

// The values that an axis shows.
struct Range {
  double low = -kLargest, high = kLargest;

  // Above 0 the value lies beyond the upper edge, as NaN does, below 0 beyond the lower.
  int side(double y) const { return y >= low && y <= high ? 0 : y < low ? -1 : 1; }
};

Range shown_range(const Chart& chart) {
  if (!chart.log_y) return {};
  std::vector<double> values;
  if (chart.level) values.push_back(*chart.level);
  for (const Series& series : chart.series)
    for (const auto& p : series.points) values.push_back(p.second);
  std::erase_if(values, [](double y) { return !(y >= 1 / kLargest && y <= kLargest); });
  if (values.empty()) return {1 / kLargest, kLargest};
  const auto median = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), median, values.end());
  return {std::max(*median / 1e6, 1 / kLargest),
          std::min(*median * chart.most_over_median, kLargest)};
}

// Axes x and y that hold every point that is shown; nothing where there is none.
std::optional<std::pair<Axis, Axis>> fit_axes(const Chart& chart, const Range& shown) {
  double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  const auto fit_y = [&](double value) {
    if (shown.side(value)) return;
    y0 = std::min(y0, value);
    y1 = std::max(y1, value);
  };
  for (const Series& series : chart.series)
    for (const auto& p : series.points) {
      if (!(std::abs(p.first) <= kLargest)) continue;
      x0 = std::min(x0, p.first);
      x1 = std::max(x1, p.first);
      fit_y(p.second);
    }
  if (y1 < y0) return std::nullopt;
  if (chart.level) fit_y(*chart.level);
  return std::pair(fit_axis(x0, x1, kLeft, kWidth - kRight, false),
                   fit_axis(y0, y1, kHeight - kBottom, kTop, chart.log_y));
}

// A point of a series in pixels; one beyond the axis is at its edge.
struct Place {
  double x, y;
  int side;
  std::pair<double, double> point;
};

std::vector<Place> places_of(const Series& series, const Range& shown, const Axis& x,
                             const Axis& y) {
  std::vector<Place> out;
  for (const auto& point : series.points) {
    if (!(std::abs(point.first) <= kLargest)) continue;
    const int side = shown.side(point.second);
    const double edge = side > 0 ? kTop : kHeight - kBottom;
    out.push_back({x.at(point.first), side ? edge : y.at(point.second), side, point});
  }
  return out;
}

// Of each column of pixels the lowest and the highest place on the axis and one beyond each edge.
std::vector<Place> thinned(const std::vector<Place>& places) {
  std::vector<Place> out;
  for (size_t begin = 0, end = 0; begin < places.size(); begin = end) {
    std::map<int, std::pair<size_t, size_t>> extremes;  // by side
    for (; end < places.size() && std::floor(places[end].x) == std::floor(places[begin].x); ++end) {
      auto& [low, high] = extremes.try_emplace(places[end].side, end, end).first->second;
      if (places[end].y > places[low].y) low = end;
      if (places[end].y < places[high].y) high = end;
    }
    std::set<size_t> kept;
    for (const auto& [side, pair] : extremes) kept.insert({pair.first, pair.second});
    for (const size_t i : kept) out.push_back(places[i]);
  }
  return out;
}

// The line of a series, its markers (one also where a point has no neighbours), and arrows where it
// leaves the axis.
std::string drawing(const Series& series, size_t kind, const std::vector<Place>& places) {
  std::string path, marks;
  bool joined = false;
  std::map<int, double> last_arrow;  // by side
  for (size_t i = 0; i < places.size(); ++i) {
    const Place& p = places[i];
    if (!p.side) {
      path += fmt::format("{}{:.1f} {:.1f}", joined ? "L" : "M", p.x, p.y);
      const bool alone = !joined && (i + 1 == places.size() || places[i + 1].side);
      if (series.markers || alone) marks += marker(kind, p.x, p.y);
    } else if (!series.name.empty()) {
      const auto [last, first] = last_arrow.try_emplace(p.side, p.x);
      if (first || p.x - last->second >= kArrowDistance) {
        marks += arrow(line_class(series, kind), p.x, p.side > 0);
        last->second = p.x;
      }
    }
    joined = !p.side;
  }
  if (!series.line || path.empty()) return marks;
  return fmt::format("<path class='{}' d='{}'/>", line_class(series, kind), path) + marks;
}

// The first place above the axis, else the first below it.
const Place* first_beyond(const std::vector<Place>& places) {
  for (const int side : {1, -1}) {
    const auto found =
        std::find_if(places.begin(), places.end(), [&](const Place& p) { return p.side == side; });
    if (found != places.end()) return &*found;
  }
  return nullptr;
}

// Labels are put above or below their points, where no earlier label is.
class Labels {
 public:
  std::string place(double x, double y, const std::string& text) {
    const double width = 6.4 * static_cast<double>(text.size());
    const bool left = x + width + 10 > kWidth - kRight;
    const double begin = left ? x - width - 8 : x + 8;
    double at = y + 4;
    for (int k = 0; k < 24 && taken(begin, at, width); ++k)
      at = y + 4 + (k % 2 ? 1 : -1) * 12.0 * (k / 2 + 1);
    boxes_.push_back({begin, at, width});
    return fmt::format("<text class='label' x='{:.1f}' y='{:.1f}'>{}</text>", begin, at,
                       escape_html(text));
  }

 private:
  struct Box {
    double x, y, width;
  };
  bool taken(double x, double y, double width) const {
    if (y < kTop + 8 || y > kHeight - kBottom - 2) return true;
    return std::any_of(boxes_.begin(), boxes_.end(), [&](const Box& b) {
      return x < b.x + b.width && b.x < x + width && std::abs(y - b.y) < 11;
    });
  }
  std::vector<Box> boxes_;
};

// The horizontal line of a chart, or an arrow where its axis does not show it.
std::string level(const Chart& chart, const Range& shown, const Axis& y, Labels& labels) {
  if (!chart.level) return "";
  if (const int side = shown.side(*chart.level))
    return arrow("front", kLeft + 8, side > 0) +
           labels.place(kLeft + 8, side > 0 ? kTop : kHeight - kBottom,
                        fmt::format("{} {}", chart.level_name, number(*chart.level)));
  const double at = y.at(*chart.level);
  return fmt::format("<line class='level' x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}'/>", kLeft,
                     kWidth - kRight, at) +
         labels.place(kLeft, at - 8, chart.level_name);
}

std::string axes(const Chart& chart, const Axis& x, const Axis& y) {
  std::string out;
  for (const double tick : y.ticks)
    out += fmt::format(
        "<line class='grid' x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}'/>"
        "<text class='tick' text-anchor='end' x='{3}' y='{4:.1f}'>{5}</text>",
        kLeft, kWidth - kRight, y.at(tick), kLeft - 6, y.at(tick) + 4, number(tick));
  for (const double tick : x.ticks)
    out += fmt::format("<text class='tick' text-anchor='middle' x='{:.1f}' y='{}'>{}</text>",
                       x.at(tick), kHeight - kBottom + 16, number(tick));
  out += fmt::format("<path class='axis' d='M{0} {1}V{2}H{3}'/>", kLeft, kTop, kHeight - kBottom,
                     kWidth - kRight);
  out += fmt::format("<text class='tick' text-anchor='middle' x='{}' y='{}'>{}</text>",
                     (kLeft + kWidth - kRight) / 2, kHeight - 8, escape_html(chart.x_title));
  out += fmt::format(
      "<text class='tick' text-anchor='middle' transform='translate(14 {}) rotate(-90)'>{}</text>",
      (kTop + kHeight - kBottom) / 2, escape_html(chart.y_title));
  return out;
}

}  // namespace

std::vector<double> round_ticks(double low, double high, bool log_scale) {
  std::vector<double> out;
  if (log_scale) {
    const bool wide = high / low > 300;
    for (int e = static_cast<int>(std::floor(std::log10(low))); std::pow(10, e) <= high; ++e)
      for (const double k : {1.0, 2.0, 5.0}) {
        const double tick = k * std::pow(10, e);
        if ((k == 1 || !wide) && tick >= low && tick <= high) out.push_back(tick);
      }
    if (out.size() >= 2) return out;
    out.clear();  // less than a factor of two or so: as on a plain axis
  }
  const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double k : {5.0, 2.0, 1.0})
    if (k * power >= rough) step = k * power;
  for (double k = std::ceil(low / step); k * step <= high; ++k) out.push_back(k * step);
  return out;
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

std::string svg_chart(const Chart& chart) {
  const Range shown = shown_range(chart);
  const auto fitted = fit_axes(chart, shown);
  if (!fitted) return "";
  const auto& [x, y] = *fitted;
  Labels labels;
  std::string body = axes(chart, x, y) + level(chart, shown, y, labels), texts, legend;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const Series& series = chart.series[s];
    const std::vector<Place> places = thinned(places_of(series, shown, x, y));
    if (places.empty()) continue;
    body += drawing(series, s, places);
    const Place* beyond = first_beyond(places);
    if (series.labelled) {
      const std::string value =
          beyond ? fmt::format(" {}", number(beyond->point.second)) : std::string();
      texts += labels.place(places[0].x, places[0].y, series.name + value);
    } else if (!series.name.empty()) {
      const std::string value = beyond ? fmt::format(" ({} at {})", number(beyond->point.second),
                                                     number(beyond->point.first))
                                       : "";
      legend += fmt::format("<span><svg width='14' height='12'>{}</svg>{}</span>", marker(s, 7, 6),
                            escape_html(series.name + value));
    }
  }
  return fmt::format(
      "<figure><figcaption>{0}</figcaption><svg role='img' aria-label='{0}' "
      "viewBox='0 0 {1} {2}'>{3}{4}</svg><div class='legend'>{5}</div></figure>\n",
      escape_html(chart.title), kWidth, kHeight, body, texts, legend);
}

}  // namespace halftone
