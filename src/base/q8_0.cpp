// Rounding to blocks of 8 bits and back.
#include "halftone/base/q8_0.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr int64_t kBlocks = 1 << 11;  // of numbers, that a thread takes

}  // namespace

void float_to_q8_0(const float* in, q8_0_t* out, int64_t n) {
  parallel_for(n / q8_0_t::kNumbers, kBlocks, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const float* x = in + q8_0_t::kNumbers * b;
      float most = 0;
      for (int64_t j = 0; j < q8_0_t::kNumbers; ++j) most = std::max(most, std::fabs(x[j]));
      out[b].scale = to_half(most / 127);
      const float inverse = most > 0 ? 127 / most : 0;
      for (int64_t j = 0; j < q8_0_t::kNumbers; ++j)
        out[b].q[j] = static_cast<int8_t>(std::round(x[j] * inverse));
    }
  });
}

void widen_q8_0(const q8_0_t* in, float* out, int64_t n) {
  for (int64_t b = 0; b < n / q8_0_t::kNumbers; ++b) {
    const float scale = to_float(in[b].scale);
    for (int64_t j = 0; j < q8_0_t::kNumbers; ++j)
      out[b * q8_0_t::kNumbers + j] = scale * static_cast<float>(in[b].q[j]);
  }
}

void q8_0_to_float(const q8_0_t* in, float* out, int64_t n) {
  parallel_for(n / q8_0_t::kNumbers, kBlocks, [&](int64_t begin, int64_t end) {
    widen_q8_0(in + begin, out + begin * q8_0_t::kNumbers, (end - begin) * q8_0_t::kNumbers);
  });
}

}  // namespace halftone
