// Hessians of linears: their sums, their damping and inverse, and what they weigh an error by.
#include "halftone/quant/hessian.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/gram.h"
#include "halftone/tensor/linalg.h"

namespace halftone {
namespace {

// Of a symmetric matrix only the panels of columns down to the diagonal are made.
constexpr int64_t kPanel = 256;

template <class Body>
void for_each_panel(int64_t m, const Body& body) {
  for (int64_t first = 0; first < m; first += kPanel) body(first, std::min(m, first + kPanel));
}

}  // namespace

void HessianSum::add(const Tensor& x, int64_t sequences) {
  require(x.rank() == 2 && x.dim(1) == sum_.dim(0) && sequences > 0,
          "HessianSum: shape {}, [*, {}] expected", shape_text(x.shape()), sum_.dim(0));
  add_gram(x, sum_);
  sequences_ += sequences;
}

Tensor HessianSum::hessian() const {
  return symmetric(sum_.to(Device::cpu), sequences_ ? 2.0 / static_cast<double>(sequences_) : 0);
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
  const int64_t n = d.dim(0), m = d.dim(1);
  require(hessian.dim(0) == m && hessian.dim(1) == m, "hessian_energy: {} by {}",
          shape_text(d.shape()), shape_text(hessian.shape()));
  Tensor product = Tensor::uninitialized({n, std::min(m, kPanel)}, DType::f64);
  const double *a = d.data<double>(), *h = hessian.data<double>();
  double energy = 0, *p = product.data<double>();
  // The panel's columns times those before it count twice, times its own once.
  for_each_panel(m, [&](int64_t first, int64_t last) {
    const int64_t width = last - first;
    gemm(Transpose::no, Transpose::no, n, width, width, 1.0, a + first, m, h + first * m + first, m,
         0.0, p, width);
    gemm(Transpose::no, Transpose::no, n, width, first, 2.0, a, m, h + first, m, 1.0, p, width);
    energy += parallel_sum(n, 64, [&](int64_t begin, int64_t end) {
      double sum = 0;
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < width; ++j) sum += a[i * m + first + j] * p[i * width + j];
      return sum;
    });
  });
  return energy;
}

}  // namespace halftone
