// Whole numbers rounded up.
#pragma once

#include <cstdint>

namespace halftone {

// n / step, and the next multiple of step, both rounded up; n >= 0, step > 0.
constexpr int64_t divide_up(int64_t n, int64_t step) {
  return (n + step - 1) / step;
}
constexpr int64_t round_up(int64_t n, int64_t step) {
  return divide_up(n, step) * step;
}

}  // namespace halftone
