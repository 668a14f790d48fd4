#include "halftone/tensor/linalg.h"

#include <Eigen/Cholesky>
#include <Eigen/SVD>

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

SingularValues singular_value_decomposition(const Tensor& a) {
  const Eigen::BDCSVD<Matrix> svd(matrix(a, "singular_value_decomposition"),
                                  Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Tensor s = tensor(svd.singularValues());
  return {tensor(svd.matrixU()), s.reshape({s.dim(0)}), tensor(svd.matrixV())};
}

}  // namespace halftone
