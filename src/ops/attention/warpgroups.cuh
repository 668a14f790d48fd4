// Attention by warpgroups (wgmma): what tensor_cores.cuh says, where the GPU has them.
#pragma once

#include "tensor_cores.cuh"

namespace halftone::cuda {

bool have_warpgroups();  // a GPU of compute capability 9.0

void warpgroup_attention(const AttentionShape& s, const Tensor& q, const Tensor& k, const Tensor& v,
                         Tensor& out, Tensor& lse);
void warpgroup_attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const Tensor& lse, const Tensor& delta,
                                  const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv);

}  // namespace halftone::cuda
