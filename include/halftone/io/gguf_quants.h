// The tensor types of GGUF and how their blocks are read.
//
// A block holds `block` neighbouring numbers of one row; d, m are fp16 scales. Of the 256-number
// "K" types, a super-block holds scales of its sub-blocks, themselves quantised to 6 or 8 bits.
//   Q8_0  32: d, 32 i8                        x = d q
//   Q4_0  32: d, 32 x 4 bit                   x = d (q - 8)
//   Q4_1  32: d, m, 32 x 4 bit                x = d q + m
//   Q5_0  32: d, 32 high bits, 32 x 4 bit     x = d (q - 16)
//   Q5_1  32: d, m, 32 high bits, 32 x 4 bit  x = d q + m
//   Q4_K 256: d, dmin, 8 x (s, m) in 6 bits, 256 x 4 bit                   x = d s q - dmin m
//   Q5_K 256: as Q4_K with 256 high bits                                   x = d s q - dmin m
//   Q6_K 256: 256 x 4 bit, 256 x 2 high bits, 16 i8 scales s, d            x = d s (q - 32)
//   Q2_K 256: 16 x (s, m) in 4 bits, 256 x 2 bit, d, dmin                  x = d s q - dmin m
//   Q3_K 256: 256 high bits, 256 x 2 bit, 16 x 6 bit scales s, d           x = d (s - 32) (q - 4)
//   IQ4_NL 32: d, 32 x 4 bit                  x = d level[q], 16 levels from -127 to 113
//   Q1_0 128: d, 128 signs, least bit first   x = d or -d
//   Q2_0  64: d, 64 x 2 bit                   x = d (q - 1)
//   TQ1_0 256: 256 trits, five a byte, d      x = d (q - 1)
//   TQ2_0 256: 256 x 2 bit, d                 x = d (q - 1)
// Every product above is exact in f32 and each sum is rounded once, so the order of operations and
// fused multiply-adds change nothing: the values are those of any correct reader, bit for bit.
#pragma once

#include <cstdint>
#include <string_view>

namespace halftone {

struct GgmlType {
  uint32_t id;
  const char* name;
  int64_t block;  // numbers a block; 0: the layout is not known
  int64_t block_bytes;
  // Reads `blocks` blocks into block x blocks floats; nullptr: not supported.
  void (*dequantize)(const uint8_t* in, float* out, int64_t blocks);
  bool quantized;
  // Writes blocks from numbers; false where the type does not hold them bit for bit. nullptr: not
  // written.
  bool (*quantize_exactly)(const float* in, uint8_t* out, int64_t blocks) = nullptr;

  // A number, of a type whose layout is known.
  double bits() const {
    return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block);
  }
};

// For an id that is none of the format's: a type "unknown" without a layout.
const GgmlType& ggml_type(uint32_t id);
const GgmlType& ggml_type(std::string_view name);  // throws std::invalid_argument

// n numbers, in rows of whole blocks, on all threads; false where the type does not hold them bit
// for bit.
bool quantize_exactly(const GgmlType& type, const float* in, uint8_t* out, int64_t n);
// The nearest numbers d q, d = max |x| / 127 of a block rounded to F16, q from -127 to 127.
void quantize_q8_0(const float* in, uint8_t* out, int64_t n);

// n numbers, a multiple of the block, on all threads.
void dequantize(const GgmlType& type, const uint8_t* in, float* out, int64_t n);

}  // namespace halftone
