#include "halftone/tensor/gemm.h"

#include <cblas.h>

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "halftone/base/simd.h"

extern "C" {
void gotoblas_dynamic_init();
void gotoblas_dynamic_quit();
}

namespace halftone {
namespace {

// OpenBLAS 0.3.21 falls back to its slowest kernels (Prescott, a fifth of the speed) on CPUs newer
// than itself, for instance Sapphire Rapids without AMX. Where it did, name the family by what the
// CPU can do. OPENBLAS_CORETYPE, when set, decides instead.
bool choose_kernels() {
  if (!std::getenv("OPENBLAS_CORETYPE") && std::strcmp(openblas_get_corename(), "Prescott") == 0 &&
      cpu_isa() != Isa::baseline) {
    setenv("OPENBLAS_CORETYPE", cpu_isa() == Isa::avx512 ? "SkylakeX" : "Haswell", 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv("OPENBLAS_CORETYPE");
  }
  return true;
}

void ensure_kernels() {
  static const bool chosen = choose_kernels();
  (void)chosen;
}

CBLAS_TRANSPOSE cblas(Transpose t) {
  return t == Transpose::yes ? CblasTrans : CblasNoTrans;
}

template <class T>
void scale_only(int64_t m, int64_t n, T beta, T* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T(0) ? T(0) : beta * c[i * ldc + j];
}

}  // namespace

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, ldc);
  ensure_kernels();
  cblas_sgemm(CblasRowMajor, cblas(ta), cblas(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, ldc);
  ensure_kernels();
  cblas_dgemm(CblasRowMajor, cblas(ta), cblas(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void gemm(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta, Tensor& c) {
  require(a.rank() == 2 && b.rank() == 2 && c.rank() == 2, "gemm: ranks {}, {}, {}, expected 2",
          a.rank(), b.rank(), c.rank());
  const int64_t m = a.dim(ta == Transpose::no ? 0 : 1), k = a.dim(ta == Transpose::no ? 1 : 0);
  const int64_t n = b.dim(tb == Transpose::no ? 1 : 0), kb = b.dim(tb == Transpose::no ? 0 : 1);
  require(k == kb && c.dim(0) == m && c.dim(1) == n, "gemm: {} by {} into {}",
          shape_text(a.shape()), shape_text(b.shape()), shape_text(c.shape()));
  with_real(c.dtype(), "gemm", [&]<class T>() {
    gemm(ta, tb, m, n, k, T(1), a.data<T>(), a.dim(1), b.data<T>(), b.dim(1), static_cast<T>(beta),
         c.data<T>(), n);
  });
}

std::string blas_name() {
  ensure_kernels();
  std::istringstream config(openblas_get_config());
  std::string name, version;
  config >> name >> version;
  return name + " " + version + " " + openblas_get_corename();
}

}  // namespace halftone
