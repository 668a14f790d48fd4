// A weight matrix in few bits, as it is stored: what is evaluated is rebuilt from this form.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "halftone/quant/binary_codec.h"
#include "halftone/quant/uniform_codec.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// How the parts of a matrix are read. A scheme is a layout: its text names it, and its codec checks
// the parts, rebuilds the weights and counts the bits.
using LowBitLayout = std::variant<UniformLayout, BinaryLayout>;

std::string layout_text(const LowBitLayout& layout);
LowBitLayout parse_layout(const std::string& text);  // throws Error(format)

struct LowBitMatrix {
  LowBitLayout layout;
  int64_t rows = 0, columns = 0;
  std::map<std::string, Tensor> parts;
};

Tensor reconstruct(const LowBitMatrix& matrix);  // n x m, F32; throws std::invalid_argument

// Throws Error(format), naming the part, when parts are missing, unknown or of another size.
void check_parts(const LowBitMatrix& matrix, const std::string& where);

// The parts that a matrix of this layout may have.
std::vector<std::string> part_names(const LowBitLayout& layout);

struct LowBitCount {
  int64_t weights = 0;
  int64_t stored_bits = 0;  // 8 x bytes of all parts
  double paper_bits = 0;    // a weight, by the method's own formula
};
LowBitCount count_bits(const LowBitMatrix& matrix);

// What count_bits will say of a matrix with `salient` salient columns.
int64_t planned_bits(const LowBitLayout& layout, int64_t rows, int64_t columns, int64_t salient);

}  // namespace halftone
