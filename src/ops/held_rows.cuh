// Rows of a warp that are read once and passed over several times, in registers.
#pragma once

#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {

// Eight numbers in the words that they were read in: the compiler does not take them apart before
// they are used.
template <class T>
struct Words {
  static constexpr int kCount = sizeof(Pack<T>) / sizeof(uint32_t);
  uint32_t at[kCount];

  __device__ void load(const T* from) {
    const Pack<T> pack = load8(from);
#pragma unroll
    for (int i = 0; i < kCount; ++i) at[i] = reinterpret_cast<const uint32_t*>(&pack)[i];
  }
  __device__ Pack<T> pack() const {
    Pack<T> out;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      uint32_t word = at[i];
      asm volatile("" : "+r"(word));
      reinterpret_cast<uint32_t*>(&out)[i] = word;
    }
    return out;
  }
};

// R rows of c numbers, of which a lane holds P times 8 of each; with P = 0 rows of any width, read
// again at each pass.
template <int P, int R, class T>
class HeldRows {
 public:
  static constexpr int kWidth = P == 0 ? 1 : 8;  // numbers that a pass has at a time

  __device__ HeldRows(int64_t c, const T* const (&rows)[R]) : c_(c) {
#pragma unroll
    for (int r = 0; r < R; ++r) rows_[r] = rows[r];
#pragma unroll
    for (int p = 0; p < P; ++p) {
      const int64_t j = first(p);
      if (j >= c) continue;
#pragma unroll
      for (int r = 0; r < R; ++r) held_[r][p].load(rows[r] + j);
    }
  }

  // body(j, x): numbers x[r][0 .. kWidth) of each row, at columns j and on.
  template <class Body>
  __device__ void pass(const Body& body) const {
    float x[R][kWidth];
    if constexpr (P == 0) {
      for (int64_t j = lane_here(); j < c_; j += kWarp) {
#pragma unroll
        for (int r = 0; r < R; ++r) x[r][0] = wide(rows_[r][j]);
        body(j, x);
      }
    } else {
#pragma unroll
      for (int p = 0; p < P; ++p) {
        const int64_t j = first(p);
        if (j >= c_) continue;
#pragma unroll
        for (int r = 0; r < R; ++r) {
          const Pack<T> pack = held_[r][p].pack();
#pragma unroll
          for (int i = 0; i < 8; ++i) x[r][i] = wide(pack.at[i]);
        }
        body(j, x);
      }
    }
  }

 private:
  __device__ static int64_t first(int p) {
    return (p * kWarp + lane_here()) * 8;
  }

  int64_t c_;
  const T* rows_[R];
  Words<T> held_[R][P == 0 ? 1 : P];
};

// Mean and (var + eps)^(-1/2) of the first R rows of those held.
template <int R>
struct RowMoments {
  float mean[R], r[R];

  template <class Rows>
  __device__ RowMoments(const Rows& rows, int64_t c, float eps) {
    const float share = 1.0f / static_cast<float>(c);
    float sums[R] = {}, squares[R] = {};
    rows.pass([&](int64_t, const auto& x) {
#pragma unroll
      for (int k = 0; k < R; ++k)
#pragma unroll
        for (int i = 0; i < Rows::kWidth; ++i) sums[k] += x[k][i];
    });
#pragma unroll
    for (int k = 0; k < R; ++k) mean[k] = warp_sum(sums[k]) * share;
    rows.pass([&](int64_t, const auto& x) {
#pragma unroll
      for (int k = 0; k < R; ++k)
#pragma unroll
        for (int i = 0; i < Rows::kWidth; ++i)
          squares[k] += (x[k][i] - mean[k]) * (x[k][i] - mean[k]);
    });
#pragma unroll
    for (int k = 0; k < R; ++k) r[k] = 1.0f / sqrtf(warp_sum(squares[k]) * share + eps);
  }

  __device__ float z(int k, float x) const {
    return (x - mean[k]) * r[k];
  }
};

// Runs body.template operator()<P>() for rows of at most `widest` BF16 numbers in whole packs; with
// P = 0 for others.
template <class T, class Body>
void with_held(int64_t widest, bool packs, const Body& body) {
  const int64_t held = divide_up(widest, kWarp * 8);
  if constexpr (sizeof(T) == 2) {
    if (packs && held <= 1) return body.template operator()<1>();
    if (packs && held <= 3) return body.template operator()<3>();
    if (packs && held <= 6) return body.template operator()<6>();
    if (packs && held <= 8) return body.template operator()<8>();
  }
  return body.template operator()<0>();
}

}  // namespace halftone::cuda
