#include "halftone/quant/svid.h"

#include <cmath>
#include <vector>

#include "halftone/base/threads.h"

namespace halftone {
namespace {

using Vector = std::vector<double>;

double norm(const Vector& v) {
  double sum = 0;
  for (double x : v) sum += x * x;
  return std::sqrt(sum);
}

void multiply(Vector& v, double k) {
  for (double& x : v) x *= k;
}

// |W| v
Vector times(const Tensor& w, const Vector& v) {
  const int64_t n = w.dim(0), m = w.dim(1);
  const float* a = w.data<float>();
  Vector out(n);
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < m; ++j) sum += std::abs(a[i * m + j]) * v[j];
      out[i] = sum;
    }
  });
  return out;
}

// |W|^T u
Vector transposed_times(const Tensor& w, const Vector& u) {
  const int64_t n = w.dim(0), m = w.dim(1);
  const float* a = w.data<float>();
  Vector out(m);
  parallel_for(m, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = begin; j < end; ++j) out[j] += std::abs(a[i * m + j]) * u[i];
  });
  return out;
}

double squares(const Tensor& w) {
  return parallel_sum(w.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i)
      sum += static_cast<double>(w.data<float>()[i]) * w.data<float>()[i];
    return sum;
  });
}

Tensor to_float(const Vector& v) {
  Tensor out = Tensor::uninitialized({static_cast<int64_t>(v.size())}, DType::f32);
  std::copy(v.begin(), v.end(), out.data<float>());
  return out;
}

// The factors g, h of the best rank-1 approximation h g^T of |W|, in any scale.
void factorise(const Tensor& w, SvidMethod method, int iterations, Vector& h, Vector& g) {
  g.assign(w.dim(1), 1.0);
  for (int k = 0; k < iterations; ++k) {
    if (method == SvidMethod::svd) multiply(g, 1 / std::max(norm(g), 1e-300));
    h = times(w, g);
    const double gg = norm(g) * norm(g);
    if (method == SvidMethod::nmf) multiply(h, gg > 0 ? 1 / gg : 0);
    g = transposed_times(w, h);
    const double hh = norm(h) * norm(h);
    multiply(g, hh > 0 ? 1 / hh : 0);  // least squares given h: the scale is right at any time
  }
}

}  // namespace

Svid svid(const Tensor& w, SvidMethod method, SvidSplit split, int iterations) {
  require(w.rank() == 2 && iterations > 0, "svid: shape {}, {} iterations", shape_text(w.shape()),
          iterations);
  Vector h, g;
  factorise(w, method, iterations, h, g);
  const double h_norm = norm(h), g_norm = norm(g), sigma = h_norm * g_norm;
  if (sigma > 0) {
    // h <- h k, g <- g / k
    double k = 1;
    switch (split) {
      case SvidSplit::balanced:
        k = std::sqrt(g_norm / std::sqrt(static_cast<double>(g.size())) /
                      (h_norm / std::sqrt(static_cast<double>(h.size()))));
        break;
      case SvidSplit::nmf: {
        double sum_h = 0, sum_w = 0;
        for (double x : h) sum_h += x;
        for (double x : times(w, Vector(g.size(), 1.0))) sum_w += x;
        k = 0.80 * std::sqrt(sum_w / static_cast<double>(w.numel())) *
            static_cast<double>(h.size()) / sum_h;
        break;
      }
      case SvidSplit::out:
        k = g_norm;
        break;
      case SvidSplit::in:
        k = 1 / h_norm;
        break;
    }
    multiply(h, k);
    multiply(g, 1 / k);
  }
  // ||W| - h g^T|^2 = |W|^2 - 2 h^T |W| g + |h|^2 |g|^2
  const Vector wg = times(w, g);
  double cross = 0;
  for (size_t i = 0; i < h.size(); ++i) cross += h[i] * wg[i];
  const double total = squares(w), error = total - 2 * cross + sigma * sigma;
  return {to_float(h), to_float(g), total > 0 ? std::sqrt(std::max(error, 0.0) / total) : 0};
}

}  // namespace halftone
