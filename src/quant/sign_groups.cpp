// One pass over the rows for each question.
#include "halftone/quant/sign_groups.h"

#include <cmath>

#include "halftone/base/rounding.h"

namespace halftone {
namespace {

void check(const Tensor& w, int64_t group) {
  require(w.rank() == 2 && group > 0 && w.dim(1) % group == 0,
          "sign_groups: shape {} in groups of {} columns", shape_text(w.shape()), group);
}

}  // namespace

std::optional<UnequalPair> unequal_pair(const Tensor& w, int64_t group) {
  check(w, group);
  const int64_t n = w.dim(0), m = w.dim(1);
  const float* in = w.data<float>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const int64_t first = j / group * group;
      const float a = in[i * m + first], b = in[i * m + j];
      if (!(std::abs(a) == std::abs(b))) return UnequalPair{i, first, j, a, b};
    }
  return {};
}

Tensor group_magnitudes(const Tensor& w, int64_t group) {
  check(w, group);
  Tensor out = Tensor::uninitialized({w.dim(0), w.dim(1) / group}, DType::f32);
  const float* in = w.data<float>();
  float* d = out.data<float>();
  for (int64_t k = 0; k < out.numel(); ++k) d[k] = std::abs(in[k * group]);
  return out;
}

Tensor pack_sign_codes(const Tensor& w) {
  require(w.rank() == 2, "pack_sign_codes: shape {}", shape_text(w.shape()));
  const int64_t n = w.dim(0), m = w.dim(1), words = divide_up(m, 16);
  Tensor out = Tensor::uninitialized({n, words}, DType::i32);
  const float* in = w.data<float>();
  int32_t* packed = out.data<int32_t>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < words; ++k) {
      uint32_t word = 0;
      for (int64_t j = 16 * k; j < std::min(m, 16 * (k + 1)); ++j)
        word |= (in[i * m + j] >= 0 ? 3u : 1u) << (2 * (j - 16 * k));
      packed[i * words + k] = static_cast<int32_t>(word);
    }
  return out;
}

}  // namespace halftone
