// The straight-through factors on the GPU.
#pragma once

#include "halftone/ops/onebit_linear.h"

namespace halftone::cuda {

__device__ inline float ste_factor(Ste ste, float w) {
  if (ste == Ste::tanh) {
    const float t = tanhf(w);
    return 1.001f - t * t;
  }
  if (ste == Ste::clipped) return fabsf(w) <= 1.0f ? 1.0f : 0.0f;
  return 1.0f;
}

__device__ inline float sign_of(float w) {
  return w >= 0.0f ? 1.0f : -1.0f;
}

}  // namespace halftone::cuda
