// Of a symmetric matrix only the panels of columns down to the diagonal are made.
#include "halftone/tensor/gram.h"

#include <algorithm>

#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(add_gram, const Tensor& x, Tensor& sum)
HT_CPU_KERNEL(symmetric, const Tensor& upper, double k, Tensor& out)

namespace {

constexpr int64_t kPanel = 256;

// The rows of a triangle: visit(place in the triangle, place in the square, numbers).
template <class Visit>
void for_each_row(int64_t m, const Visit& visit) {
  parallel_for(m, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) visit(i * m - i * (i - 1) / 2, i * m + i, m - i);
  });
}

}  // namespace

namespace cpu {

void add_gram(const Tensor& x, Tensor& sum) {
  const int64_t m = x.dim(1), n = x.dim(0);
  Tensor panel = Tensor::uninitialized({m, std::min(m, kPanel)}, DType::f32);
  float* part = panel.data<float>();
  double* to = sum.data<double>();
  for (int64_t row = 0; row < n; row += kGramRows)
    for (int64_t first = 0; first < m; first += kPanel) {
      const int64_t last = std::min(m, first + kPanel), width = last - first;
      const float* from = x.data<float>() + row * m;
      gemm(Transpose::yes, Transpose::no, last, width, std::min(kGramRows, n - row), 1.0f, from, m,
           from + first, m, 0.0f, part, width);
      parallel_for(last, 64, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          for (int64_t j = 0; j < width; ++j) to[i * m + first + j] += part[i * width + j];
      });
    }
}

void symmetric(const Tensor& upper, double k, Tensor& out) {
  const int64_t m = upper.dim(0);
  const double* u = upper.data<double>();
  double* h = out.data<double>();
  parallel_for(m, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < i; ++j) h[i * m + j] = k * u[j * m + i];
      for (int64_t j = i; j < m; ++j) h[i * m + j] = k * u[i * m + j];
    }
  });
}

}  // namespace cpu

void add_gram(const Tensor& x, Tensor& sum) {
  require(x.rank() == 2 && sum.shape() == Shape{x.dim(1), x.dim(1)}, "add_gram: {} into {}",
          shape_text(x.shape()), shape_text(sum.shape()));
  HT_RUN(add_gram, sum.device(), x, sum);
}

Tensor symmetric(const Tensor& upper, double k) {
  require(upper.rank() == 2 && upper.dim(0) == upper.dim(1), "symmetric: {}",
          shape_text(upper.shape()));
  Tensor out = upper.like();
  HT_RUN(symmetric, upper.device(), upper, k, out);
  return out;
}

Tensor upper_triangle(const Tensor& upper) {
  require(upper.rank() == 2 && upper.dim(0) == upper.dim(1), "upper_triangle: {}",
          shape_text(upper.shape()));
  const int64_t m = upper.dim(0);
  Tensor out = Tensor::uninitialized({m * (m + 1) / 2}, DType::f64);
  const double* from = upper.data<double>();
  double* to = out.data<double>();
  for_each_row(m, [&](int64_t in_triangle, int64_t in_square, int64_t n) {
    std::copy_n(from + in_square, n, to + in_triangle);
  });
  return out;
}

Tensor from_upper_triangle(const Tensor& triangle, int64_t m) {
  require(triangle.shape() == Shape{m * (m + 1) / 2}, "from_upper_triangle: {} for {} rows",
          shape_text(triangle.shape()), m);
  Tensor out = Tensor::uninitialized({m, m}, DType::f64);
  const double* from = triangle.data<double>();
  double* to = out.data<double>();
  for_each_row(m, [&](int64_t in_triangle, int64_t in_square, int64_t n) {
    std::copy_n(from + in_triangle, n, to + in_square);
  });
  return out;
}

}  // namespace halftone
