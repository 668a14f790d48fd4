// Rows normalised on the GPU, for the layer norm and the OneBit layer.
#pragma once

#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {

// layer_norm.h's formulas: z and each row's r from y (z may be y); then dy from dz (dy may be dz).
void normalise_rows(const Tensor& y, double eps, Tensor& z, Tensor& r);
void normalise_rows_backward(const Tensor& z, const Tensor& r, const Tensor& dz, Tensor& dy);

}  // namespace halftone::cuda
