#include "row_tile_gemm.h"

#include <algorithm>
#include <type_traits>

#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/tensor/memory.h"
#include "tensor/gemm/panels.h"

namespace halftone {
namespace {

static_assert(kRowTileStride <= kDepth);

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

// The tile of the CPU, R x width, for A's rows or its columns: calls run<R, Tile>().
template <class T, bool in_rows, class Run>
void with_tile(const Run& run) {
  if constexpr (std::is_same_v<T, double>)
    run.template operator()<6, Tile<6, 2, Pair, in_rows, double>>();
  else if (isa() == Isa::avx512)
    run.template operator()<12, Tile<12, 2, Sixteen, in_rows>>();
  else if (isa() == Isa::avx2)
    run.template operator()<6, Tile<6, 2, Eight, in_rows>>();
  else
    run.template operator()<6, Tile<6, 2, Four, in_rows>>();
}

}  // namespace

template <class T>
RowTileFactor<T>::RowTileFactor(Transpose tb, int64_t k, int64_t n, const T* b, int64_t ldb)
    : depth_(k) {
  require(std::max(k, n) <= kRowTileStride,
          "row tile product: a factor of {} x {}, expected at most {}", k, n, kRowTileStride);
  const int64_t width = round_up(n, kRowTileColumns);
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
void RowTileFactor<T>::multiply(int64_t n, int64_t k, const T* a, int64_t lda, bool add, T* c,
                                int64_t ldc) const {
  const int64_t width = panel_width<T>();
  with_tile<T, true>([&]<int R, class Tile>() {
    static_assert(kRowTileRows % R == 0);
    const T* panel = static_cast<const T*>(panels_.get());
    for (int64_t j = 0; j < n; j += width, panel += width * depth_)
      for (int64_t r = 0; r < kRowTileRows; r += R)
        Tile::multiply(k, a + r * lda, lda, panel, add, c + r * ldc + j, ldc);
  });
}

template <class T>
void RowTileFactor<T>::multiply_transposed(int64_t m, int64_t n, int64_t k, int64_t diagonal,
                                           const T* a, int64_t lda, T* c, int64_t ldc) const {
  const int64_t width = panel_width<T>();
  with_tile<T, false>([&]<int R, class Tile>() {
    constexpr int64_t kSteps = TileRows<R, false, T>::kSteps;
    static_assert(R + kSteps <= kAboveDiagonal);
    const T* panel = static_cast<const T*>(panels_.get());
    for (int64_t j = 0; j < n; j += width, panel += width * depth_)
      for (int64_t i = 0; i < m; i += R) {
        const int64_t zeros = std::clamp<int64_t>(i - diagonal, 0, k) / kSteps * kSteps;
        Tile::multiply(k - zeros, a + zeros * lda + i, lda, panel + zeros * width, true,
                       c + i * ldc + j, ldc);
      }
  });
}

template class RowTileFactor<float>;
template class RowTileFactor<double>;

}  // namespace halftone
