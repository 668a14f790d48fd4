// What the codecs share of a matrix's parts.
#pragma once

#include <string>
#include <vector>

#include "halftone/quant/low_bit_matrix.h"

namespace halftone {

// A part that the layout has, with its dtype and size.
struct ExpectedPart {
  std::string name;
  DType dtype;
  int64_t numel;
};

// Throws Error(format), naming the part, when one is missing or of another dtype or size.
void require_parts(const LowBitMatrix& matrix, const std::vector<ExpectedPart>& expected,
                   const std::string& where);

// F16 numbers as floats.
std::vector<float> halves(const Tensor& part);

}  // namespace halftone
