#include "halftone/quant/hessian.h"

#include "halftone/base/error.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/linalg.h"

namespace halftone {

void HessianSum::add(const Tensor& x, int64_t sequences) {
  const int64_t m = sum_.dim(0);
  require(x.rank() == 2 && x.dim(1) == m && sequences > 0, "HessianSum: shape {}, [*, {}] expected",
          shape_text(x.shape()), m);
  if (!part_.defined()) part_ = Tensor::uninitialized({m, m}, DType::f32);
  const int64_t length = x.dim(0) / sequences;
  for (int64_t s = 0; s < sequences; ++s) {
    const Tensor rows = x.rows(s * length, (s + 1) * length);
    gemm(Transpose::yes, Transpose::no, rows, rows, 0, part_);
    const float* from = part_.data<float>();
    double* to = sum_.data<double>();
    parallel_for(m * m, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] += from[i];
    });
  }
  sequences_ += sequences;
}

Tensor HessianSum::hessian() const {
  Tensor out = sum_.clone();
  const double k = sequences_ ? 2.0 / static_cast<double>(sequences_) : 0;
  for (int64_t i = 0; i < out.numel(); ++i) out.data<double>()[i] *= k;
  return out;
}

PreparedHessian prepare_hessian(const Tensor& hessian, double damp_percent) {
  const int64_t m = hessian.dim(0);
  PreparedHessian out{.upper = {}, .dead = std::vector<bool>(static_cast<size_t>(m), false)};
  Tensor damped = hessian.clone();
  double* h = damped.data<double>();
  double mean = 0;
  for (int64_t j = 0; j < m; ++j) {
    if (h[j * m + j] == 0) {
      out.dead[j] = true;
      h[j * m + j] = 1;
    }
    mean += h[j * m + j] / static_cast<double>(m);
  }
  double added = 0;
  for (double lambda = damp_percent * mean;; lambda = lambda > 0 ? 10 * lambda : 1e-4 * mean) {
    for (int64_t j = 0; j < m; ++j) h[j * m + j] += lambda - added;
    added = lambda;
    try {
      out.upper = inverse_cholesky_upper(damped);
      return out;
    } catch (const Error&) {
      if (lambda >= 1000 * damp_percent * mean && lambda > 0.1 * mean) throw;
    }
  }
}

double hessian_energy(const Tensor& d, const Tensor& hessian) {
  Tensor product = Tensor::uninitialized(d.shape(), DType::f64);
  gemm(Transpose::no, Transpose::no, d, hessian, 0, product);
  const double *a = d.data<double>(), *b = product.data<double>();
  return parallel_sum(d.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += a[i] * b[i];
    return sum;
  });
}

}  // namespace halftone
