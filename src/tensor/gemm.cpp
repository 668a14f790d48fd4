#include "halftone/tensor/gemm.h"

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "blas_thread.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

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

// Rows of C a thread multiplies at a time.
constexpr int64_t kBlasRows = 96;

void multiply_rows(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, float alpha,
                   const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
                   int64_t ldc) {
  cblas_sgemm(CblasRowMajor, cblas(ta), cblas(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void multiply_rows(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha,
                   const double* a, int64_t lda, const double* b, int64_t ldb, double beta,
                   double* c, int64_t ldc) {
  cblas_dgemm(CblasRowMajor, cblas(ta), cblas(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

template <class T>
void blas_gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
               int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  parallel_for(m, kBlasRows, [&](int64_t begin, int64_t end) {
    blas_on_this_thread();
    multiply_rows(ta, tb, end - begin, n, k, alpha, a + begin * (ta == Transpose::yes ? 1 : lda),
                  lda, b, ldb, beta, c + begin * ldc, ldc);
  });
}

template <class T>
void scale_only(int64_t m, int64_t n, T beta, T* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T(0) ? T(0) : beta * c[i * ldc + j];
}

// sgemm packs its operands, which pays where each packed number is used often enough.
bool is_large(int64_t n, int64_t k) {
  return has_sgemm() && std::min(n, k) >= 24;
}

// The stored matrix as plain floats, rows of `columns`.
Tensor materialised(const Factor& f, int64_t rows, int64_t columns) {
  Tensor out = Tensor::uninitialized({rows, columns}, DType::f32);
  parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) read_row(f, i, columns, out.data<float>() + i * columns);
  });
  return out;
}

}  // namespace

void blas_on_this_thread() {
  ensure_kernels();
  thread_local const bool alone = (omp_set_num_threads(1), true);
  (void)alone;
}

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, const Factor& a,
          const Factor& b, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0 || k == 0) return scale_only(m, n, beta, c, ldc);
  if (has_sgemm()) return sgemm(ta, tb, m, n, k, a, b, beta, c, ldc);
  const bool at = ta == Transpose::yes, bt = tb == Transpose::yes;
  Tensor a_plain, b_plain;
  const auto numbers = [](const Factor& f, int64_t rows, int64_t columns, Tensor& keep) {
    if (f.kind == Factor::Kind::f32) return std::pair(static_cast<const float*>(f.data), f.stride);
    keep = materialised(f, rows, columns);
    return std::pair(static_cast<const float*>(keep.data<float>()), columns);
  };
  const auto [x, lda] = numbers(a, at ? k : m, at ? m : k, a_plain);
  const auto [y, ldb] = numbers(b, bt ? n : k, bt ? k : n, b_plain);
  gemm(ta, tb, m, n, k, 1.0f, x, lda, y, ldb, beta, c, ldc);
}

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, ldc);
  if (alpha == 1.0f && (beta == 0.0f || beta == 1.0f) && is_large(n, k))
    return sgemm(ta, tb, m, n, k, Factor::plain(a, lda), Factor::plain(b, ldb), beta, c, ldc);
  blas_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return scale_only(m, n, beta, c, ldc);
  blas_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
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
