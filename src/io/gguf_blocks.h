// How blocks of GGUF's types are read and written, one function a type and direction.
#pragma once

#include <cstdint>
#include <cstring>

#include "halftone/base/half.h"

namespace halftone {

inline float half_at(const uint8_t* p) {
  half_t h;
  std::memcpy(&h, p, sizeof h);
  return to_float(h);
}

// Into `blocks` blocks of numbers.
using BlockReader = void(const uint8_t* in, float* out, int64_t blocks);
BlockReader read_f32, read_f16, read_bf16, read_q8_0, read_q4_0, read_q4_1, read_q5_0, read_q5_1;
BlockReader read_q2_k, read_q3_k, read_q4_k, read_q5_k, read_q6_k;
BlockReader read_q1_0, read_q2_0, read_tq1_0, read_tq2_0, read_iq4_nl;

// From them; false where the type does not hold the numbers of a block bit for bit.
using BlockWriter = bool(const float* in, uint8_t* out, int64_t blocks);
BlockWriter write_q1_0, write_q2_0, write_tq1_0, write_tq2_0, write_q4_0;

}  // namespace halftone
