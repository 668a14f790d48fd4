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
//   Q1_0 128: d, 128 signs, least bit first   x = d or -d
//   Q2_0  64: d, 64 x 2 bit                   x = d (q - 1)
// Every product above is exact in f32 and each sum is rounded once, so the order of operations and
// fused multiply-adds change nothing: the values are those of any correct reader, bit for bit.
#pragma once

#include <cstdint>

namespace halftone {

struct GgmlType {
  uint32_t id;
  const char* name;
  int64_t block;  // numbers a block; 0: the layout is not known
  int64_t block_bytes;
  // Reads `blocks` blocks into block x blocks floats; nullptr: not supported.
  void (*dequantize)(const uint8_t* in, float* out, int64_t blocks);
  bool quantized;
};

// For an id that is none of the format's: a type "unknown" without a layout.
const GgmlType& ggml_type(uint32_t id);

// n numbers, a multiple of the block, on all threads.
void dequantize(const GgmlType& type, const uint8_t* in, float* out, int64_t n);

}  // namespace halftone
