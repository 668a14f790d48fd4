// The table of types.
#include "halftone/io/gguf_quants.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>

#include "gguf_blocks.h"
#include "halftone/base/error.h"
#include "halftone/base/q8_0.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4, read_f32, false},
    {1, "F16", 1, 2, read_f16, false},
    {2, "Q4_0", 32, 18, read_q4_0, true, write_q4_0},
    {3, "Q4_1", 32, 20, read_q4_1, true},
    {4, "Q4_2 (removed)", 0, 0, nullptr, true},
    {5, "Q4_3 (removed)", 0, 0, nullptr, true},
    {6, "Q5_0", 32, 22, read_q5_0, true},
    {7, "Q5_1", 32, 24, read_q5_1, true},
    {8, "Q8_0", 32, 34, read_q8_0, true},
    // 36 bytes in ggml, 40 in its Python package; a step of products, which no model is stored in.
    {9, "Q8_1", 0, 0, nullptr, true},
    {10, "Q2_K", 256, 84, read_q2_k, true},
    {11, "Q3_K", 256, 110, read_q3_k, true},
    {12, "Q4_K", 256, 144, read_q4_k, true},
    {13, "Q5_K", 256, 176, read_q5_k, true},
    {14, "Q6_K", 256, 210, read_q6_k, true},
    {15, "Q8_K", 256, 292, nullptr, true},
    {16, "IQ2_XXS", 256, 66, nullptr, true},
    {17, "IQ2_XS", 256, 74, nullptr, true},
    {18, "IQ3_XXS", 256, 98, nullptr, true},
    {19, "IQ1_S", 256, 50, nullptr, true},
    {20, "IQ4_NL", 32, 18, read_iq4_nl, true},
    {21, "IQ3_S", 256, 110, nullptr, true},
    {22, "IQ2_S", 256, 82, nullptr, true},
    {23, "IQ4_XS", 256, 136, nullptr, true},
    {24, "I8", 1, 1, nullptr, false},
    {25, "I16", 1, 2, nullptr, false},
    {26, "I32", 1, 4, nullptr, false},
    {27, "I64", 1, 8, nullptr, false},
    {28, "F64", 1, 8, nullptr, false},
    {29, "IQ1_M", 256, 56, nullptr, true},
    {30, "BF16", 1, 2, read_bf16, false},
    {31, "Q4_0_4_4 (removed)", 0, 0, nullptr, true},
    {32, "Q4_0_4_8 (removed)", 0, 0, nullptr, true},
    {33, "Q4_0_8_8 (removed)", 0, 0, nullptr, true},
    {34, "TQ1_0", 256, 54, read_tq1_0, true, write_tq1_0},
    {35, "TQ2_0", 256, 66, read_tq2_0, true, write_tq2_0},
    {36, "IQ4_NL_4_4 (removed)", 0, 0, nullptr, true},
    {37, "IQ4_NL_4_8 (removed)", 0, 0, nullptr, true},
    {38, "IQ4_NL_8_8 (removed)", 0, 0, nullptr, true},
    {39, "MXFP4", 32, 17, nullptr, true},
    {40, "NVFP4", 64, 36, nullptr, true},
    {41, "Q1_0", 128, 18, read_q1_0, true, write_q1_0},
    {42, "Q2_0", 64, 18, read_q2_0, true, write_q2_0},
};

}  // namespace

const GgmlType& ggml_type(std::string_view name) {
  for (const GgmlType& type : kTypes)
    if (type.name == name) return type;
  throw std::invalid_argument(fmt::format("ggml_type: '{}'", name));
}

const GgmlType& ggml_type(uint32_t id) {
  static constexpr GgmlType kUnknown{~0u, "unknown", 0, 0, nullptr, true};
  for (const GgmlType& type : kTypes)
    if (type.id == id) return type;
  return kUnknown;
}

void dequantize(const GgmlType& type, const uint8_t* in, float* out, int64_t n) {
  require(type.dequantize != nullptr, "dequantize: type {} is not supported", type.name);
  require(n % type.block == 0, "dequantize: {} numbers in blocks of {}", n, type.block);
  const int64_t blocks = n / type.block;
  parallel_for(blocks, (1 << 16) / type.block, [&](int64_t begin, int64_t end) {
    type.dequantize(in + begin * type.block_bytes, out + begin * type.block, end - begin);
  });
}

bool quantize_exactly(const GgmlType& type, const float* in, uint8_t* out, int64_t n) {
  require(type.quantize_exactly != nullptr, "quantize_exactly: type {} is not written", type.name);
  if (n % type.block != 0) return false;
  const int64_t blocks = n / type.block;
  std::atomic<bool> whole = true;
  parallel_for(blocks, (1 << 16) / type.block, [&](int64_t begin, int64_t end) {
    if (!type.quantize_exactly(in + begin * type.block, out + begin * type.block_bytes,
                               end - begin))
      whole = false;
  });
  return whole;
}

void quantize_q8_0(const float* in, uint8_t* out, int64_t n) {
  require(n % 32 == 0, "quantize_q8_0: {} numbers in blocks of 32", n);
  float_to_q8_0(in, reinterpret_cast<q8_0_t*>(out), n);
}

}  // namespace halftone
