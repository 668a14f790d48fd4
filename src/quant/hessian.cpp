#include "halftone/quant/hessian.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/linalg.h"

namespace halftone {
namespace {

// Of a symmetric matrix only the panels of columns down to the diagonal are made.
constexpr int64_t kPanel = 256, kTokens = 2048;

template <class Body>
void for_each_panel(int64_t m, const Body& body) {
  for (int64_t first = 0; first < m; first += kPanel) body(first, std::min(m, first + kPanel));
}

}  // namespace

void HessianSum::add(const Tensor& x, int64_t sequences) {
  const int64_t m = sum_.dim(0), tokens = x.dim(0);
  require(x.rank() == 2 && x.dim(1) == m && sequences > 0, "HessianSum: shape {}, [*, {}] expected",
          shape_text(x.shape()), m);
  if (!part_.defined()) part_ = Tensor::uninitialized({m, std::min(m, kPanel)}, DType::f32);
  for (int64_t t = 0; t < tokens; t += kTokens)
    for_each_panel(m, [&](int64_t first, int64_t last) {
      const float* from = x.data<float>() + t * m;
      float* part = part_.data<float>();
      const int64_t width = last - first;
      gemm(Transpose::yes, Transpose::no, last, width, std::min(kTokens, tokens - t), 1.0f, from, m,
           from + first, m, 0.0f, part, width);
      double* to = sum_.data<double>();
      parallel_for(last, 64, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          for (int64_t j = 0; j < width; ++j) to[i * m + first + j] += part[i * width + j];
      });
    });
  sequences_ += sequences;
}

Tensor HessianSum::hessian() const {
  const int64_t m = sum_.dim(0);
  Tensor out = Tensor::uninitialized({m, m}, DType::f64);
  const double k = sequences_ ? 2.0 / static_cast<double>(sequences_) : 0;
  const double* upper = sum_.data<double>();
  double* h = out.data<double>();
  parallel_for(m, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < i; ++j) h[i * m + j] = k * upper[j * m + i];
      for (int64_t j = i; j < m; ++j) h[i * m + j] = k * upper[i * m + j];
    }
  });
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
