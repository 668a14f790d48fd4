#include "halftone/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace halftone {
namespace {

constexpr double kWidth = 560, kHeight = 340, kLeft = 64, kRight = 16, kTop = 12, kBottom = 44;
constexpr size_t kColours = 8;

std::string number(double x) {
  if (x == 0) return "0";  // not -0
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
  const auto shown = [&](const std::pair<double, double>& p) {
    return std::isfinite(p.first) && std::isfinite(p.second) && (!chart.log_y || p.second > 0);
  };
  double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  for (const Series& series : chart.series)
    for (const auto& p : series.points)
      if (shown(p)) {
        x0 = std::min(x0, p.first);
        x1 = std::max(x1, p.first);
        y0 = std::min(y0, p.second);
        y1 = std::max(y1, p.second);
      }
  if (x1 < x0) return "";
  if (chart.level) {
    y0 = std::min(y0, *chart.level);
    y1 = std::max(y1, *chart.level);
  }
  const Axis x = fit_axis(x0, x1, kLeft, kWidth - kRight, false);
  const Axis y = fit_axis(y0, y1, kHeight - kBottom, kTop, chart.log_y);

  std::string body = axes(chart, x, y), legend;
  Labels labels;
  if (chart.level) {
    body += fmt::format("<line class='level' x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}'/>", kLeft,
                        kWidth - kRight, y.at(*chart.level));
    body += labels.place(kLeft, y.at(*chart.level) - 8, chart.level_name);
  }
  std::string texts;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const Series& series = chart.series[s];
    std::string path;
    for (const auto& p : series.points)
      if (shown(p))
        path +=
            fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.at(p.first), y.at(p.second));
    if (path.empty()) continue;
    if (series.line) {
      const std::string css = series.name.empty() ? "front" : fmt::format("line s{}", s % kColours);
      body += fmt::format("<path class='{}' d='{}'/>", css, path);
    }
    for (const auto& p : series.points)
      if (series.markers && shown(p)) body += marker(s, x.at(p.first), y.at(p.second));
    if (series.labelled) {
      const auto first = std::find_if(series.points.begin(), series.points.end(), shown);
      texts += labels.place(x.at(first->first), y.at(first->second), series.name);
    } else if (!series.name.empty()) {
      legend += fmt::format("<span><svg width='14' height='12'>{}</svg>{}</span>", marker(s, 7, 6),
                            escape_html(series.name));
    }
  }
  return fmt::format(
      "<figure><figcaption>{0}</figcaption><svg role='img' aria-label='{0}' "
      "viewBox='0 0 {1} {2}'>{3}{4}</svg><div class='legend'>{5}</div></figure>\n",
      escape_html(chart.title), kWidth, kHeight, body, texts, legend);
}

}  // namespace halftone
