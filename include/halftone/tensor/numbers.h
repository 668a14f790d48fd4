// Questions about the numbers of a tensor, for what reads and writes files.
#pragma once

#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// How many numbers of an F32 or F16 tensor are infinite or NaN.
int64_t count_non_finite(const Tensor& tensor);

// How many numbers differ in bits once both tensors are F32. Throws std::invalid_argument for
// tensors of different shapes.
int64_t count_changed(const Tensor& a, const Tensor& b);

// F16 where that loses no number of the tensor (F32, F16 or BF16) to infinity, else F32.
Tensor to_f16_where_it_fits(const Tensor& tensor);

// The numbers of a small tensor, F32 or F64, on whatever device.
std::vector<double> values_of(const Tensor& tensor);
// The same of I32.
std::vector<int32_t> ids_of(const Tensor& tensor);

}  // namespace halftone
