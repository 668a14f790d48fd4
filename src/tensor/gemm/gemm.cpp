// Products of matrices: checks, and the kernel that choose_kernel names.
#include "halftone/tensor/gemm.h"

#include "blas.h"
#include "choose_kernel.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/arithmetic.h"
#include "row_dots.h"
#include "sgemm.h"
#include "small_m.h"
#include "tensor/dispatch.h"

namespace halftone {
namespace {

// C = beta C, where there is nothing to add.
template <class T>
void scale_only(int64_t m, int64_t n, T beta, T* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T(0) ? T(0) : beta * c[i * ldc + j];
}

// The stored matrix as plain floats, rows of `columns`.
Tensor materialised(const Factor& f, int64_t rows, int64_t columns) {
  Tensor out = Tensor::uninitialized({rows, columns}, DType::f32);
  parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) read_row(f, i, columns, out.data<float>() + i * columns);
  });
  return out;
}

// The stored matrix where OpenBLAS can read it: as it lies, or widened into `keep`.
struct Floats {
  const float* data;
  int64_t stride;
};
Floats floats_of(const Factor& f, int64_t rows, int64_t columns, Tensor& keep) {
  if (f.kind == Factor::Kind::f32) return {static_cast<const float*>(f.data), f.stride};
  keep = materialised(f, rows, columns);
  return {keep.data<float>(), columns};
}

void multiply(const GemmShape& s, const Factor& a, const Factor& b, float* c, int64_t ldc) {
  switch (choose_kernel(s)) {
    case GemmKernel::tiles:
      return sgemm(s.ta, s.tb, s.m, s.n, s.k, a, b, s.beta, c, ldc);
    case GemmKernel::row_dots:
      return row_dots_gemm(s.m, s.n, s.k, a, b, s.beta, c, ldc);
    case GemmKernel::small_m:
      return small_m_gemm(s.m, s.n, s.k, a, b, s.beta, c, ldc);
    case GemmKernel::blas:
      break;
  }
  const bool at = s.ta == Transpose::yes, bt = s.tb == Transpose::yes;
  Tensor a_floats, b_floats;
  const Floats x = floats_of(a, at ? s.k : s.m, at ? s.m : s.k, a_floats),
               y = floats_of(b, bt ? s.n : s.k, bt ? s.k : s.n, b_floats);
  blas_gemm(s.ta, s.tb, s.m, s.n, s.k, s.alpha, x.data, x.stride, y.data, y.stride, s.beta, c, ldc);
}

}  // namespace

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, const Factor& a,
          const Factor& b, float beta, float* c, int64_t ldc) {
  require(beta == 0.0f || beta == 1.0f, "gemm: beta {}, expected 0 or 1", beta);
  if (m == 0 || n == 0 || k == 0) return scale_only(m, n, beta, c, ldc);
  multiply({ta, tb, m, n, k, 1.0f, beta, false, a.kind == Factor::Kind::f32}, a, b, c, ldc);
}

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, ldc);
  multiply({ta, tb, m, n, k, alpha, beta, true}, Factor::plain(a, lda), Factor::plain(b, ldb), c,
           ldc);
}

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, ldc);
  blas_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

HT_KERNEL(gemm, Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta,
          Tensor& c)
HT_KERNEL(gemm_add, Transpose ta, Transpose tb, const Tensor& a, const Tensor& b,
          const Tensor& plus, Tensor& c)

void cpu::gemm(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta,
               Tensor& c) {
  const int64_t m = c.dim(0), n = c.dim(1), k = a.dim(ta == Transpose::no ? 1 : 0);
  if (b.dtype() == DType::f16 || b.dtype() == DType::q8_0)
    return halftone::gemm(ta, tb, m, n, k, Factor::plain(a.data<float>(), a.dim(1)),
                          b.dtype() == DType::f16 ? Factor::half(b.data<half_t>(), b.dim(1))
                                                  : Factor::q8_0(b.data<q8_0_t>(), b.dim(1)),
                          static_cast<float>(beta), c.data<float>(), n);
  with_real(c.dtype(), "gemm", [&]<class T>() {
    halftone::gemm(ta, tb, m, n, k, T(1), a.data<T>(), a.dim(1), b.data<T>(), b.dim(1),
                   static_cast<T>(beta), c.data<T>(), n);
  });
}

void cpu::gemm_add(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, const Tensor& plus,
                   Tensor& c) {
  cpu::gemm(ta, tb, a, b, 0, c);
  add(plus, c, c);
}

namespace {

void check_shapes(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, const Tensor& c) {
  require(a.rank() == 2 && b.rank() == 2 && c.rank() == 2, "gemm: ranks {}, {}, {}, expected 2",
          a.rank(), b.rank(), c.rank());
  const int64_t m = a.dim(ta == Transpose::no ? 0 : 1), k = a.dim(ta == Transpose::no ? 1 : 0);
  const int64_t n = b.dim(tb == Transpose::no ? 1 : 0), kb = b.dim(tb == Transpose::no ? 0 : 1);
  require(k == kb && c.dim(0) == m && c.dim(1) == n, "gemm: {} by {} into {}",
          shape_text(a.shape()), shape_text(b.shape()), shape_text(c.shape()));
  require(b.dtype() != DType::q8_0 || tb == Transpose::yes, "gemm: Q8_0 is read along its rows");
}

}  // namespace

void gemm(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta, Tensor& c) {
  check_shapes(ta, tb, a, b, c);
  HT_RUN(gemm, c.device(), ta, tb, a, b, beta, c);
}

void gemm_add(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, const Tensor& plus,
              Tensor& c) {
  check_shapes(ta, tb, a, b, c);
  require(plus.shape() == c.shape() && plus.dtype() == c.dtype(), "gemm_add: {} {} to {} {}",
          dtype_name(plus.dtype()), shape_text(plus.shape()), dtype_name(c.dtype()),
          shape_text(c.shape()));
  HT_RUN(gemm_add, c.device(), ta, tb, a, b, plus, c);
}

}  // namespace halftone
