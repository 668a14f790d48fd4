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

void check_codes(const Tensor& packed, int64_t m) {
  require(packed.rank() == 2 && m > 0 && packed.dim(1) == divide_up(m, 16),
          "codes of shape {} for {} columns", shape_text(packed.shape()), m);
}

// Of column j in a row's numbers.
uint32_t code_at(const int32_t* row, int64_t j) {
  return static_cast<uint32_t>(row[j / 16]) >> (2 * (j % 16)) & 3;
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

Tensor signs_of_codes(const Tensor& packed, int64_t m) {
  check_codes(packed, m);
  Tensor out = Tensor::zeros({packed.dim(0), divide_up(m, 8)}, DType::u8);
  const int32_t* words = packed.data<int32_t>();
  auto* bytes = out.data<uint8_t>();
  for (int64_t i = 0; i < packed.dim(0); ++i)
    for (int64_t j = 0; j < m; ++j) {
      const uint32_t code = code_at(words + i * packed.dim(1), j);
      if (code % 2 == 0) return {};
      if (code == 1) bytes[i * out.dim(1) + j / 8] |= static_cast<uint8_t>(1 << (j % 8));
    }
  return out;
}

Tensor weights_of_codes(const Tensor& packed, const Tensor& d, int64_t m) {
  check_codes(packed, m);
  const int64_t n = packed.dim(0);
  require(d.rank() == 2 && d.dim(0) == n && d.dim(1) > 0 && m % d.dim(1) == 0,
          "weights_of_codes: scales of shape {} for {}", shape_text(d.shape()), shape_text({n, m}));
  Tensor out = Tensor::uninitialized({n, m}, DType::f32);
  const int32_t* words = packed.data<int32_t>();
  const float* scale = d.data<float>();
  float* w = out.data<float>();
  const int64_t group = m / d.dim(1);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j)
      w[i * m + j] = scale[i * d.dim(1) + j / group] *
                     (static_cast<float>(code_at(words + i * packed.dim(1), j)) - 2);
  return out;
}

}  // namespace halftone
