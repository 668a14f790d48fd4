#include "halftone/tensor/strip_gemm.h"

#include <algorithm>
#include <type_traits>

#include "halftone/base/error.h"
#include "halftone/tensor/memory.h"
#include "panels.h"

namespace halftone {
namespace {

static_assert(kStripStride == kDepth);

typedef double Pair __attribute__((vector_size(16)));

// Columns of a panel.
template <class T>
int64_t panel_width() {
  if (sizeof(T) == sizeof(double)) return 4;
  return isa() == Isa::avx512 ? 32 : isa() == Isa::avx2 ? 16 : 8;
}

// Panels for the baseline and for double: the definition of the form.
template <class T>
void pack(Transpose tb, int64_t k, int64_t n, const T* b, int64_t ldb, T* out) {
  const int64_t width = panel_width<T>();
  for (int64_t j = 0; j < n; j += width)
    for (int64_t d = 0; d < k; ++d)
      for (int64_t c = j; c < j + width; ++c)
        *out++ = c >= n ? T(0) : tb == Transpose::yes ? b[c * ldb + d] : b[d * ldb + c];
}

template <int W>
HT_INLINE inline void pack_vectors(Transpose tb, int64_t k, int64_t n, const float* b, int64_t ldb,
                                   float* out) {
  if (tb == Transpose::yes)
    pack_across<W>(Factor::plain(b, ldb), {0, n}, {0, k}, out);
  else
    pack_along<W>(Factor::plain(b, ldb), {0, n}, {0, k}, out);
}

template <int R, class Tile, class T>
void multiply_tiles(int64_t n, int64_t k, int64_t depth, const T* a, const T* panels, bool add,
                    T* c, int64_t ldc) {
  static_assert(kStripRows % R == 0);
  const int64_t width = panel_width<T>();
  for (int64_t j = 0; j < n; j += width, panels += width * depth)
    for (int64_t r = 0; r < kStripRows; r += R)
      Tile::multiply(k, a + r * kDepth, kDepth, panels, add, c + r * ldc + j, ldc);
}

}  // namespace

template <class T>
StripFactor<T>::StripFactor(Transpose tb, int64_t k, int64_t n, const T* b, int64_t ldb)
    : depth_(k) {
  require(std::max(k, n) <= kStripStride, "strip product: a factor of {} x {}, expected at most {}",
          k, n, kStripStride);
  const int64_t width = (n + kStripColumns - 1) / kStripColumns * kStripColumns;
  panels_ = allocate(static_cast<size_t>(width * k) * sizeof(T));
  T* panels = static_cast<T*>(panels_.get());
  if constexpr (std::is_same_v<T, float>) {
    if (isa() == Isa::avx512)
      simd_avx512([&]() HT_INLINE { pack_vectors<32>(tb, k, n, b, ldb, panels); });
    else if (isa() == Isa::avx2)
      simd_avx2([&]() HT_INLINE { pack_vectors<16>(tb, k, n, b, ldb, panels); });
    else
      pack(tb, k, n, b, ldb, panels);
  } else {
    pack(tb, k, n, b, ldb, panels);
  }
}

template <class T>
void StripFactor<T>::multiply(int64_t n, int64_t k, const T* a, bool add, T* c, int64_t ldc) const {
  const T* panels = static_cast<const T*>(panels_.get());
  const auto run = [&]<int R, class Tile>() {
    multiply_tiles<R, Tile>(n, k, depth_, a, panels, add, c, ldc);
  };
  if constexpr (std::is_same_v<T, double>)
    run.template operator()<6, Tile<6, 2, Pair, true, double>>();
  else if (isa() == Isa::avx512)
    run.template operator()<12, Tile<12, 2, Sixteen, true>>();
  else if (isa() == Isa::avx2)
    run.template operator()<6, Tile<6, 2, Eight, true>>();
  else
    run.template operator()<6, Tile<6, 2, Four, true>>();
}

template class StripFactor<float>;
template class StripFactor<double>;

}  // namespace halftone
