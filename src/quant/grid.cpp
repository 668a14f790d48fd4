#include "halftone/quant/grid.h"

#include <algorithm>
#include <cmath>

namespace halftone {
namespace {

Grid make_grid(double lo, double hi, const PtqSettings& settings) {
  Grid grid;
  grid.levels = (1 << settings.bits) - 1;
  if (settings.symmetric) {
    hi = std::max(-lo, hi);
    if (lo < 0) lo = -hi;
  }
  if (lo == 0 && hi == 0) {
    lo = -1;
    hi = 1;
  }
  grid.scale = std::max(half_value((hi - lo) / grid.levels), 0x1p-24);
  grid.zero = settings.symmetric
                  ? (grid.levels + 1) / 2
                  : static_cast<int>(std::clamp(std::nearbyint(-lo / grid.scale), 0.0,
                                                static_cast<double>(grid.levels)));
  return grid;
}

double error_of(const Grid& grid, std::span<const double> w) {
  double sum = 0;
  for (const double x : w) sum += std::pow(std::abs(grid.value(grid.code(x)) - x), 2.4);
  return sum;
}

}  // namespace

half_t round_to_half(double x) {
  return to_half(static_cast<float>(x));
}

int Grid::code(double w) const {
  return static_cast<int>(
      std::clamp(std::nearbyint(w / scale) + zero, 0.0, static_cast<double>(levels)));
}

Grid fit_grid(std::span<const double> w, const PtqSettings& settings) {
  double lo = 0, hi = 0;
  for (const double x : w) {
    lo = std::min(lo, x);
    hi = std::max(hi, x);
  }
  Grid best = make_grid(lo, hi, settings);
  if (!settings.mse) return best;
  double least = error_of(best, w);
  for (int i = 1; i < 80; ++i) {
    const double p = 1 - i / 100.0;
    const Grid grid = make_grid(p * lo, p * hi, settings);
    if (const double error = error_of(grid, w); error < least) {
      least = error;
      best = grid;
    }
  }
  return best;
}

}  // namespace halftone
