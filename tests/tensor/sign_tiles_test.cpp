#include "halftone/tensor/sign_tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/packed_signs.h"
#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

struct Case {
  int64_t tokens, inputs, outputs, groups;
};

struct Matrix {
  Tensor signs, scales;  // packed rows, and O x G in F16
  SignTiles tiles;
};

Matrix random_matrix(const Case& c) {
  Matrix m{pack_signs(random_floats({c.outputs, c.inputs}, 1)),
           random_floats({c.outputs, c.groups}, 2).to(DType::f16),
           {}};
  m.tiles = tile_signs(m.signs, m.scales, c.inputs);
  return m;
}

// Poisoned, so that what is not written shows.
Tensor multiplied(const Tensor& x, const Tensor& x_scale, const SignTiles& w) {
  Tensor y = Tensor::full({x.dim(0), w.rows}, DType::f32, std::numeric_limits<double>::quiet_NaN());
  multiply_sign_tiles(x, x_scale, w, y);
  return y;
}

double worst_error(const Case& c, const Matrix& m, const Tensor& x, const Tensor& x_scale,
                   const Tensor& y) {
  const Tensor signs = unpack_signs(m.signs, c.inputs), scales = m.scales.to(DType::f32);
  double worst = 0;
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t o = 0; o < c.outputs; ++o) {
      double sum = 0;
      for (int64_t i = 0; i < c.inputs; ++i) {
        const double g = x_scale.defined() ? x_scale.data<float>()[i] : 1.0;
        sum += scales.data<float>()[o * c.groups + i / (c.inputs / c.groups)] *
               signs.data<float>()[o * c.inputs + i] * g * x.data<float>()[t * c.inputs + i];
      }
      const double error = std::abs(sum - y.data<float>()[t * c.outputs + o]);
      worst = std::isnan(error) ? error : std::max(worst, error);
      if (std::isnan(worst)) return worst;
    }
  return worst;
}

class SignTilesProduct : public ::testing::TestWithParam<Case> {};

TEST_P(SignTilesProduct, IsThePlainTripleLoop) {
  const Case& c = GetParam();
  const Matrix m = random_matrix(c);
  const Tensor x = random_floats({c.tokens, c.inputs}, 3);
  for (const Tensor& x_scale : {Tensor(), random_floats({c.inputs}, 4)})
    EXPECT_LT(worst_error(c, m, x, x_scale, multiplied(x, x_scale, m.tiles)),
              4e-6 * std::sqrt(static_cast<double>(c.inputs)) * 8);
}

TEST_P(SignTilesProduct, IsTheSameBitsOnAnyNumberOfThreads) {
  const Case& c = GetParam();
  const Matrix m = random_matrix(c);
  const Tensor x = random_floats({c.tokens, c.inputs}, 3);
  const Tensor many = multiplied(x, {}, m.tiles);
  set_threads(1);
  const Tensor one = multiplied(x, {}, m.tiles);
  set_threads(0);
  EXPECT_EQ(std::memcmp(many.data<float>(), one.data<float>(), many.bytes()), 0);
}

TEST_P(SignTilesProduct, IsTheSameBitsWithAnyVectorLengthForFewTokens) {
  const Case& c = GetParam();
  // Of several scales a row the sum is made by fused multiply-adds where the CPU has them.
  if (c.tokens > kFewTokens || c.groups > 1) GTEST_SKIP() << "another order of rounding";
  const Matrix m = random_matrix(c);
  const Tensor x = random_floats({c.tokens, c.inputs}, 3);
  const Isa best = isa();
  set_isa(Isa::baseline);
  const Tensor plain = multiplied(x, {}, m.tiles);
  for (const Isa other : {Isa::avx2, Isa::avx512}) {
    set_isa(std::min(other, best));
    const Tensor y = multiplied(x, {}, m.tiles);
    EXPECT_EQ(std::memcmp(plain.data<float>(), y.data<float>(), y.bytes()), 0) << isa_name(other);
  }
  set_isa(best);
}

// Of each 32 columns q = round(1023 v / max |v|), v the scaled inputs.
Tensor rounded(const Tensor& x, const Tensor& x_scale) {
  Tensor out = x.like();
  const int64_t columns = x.dim(1);
  for (int64_t first = 0; first < x.numel(); first += columns)
    for (int64_t chunk = 0; chunk < columns; chunk += 32) {
      const int64_t n = std::min<int64_t>(32, columns - chunk);
      const float* from = x.data<float>() + first + chunk;
      const auto value = [&](int64_t i) {
        return x_scale.defined() ? from[i] * x_scale.data<float>()[chunk + i] : from[i];
      };
      float most = 0;
      for (int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(value(i)));
      for (int64_t i = 0; i < n; ++i)
        out.data<float>()[first + chunk + i] =
            most > 0 ? std::nearbyint(value(i) * (1023 / most)) * most / 1023 : 0;
    }
  return out;
}

TEST_P(SignTilesProduct, OfWholeNumbersIsThatOfRoundedInputs) {
  const Case& c = GetParam();
  if (c.tokens > kFewTokens) GTEST_SKIP() << "inputs are taken as they are";
  const Matrix m = random_matrix(c);
  Tensor x = random_floats({c.tokens, c.inputs}, 3);
  for (int64_t i = 0; i < std::min<int64_t>(32, c.inputs); ++i) x.data<float>()[i] = 0;
  const Isa best = isa();
  for (const Tensor& x_scale : {Tensor(), random_floats({c.inputs}, 4)})
    for (const Isa other : {Isa::baseline, Isa::avx2, Isa::avx512}) {
      set_isa(std::min(other, best));
      Tensor y =
          Tensor::full({c.tokens, c.outputs}, DType::f32, std::numeric_limits<double>::quiet_NaN());
      std::vector<SignProduct> products{{&m.tiles, x_scale, y}};
      multiply_sign_tiles(x, products, SignInputs::int11);
      EXPECT_LT(worst_error(c, m, rounded(x, x_scale), {}, y),
                4e-6 * std::sqrt(static_cast<double>(c.inputs)) * 8)
          << isa_name(isa());
      // Half a step of each input at most, most of which have the other sign of error.
      const double error = worst_error(c, m, x, x_scale, y);
      EXPECT_LT(error, 4e-3 * std::sqrt(static_cast<double>(c.inputs)) * 4);
      if (c.inputs > 32) {
        EXPECT_GT(error, 1e-5);
      }
    }
  set_isa(best);
}

TEST_P(SignTilesProduct, GivesBackWhatItWasMadeOf) {
  const Matrix m = random_matrix(GetParam());
  const Tensor signs = untile_signs(m.tiles), scales = untile_scales(m.tiles);
  ASSERT_EQ(signs.shape(), m.signs.shape());
  EXPECT_EQ(std::memcmp(signs.data<uint8_t>(), m.signs.data<uint8_t>(), signs.bytes()), 0);
  ASSERT_EQ(scales.numel(), m.scales.numel());
  EXPECT_EQ(std::memcmp(scales.raw(), m.scales.raw(), scales.bytes()), 0);
}

// On, below and above multiples of tiles, chunks, blocks of tokens, and tiles taken together.
INSTANTIATE_TEST_SUITE_P(Sizes, SignTilesProduct,
                         ::testing::Values(Case{1, 64, 64, 1}, Case{1, 1, 1, 1},
                                           Case{1, 576, 192, 1}, Case{3, 257, 83, 1},
                                           Case{8, 40, 130, 1}, Case{7, 256, 70, 2},
                                           Case{1, 384, 97, 3}, Case{5, 96, 33, 3},
                                           Case{9, 30, 20, 1}, Case{40, 576, 66, 9},
                                           Case{33, 256, 1030, 2}, Case{70, 512, 31, 4}));

// Every input is as large as its step allows; rows have its sign, the other one, or either.
TEST(SignTiles, TheLargestSumsOfWholeNumbersDoNotOverflow) {
  constexpr int64_t kInputs = 96, kOutputs = 40;
  Tensor x = Tensor::uninitialized({1, kInputs}, DType::f32),
         signs = Tensor::zeros({kOutputs, kInputs / 8}, DType::u8);
  Rng rng(5, RngStream::test);
  std::vector<double> expected(kOutputs, 0);
  for (int64_t i = 0; i < kInputs; ++i) {
    const bool minus = rng.below(2) == 1;
    x.data<float>()[i] = minus ? -1.0f : 1.0f;
    for (int64_t o = 0; o < kOutputs; ++o) {
      const bool same = o % 3 == 0 || (o % 3 == 2 && rng.below(2) == 1);
      if (minus == same) signs.data<uint8_t>()[o * kInputs / 8 + i / 8] |= 1u << i % 8;
      expected[o] += same ? 1 : -1;
    }
  }
  const SignTiles w = tile_signs(signs, Tensor::full({kOutputs}, DType::f16, 1), kInputs);
  const Isa best = isa();
  for (const Isa other : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    set_isa(std::min(other, best));
    Tensor y = Tensor::zeros({1, kOutputs}, DType::f32);
    std::vector<SignProduct> products{{&w, {}, y}};
    multiply_sign_tiles(x, products, SignInputs::int11);
    for (int64_t o = 0; o < kOutputs; ++o)
      EXPECT_NEAR(y.data<float>()[o], expected[o], 1e-4) << isa_name(isa()) << " " << o;
  }
  set_isa(best);
}

TEST(SignTiles, RefusesWhatDoesNotFit) {
  const Tensor signs = Tensor::zeros({4, 8}, DType::u8);
  const auto scales = [](Shape shape) { return Tensor::zeros(std::move(shape), DType::f16); };
  EXPECT_THROW(tile_signs(signs, scales({3}), 64), std::invalid_argument);
  EXPECT_THROW(tile_signs(signs, scales({4}), 72), std::invalid_argument);
  EXPECT_THROW(tile_signs(signs, scales({4, 4}), 64), std::invalid_argument);  // groups of 16
  const SignTiles w = tile_signs(signs, scales({4, 2}), 64);
  Tensor y = Tensor::zeros({1, 4}, DType::f32);
  EXPECT_THROW(multiply_sign_tiles(Tensor::zeros({1, 65}, DType::f32), {}, w, y),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
