// The straight-through factors, for the loops over latent weights.
#pragma once

#include <cmath>

#include "halftone/ops/onebit_linear.h"
#include "math.h"

namespace halftone {

template <Ste ste, class T>
HT_INLINE inline T ste_factor(T x) {
  if constexpr (ste == Ste::tanh) return T(1.001) - tanh_squared(x);
  if constexpr (ste == Ste::clipped) return std::abs(x) <= T(1) ? T(1) : T(0);
  return T(1);
}

// Runs body.template operator()<ste>().
template <class Body>
void with_ste(Ste ste, const Body& body) {
  if (ste == Ste::tanh) return body.template operator()<Ste::tanh>();
  if (ste == Ste::clipped) return body.template operator()<Ste::clipped>();
  return body.template operator()<Ste::identity>();
}

}  // namespace halftone
