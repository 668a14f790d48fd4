// The product of single-precision matrices, F16 ones widened while they are packed. Blocks and
// register tiles follow Goto and van de Geijn (2008, Anatomy of high-performance matrix
// multiplication).
#pragma once

#include <cstdint>

#include "halftone/base/half.h"

namespace halftone {

enum class Transpose { no, yes };

// A stored matrix, row-major with a row stride, and how its elements are read.
struct Factor {
  enum class Kind {
    f32,
    f16,
  };
  Kind kind = Kind::f32;
  const void* data = nullptr;
  int64_t stride = 0;

  static Factor plain(const float* x, int64_t stride) { return {Kind::f32, x, stride}; }
  static Factor half(const half_t* x, int64_t stride) { return {Kind::f16, x, stride}; }
};

// Whether floats `stride` apart are whole pages apart: several rows of them meet in the same lines
// of the first-level cache, and a product does better with a copy.
constexpr bool rows_meet(int64_t stride) {
  return stride % 1024 == 0;
}

// C (m x n, row stride ldc) = op(A) op(B) + beta C, op(A) m x k, op(B) k x n. Every element is
// summed in the same order on any number of threads. Inside a parallel_for it runs in the caller.
void sgemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, const Factor& a,
           const Factor& b, float beta, float* c, int64_t ldc);

// The first n elements of a stored row.
void read_row(const Factor& factor, int64_t row, int64_t n, float* out);

// Whether this CPU has the vector units that sgemm is written for (AVX2 or AVX-512).
bool has_sgemm();

}  // namespace halftone
