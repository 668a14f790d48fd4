#include "halftone/quant/error_feedback.h"

#include <algorithm>

#include "halftone/tensor/gemm.h"

namespace halftone {

void feed_errors(Tensor& current, const PreparedHessian& hessian, int64_t blocksize,
                 const std::function<bool(const FeedbackBlock&)>& code) {
  const int64_t n = current.dim(0), m = current.dim(1);
  double* w = current.data<double>();
  const double* u = hessian.upper.data<double>();
  Tensor errors = Tensor::uninitialized({n, std::min(blocksize, m)}, DType::f64);
  double* e = errors.data<double>();
  for (int64_t first = 0; first < m; first += blocksize) {
    const int64_t last = std::min(m, first + blocksize), width = last - first;
    const bool feeds = code({first, width, w + first, m, u + first * m + first, e});
    if (feeds && last < m)
      gemm(Transpose::no, Transpose::no, n, m - last, width, -1.0, e, width, u + first * m + last,
           m, 1.0, w + last, m);
  }
}

}  // namespace halftone
