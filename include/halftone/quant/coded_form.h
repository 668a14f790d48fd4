// A low-bit matrix in the order in which it is multiplied by (tensor/coded_matrix.h), and back.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "halftone/quant/low_bit_matrix.h"
#include "halftone/tensor/coded_matrix.h"

namespace halftone {

// Codes of 4 bits at most have such a form: uniform grids of 1 to 4 bits, and all binary layouts.
bool has_coded_form(const LowBitLayout& layout);

// A part of uniform grids has the codes, values scale and zero (symmetric: the scale), the groups
// of the layout. A binary matrix has a part of the columns that are not salient (code: sign + 2
// group), and where it is partitioned one of the salient ones (sign + 2 second sign + 4 group);
// groups are blocks, values those of `row_values`, factors those of `column_values`. The weights
// are those of reconstruct(), within the rounding of a sum of floats.
CodedMatrix coded_form(const LowBitMatrix& matrix);
// The same matrix back, its parts byte for byte.
LowBitMatrix low_bit_matrix(const LowBitLayout& layout, const CodedMatrix& coded);

// What count_bits says of that one.
LowBitCount count_bits(const LowBitLayout& layout, const CodedMatrix& coded);

// The tensors of a coded matrix by their names in a mapped file ("words", "salient_words", ..), and
// a matrix from them: take() returns an undefined tensor for what is not there. Nothing where there
// are no words; throws Error(format), naming the tensor behind `where`, where one is missing or has
// another dtype or shape than expected, or where a column has no place of its own.
std::map<std::string, Tensor> coded_tensors(const CodedMatrix& coded);
std::optional<CodedMatrix> coded_from(const LowBitLayout& layout, int64_t rows, int64_t columns,
                                      const std::function<Tensor(const std::string&)>& take,
                                      const std::string& where);

}  // namespace halftone
