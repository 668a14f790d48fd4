// Sums and multiples on the GPU.
#include "halftone/tensor/arithmetic.h"

#include "tensor/cuda/elementwise.cuh"

namespace halftone::cuda {
namespace {

struct Sum {
  __device__ void operator()(const float* x, float* y) const { y[0] = x[0] + x[1]; }
};
struct Multiple {
  float k;
  __device__ void operator()(const float* x, float* y) const { y[0] = k * x[0]; }
};
struct Shifted {
  float c;
  __device__ void operator()(const float* x, float* y) const { y[0] = x[0] + c; }
};

template <class T>
__global__ void scale_by_number(int64_t n, const float* factor, T* x) {
  const float c = *factor;
  if (c == 1.0f) return;
  const int64_t i = int64_t{blockIdx.x} * kElementThreads + threadIdx.x;
  if (i < n) x[i] = narrow<T>(c * wide(x[i]));
}

}  // namespace

void add(const Tensor& a, const Tensor& b, Tensor& out) {
  with_number(out.dtype(), "add", [&]<class T>() {
    elementwise<2, 1, T>("add", out.numel(), {{numbers<T>(a), numbers<T>(b)}, {numbers<T>(out)}},
                         Sum{});
  });
}

void scale(const Tensor& x, double c, Tensor& out) {
  with_number(out.dtype(), "scale", [&]<class T>() {
    elementwise<1, 1, T>("scale", out.numel(), {{numbers<T>(x)}, {numbers<T>(out)}},
                         Multiple{static_cast<float>(c)});
  });
}

void shift(const Tensor& x, double c, Tensor& out) {
  with_number(out.dtype(), "shifted", [&]<class T>() {
    elementwise<1, 1, T>("shifted", out.numel(), {{numbers<T>(x)}, {numbers<T>(out)}},
                         Shifted{static_cast<float>(c)});
  });
}

void scale_by(const Tensor& factor, Tensor& x) {
  with_number(x.dtype(), "scale_by", [&]<class T>() {
    scale_by_number<<<blocks_for(x.numel(), kElementThreads), kElementThreads, 0, stream()>>>(
        x.numel(), numbers<float>(factor), numbers<T>(x));
  });
  check_launch("scale_by");
}

}  // namespace halftone::cuda
