// Attention by the matrix units (mma.sync m16n8k16), for BF16 and heads of 64 or 128 numbers.
#pragma once

#include "halftone/ops/attention.h"
#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

bool fits_tensor_cores(const AttentionShape& s, DType dtype);

void tensor_core_attention(const AttentionShape& s, const Tensor& q, const Tensor& k,
                           const Tensor& v, Tensor& out, Tensor& lse);
void tensor_core_attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                                    const Tensor& v, const Tensor& lse, const Tensor& delta,
                                    const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv);

}  // namespace halftone::cuda
