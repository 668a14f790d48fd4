// The gated linear unit of rows that hold up and gate one after another (N x 2 C): y (N x C). Both
// are normalised by themselves first (group_norm.h), unless norm_eps is 0.
#pragma once

#include "halftone/ops/activation.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(gated_rows_forward, const Tensor& up_gate, double norm_eps, Activation f, Tensor& y)
// The gradient dx in up and gate from dy, and y again.
HT_KERNEL(gated_rows_backward, const Tensor& up_gate, double norm_eps, Activation f,
          const Tensor& dy, Tensor& dx, Tensor& y)

}  // namespace halftone
