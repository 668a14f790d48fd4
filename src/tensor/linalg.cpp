#include "halftone/tensor/linalg.h"

#include <cblas.h>

#include <Eigen/Cholesky>
#include <Eigen/SVD>
#include <algorithm>

#include "halftone/base/threads.h"
#include "tensor/gemm/blas.h"

// LAPACK's own interface: column-major, everything by address.
extern "C" void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);

namespace halftone {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const Matrix> matrix(const Tensor& a, const char* what) {
  require(a.rank() == 2, "{}: shape {}, a matrix expected", what, shape_text(a.shape()));
  return {a.data<double>(), a.dim(0), a.dim(1)};
}

Tensor tensor(const Matrix& m) {
  Tensor out = Tensor::uninitialized({m.rows(), m.cols()}, DType::f64);
  Eigen::Map<Matrix>(out.data<double>(), m.rows(), m.cols()) = m;
  return out;
}

Eigen::LLT<Matrix> factorise(const Tensor& a, const char* what) {
  const auto m = matrix(a, what);
  require(m.rows() == m.cols(), "{}: shape {}, a square expected", what, shape_text(a.shape()));
  Eigen::LLT<Matrix> factor(m);
  if (factor.info() != Eigen::Success)
    throw_error(ErrorKind::numerical, "{}: the {} x {} matrix is not positive definite", what,
                m.rows(), m.cols());
  return factor;
}

constexpr int64_t kFactorBlock = 128, kRowBlock = 64;

// A = C C^T in place, C lower, by blocks of columns; what is above the diagonal is left as it was.
// Returns 0, or where A is not positive definite the pivot that shows it, counted from 1.
int64_t factor_lower(double* a, int64_t n) {
  for (int64_t first = 0; first < n; first += kFactorBlock) {
    const int width = static_cast<int>(std::min(kFactorBlock, n - first)),
              stride = static_cast<int>(n);
    const int64_t last = first + width;
    double* diagonal = a + first * n + first;
    int info = 0;
    blas_on_this_thread();
    // LAPACK reads columns where the tensor has rows: its "upper" is the lower triangle.
    dpotrf_("U", &width, diagonal, &stride, &info);
    if (info != 0) return first + info;
    const auto each_row_block = [&](const auto& body) {
      parallel_for(n - last, kRowBlock, [&](int64_t begin, int64_t end) {
        blas_on_this_thread();
        body(last + begin, last + end);
      });
    };
    each_row_block([&](int64_t begin, int64_t end) {
      cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, end - begin,
                  width, 1.0, diagonal, n, a + begin * n + first, n);
    });
    each_row_block([&](int64_t begin, int64_t end) {
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, end - begin, end - last, width, -1.0,
                  a + begin * n + first, n, a + last * n + first, n, 1.0, a + begin * n + last, n);
    });
  }
  return 0;
}

// C^-1 of a lower C, by blocks of columns: each solves C X = I from its first row on.
Tensor invert_lower(const Tensor& c) {
  const int64_t n = c.dim(0);
  Tensor out = Tensor::zeros({n, n}, DType::f64);
  parallel_for(n, kRowBlock, [&](int64_t begin, int64_t end) {
    double* x = out.data<double>() + begin * n + begin;
    for (int64_t j = 0; j < end - begin; ++j) x[j * n + j] = 1;
    blas_on_this_thread();
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, n - begin,
                end - begin, 1.0, c.data<double>() + begin * n + begin, n, x, n);
  });
  return out;
}

}  // namespace

Tensor cholesky_upper(const Tensor& a) {
  return tensor(factorise(a, "cholesky_upper").matrixU());
}

Tensor inverse_positive_definite(const Tensor& a) {
  const auto factor = factorise(a, "inverse_positive_definite");
  const Matrix inverse = factor.solve(Matrix::Identity(a.dim(0), a.dim(0)));
  return tensor(0.5 * (inverse + inverse.transpose()));
}

Tensor inverse_cholesky_upper(const Tensor& a) {
  const auto m = matrix(a, "inverse_cholesky_upper");
  const int64_t n = m.rows();
  require(n == m.cols(), "inverse_cholesky_upper: shape {}, a square expected",
          shape_text(a.shape()));
  // J A J = C C^T, J the reversal, C lower; so A = (J C J)(J C J)^T and U = J C^-1 J.
  Tensor c = tensor(m.reverse());
  if (const int64_t pivot = factor_lower(c.data<double>(), n))
    throw_error(ErrorKind::numerical,
                "inverse_cholesky_upper: the {} x {} matrix is not positive definite (pivot {})", n,
                n, pivot);
  return tensor(matrix(invert_lower(c), "inverse_cholesky_upper").reverse());
}

SingularValues singular_value_decomposition(const Tensor& a) {
  const Eigen::BDCSVD<Matrix> svd(matrix(a, "singular_value_decomposition"),
                                  Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Tensor s = tensor(svd.singularValues());
  return {tensor(svd.matrixU()), s.reshape({s.dim(0)}), tensor(svd.matrixV())};
}

}  // namespace halftone
