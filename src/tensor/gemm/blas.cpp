// Calls of OpenBLAS's products, and what it says of itself.
#include "blas.h"

#include <cblas.h>
#include <omp.h>

#include <sstream>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

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

}  // namespace

template <class T>
void blas_gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
               int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  parallel_for(m, kBlasRows, [&](int64_t begin, int64_t end) {
    blas_on_this_thread();
    multiply_rows(ta, tb, end - begin, n, k, alpha, a + begin * (ta == Transpose::yes ? 1 : lda),
                  lda, b, ldb, beta, c + begin * ldc, ldc);
  });
}

template void blas_gemm(Transpose, Transpose, int64_t, int64_t, int64_t, float, const float*,
                        int64_t, const float*, int64_t, float, float*, int64_t);
template void blas_gemm(Transpose, Transpose, int64_t, int64_t, int64_t, double, const double*,
                        int64_t, const double*, int64_t, double, double*, int64_t);

// Debian's OpenBLAS takes as many threads as OpenMP would give the caller.
void blas_on_this_thread() {
  omp_set_num_threads(1);
}

std::string blas_name() {
  std::istringstream config(openblas_get_config());
  std::string name, version;
  config >> name >> version;
  return name + " " + version + " " + openblas_get_corename();
}

std::string better_blas_core() {
  if (openblas_get_corename() != std::string("Prescott") || cpu_isa() == Isa::baseline) return "";
  return cpu_isa() == Isa::avx512 ? "SkylakeX" : "Haswell";
}

}  // namespace halftone
