#include "halftone/base/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace halftone {
namespace {

constexpr double kWidest = 1e7;  // with more digits a column is hard to read

}  // namespace

std::string fixed_text(double value, int decimals) {
  if (std::isnan(value)) return "nan";  // a NaN's sign means nothing
  if (std::abs(value) < kWidest) return fmt::format("{:.{}f}", value, decimals);
  return fmt::format("{:.{}e}", value, std::min(decimals, 3));
}

std::string exact_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return fmt::format("{}", value);
}

}  // namespace halftone
