// Marks of other queues than the kernels'.
#pragma once

#include "halftone/tensor/mark.h"
#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

// When the GPU in use is done with what was queued there before.
Mark mark_in(cudaStream_t queue);

}  // namespace halftone::cuda
