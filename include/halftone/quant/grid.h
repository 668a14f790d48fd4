// Uniform grids of RTN and GPTQ (methods 1): w-hat = scale (code - zero).
#pragma once

#include <cstdint>
#include <span>

#include "halftone/base/half.h"
#include "halftone/quant/settings.h"

namespace halftone {

// To binary16 by way of float: the mean of two binary16 weights is a tie, which the last bit of a
// sum in double must not decide.
half_t round_to_half(double x);
inline double half_value(double x) {
  return to_float(round_to_half(x));
}

struct Grid {
  double scale = 1;  // a binary16 number
  int zero = 0;      // 0 ... 2^bits - 1
  int levels = 1;    // 2^bits - 1

  int code(double w) const;
  double value(int code) const { return scale * (code - zero); }
};

// The grid of a row's group. lo = min(0, min w), hi = max(0, max w), scale = (hi - lo) / levels,
// zero = round(-lo / scale); symmetric: hi = max(|lo|, hi), lo = -hi if lo < 0, zero = 2^(bits-1).
// mse: of lo, hi shrunk by 1 - i/100, i = 0..79, the least sum |w-hat - w|^2.4.
// Departure: the scale is rounded to binary16 before codes are chosen, so that codes fit what is
// stored. Half to even.
Grid fit_grid(std::span<const double> w, const PtqSettings& settings);

}  // namespace halftone
