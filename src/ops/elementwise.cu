// A weighted sum on the GPU, in one run: it weighs the outputs of gradient checks.
#include "halftone/ops/elementwise.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {
namespace {

template <class T>
__global__ void products(int64_t n, const T* x, const T* w, float* out) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i < n) out[i] = wide(x[i]) * wide(w[i]);
}

}  // namespace

void weighted_sum_forward(const Tensor& x, const Tensor& w, Tensor& y) {
  const int64_t n = w.numel();
  Tensor terms = Tensor::uninitialized({n}, DType::f32, Device::cuda);
  with_number(x.dtype(), "weighted_sum", [&]<class T>() {
    products<<<blocks_for(n, 256), 256, 0, stream()>>>(n, numbers<T>(x), numbers<T>(w),
                                                       numbers<float>(terms));
  });
  sum_in_order<<<1, 256, 0, stream()>>>(n, numbers<float>(terms), 1.0, 0.0, numbers<float>(y));
  check_launch("weighted_sum");
}

}  // namespace halftone::cuda
