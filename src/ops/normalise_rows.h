// Rows normalised on the thread that calls, for kernels that do it where their rows are made.
#pragma once

#include <cstdint>

#include "halftone/tensor/tensor.h"

namespace halftone::cpu {

// layer_norm.h's formulas over rows [begin, end): z and each row's r from y (z may be y); then dy
// from dz (dy may be dz).
void normalise_rows(int64_t begin, int64_t end, const Tensor& y, double eps, Tensor& z, Tensor& r);
void normalise_rows_backward(int64_t begin, int64_t end, const Tensor& z, const Tensor& r,
                             const Tensor& dz, Tensor& dy);

}  // namespace halftone::cpu
