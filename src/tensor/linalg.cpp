#include "halftone/tensor/linalg.h"

#include <Eigen/Cholesky>
#include <Eigen/SVD>

// LAPACK's own interface: column-major, everything by address.
extern "C" {
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dtrtri_(const char* uplo, const char* diag, const int* n, double* a, const int* lda,
             int* info);
}

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
  const int n = static_cast<int>(m.rows());
  require(m.rows() == m.cols(), "inverse_cholesky_upper: shape {}, a square expected",
          shape_text(a.shape()));
  // J A J = C C^T, J the reversal, C lower; so A = (J C J)(J C J)^T and U = J C^-1 J. LAPACK reads
  // columns where the tensor has rows: its "upper" factor C^T of the same bytes is the lower C.
  Tensor c = tensor(m.reverse());
  double* data = c.data<double>();
  int info = 0;
  dpotrf_("U", &n, data, &n, &info);
  if (info != 0)
    throw_error(ErrorKind::numerical,
                "inverse_cholesky_upper: the {} x {} matrix is not positive definite (pivot {})", n,
                n, info);
  dtrtri_("U", "N", &n, data, &n, &info);
  const Eigen::Map<Matrix> inverse(data, n, n);
  Matrix upper = inverse.reverse();
  upper.triangularView<Eigen::StrictlyLower>().setZero();
  return tensor(upper);
}

SingularValues singular_value_decomposition(const Tensor& a) {
  const Eigen::BDCSVD<Matrix> svd(matrix(a, "singular_value_decomposition"),
                                  Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Tensor s = tensor(svd.singularValues());
  return {tensor(svd.matrixU()), s.reshape({s.dim(0)}), tensor(svd.matrixV())};
}

}  // namespace halftone
