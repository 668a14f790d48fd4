// Sums of outer products on the GPU: whole products in F32, by cuBLAS, added up in F64.
#include "halftone/tensor/gram.h"

#include "halftone/tensor/gemm.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void add_product(int64_t n, const float* product, double* sum) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n) sum[i] += product[i];
}

}  // namespace

// The lower triangle is filled as well, which nobody reads.
void add_gram(const Tensor& x, Tensor& sum) {
  Tensor product = Tensor::uninitialized(sum.shape(), DType::f32, Device::cuda);
  for (int64_t row = 0; row < x.dim(0); row += kGramRows) {
    const Tensor rows = x.rows(row, std::min(row + kGramRows, x.dim(0)));
    halftone::gemm(Transpose::yes, Transpose::no, rows, rows, 0, product);
    add_product<<<blocks_for(sum.numel(), kThreads), kThreads, 0, stream()>>>(
        sum.numel(), numbers<float>(product), numbers<double>(sum));
    check_launch("add_gram");
  }
}

}  // namespace halftone::cuda
