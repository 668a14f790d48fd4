#include "choose_kernel.h"

#include <algorithm>

#include "row_dots.h"
#include "sgemm.h"
#include "small_m.h"

namespace halftone {

GemmKernel choose_kernel(const GemmShape& s) {
  // Packing pays where each packed number is used often enough.
  constexpr int64_t kLeastUses = 24;
  const bool packs = s.alpha == 1.0f && (s.beta == 0.0f || s.beta == 1.0f) &&
                     (!s.plain || std::min(s.n, s.k) >= kLeastUses);
  if (!has_sgemm() || !packs) return GemmKernel::blas;
  if (s.ta == Transpose::no && s.tb == Transpose::yes && s.m <= kSmallM && s.n > s.m)
    return s.m <= kRowDots && s.a_floats ? GemmKernel::row_dots : GemmKernel::small_m;
  return GemmKernel::tiles;
}

}  // namespace halftone
