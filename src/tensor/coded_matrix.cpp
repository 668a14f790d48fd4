// Where codes lie in their words; which kernel multiplies by them.
#include "halftone/tensor/coded_matrix.h"

#include <algorithm>

#include "halftone/tensor/gemm.h"
#include "tensor/dispatch.h"
#include "tensor/gemm/coded_gemv.h"

namespace halftone {

HT_CPU_KERNEL(multiply_coded, const Tensor& x, const CodedMatrix& w, Tensor& y)

namespace {

constexpr int64_t kRebuilt = int64_t{1} << 21;  // weights at a time

// Calls visit(bit of the chunk, bit of the code) for each bit of the code at position p.
template <class Visit>
void for_each_bit(int64_t bits, int64_t p, const Visit& visit) {
  for (int64_t b = 0; b < bits; ++b) {
    if (bits == 4)
      visit(32 * (p % 2) + 4 * (p / 2) + b, b);
    else if (b == 2)
      visit(32 + p, b);
    else
      visit(std::min<int64_t>(bits, 2) * p + b, b);
  }
}

}  // namespace

uint8_t read_code(const uint8_t* row, int64_t bits, int64_t position) {
  const uint8_t* chunk = row + position / CodedPart::kColumns * 2 * bits;
  int code = 0;
  for_each_bit(bits, position % CodedPart::kColumns,
               [&](int64_t at, int64_t b) { code |= (chunk[at / 8] >> (at % 8) & 1) << b; });
  return static_cast<uint8_t>(code);
}

void write_code(uint8_t* row, int64_t bits, int64_t position, uint8_t code) {
  uint8_t* chunk = row + position / CodedPart::kColumns * 2 * bits;
  for_each_bit(bits, position % CodedPart::kColumns, [&](int64_t at, int64_t b) {
    chunk[at / 8] = static_cast<uint8_t>(chunk[at / 8] | (code >> b & 1) << (at % 8));
  });
}

void cpu::multiply_coded(const Tensor& x, const CodedMatrix& w, Tensor& y) {
  const int64_t tokens = x.dim(0), inputs = w.columns;
  if (tokens <= kFewTokensCoded) return coded_gemv(x, w, y);
  const int64_t at_once = std::min(w.rows, std::max<int64_t>(64, kRebuilt / inputs / 64 * 64));
  Tensor dense = Tensor::uninitialized({at_once, inputs}, DType::f32);
  for (int64_t row = 0; row < w.rows; row += at_once) {
    const int64_t count = std::min(at_once, w.rows - row);
    rebuild_rows(w, row, row + count, dense.data<float>());
    gemm(Transpose::no, Transpose::yes, tokens, count, inputs, 1.0f, x.data<float>(), inputs,
         dense.data<float>(), inputs, 0.0f, y.data<float>() + row, w.rows);
  }
}

void multiply_coded(const Tensor& x, const CodedMatrix& w, Tensor& y) {
  require(x.rank() == 2 && x.dtype() == DType::f32 && x.dim(1) == w.columns &&
              y.shape() == Shape{x.dim(0), w.rows},
          "multiply_coded: x {}, W {} x {}, y {}", shape_text(x.shape()), w.rows, w.columns,
          shape_text(y.shape()));
  if (x.dim(0) == 0) return;
  HT_RUN(multiply_coded, x.device(), x, w, y);
}

}  // namespace halftone
