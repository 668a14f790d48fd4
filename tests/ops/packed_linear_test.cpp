#include "halftone/ops/packed_linear.h"

#include <cmath>
#include <stdexcept>

#include "halftone/ops/group_scaled_linear.h"
#include "halftone/ops/layer_norm.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/tensor/packed_signs.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

constexpr int64_t kOut = 83, kIn = 192;

// Numbers that F16 holds, in F32.
Tensor halves(Shape shape, uint64_t seed) {
  return random_tensor(std::move(shape), seed, 1.0, DType::f16).to(DType::f32);
}

struct Layer {
  Tensor latent = random_tensor({kOut, kIn}, 1, 1.0, DType::f32), in_scale = halves({kIn}, 2),
         out_scale = halves({kOut}, 3), bias = halves({kOut}, 4);

  SignTiles tiles(const Tensor& scales) const {
    return tile_signs(pack_signs(latent), scales.to(DType::f16), kIn);
  }
};

// The scales bring sums of 192 products to about 14: both orders of summing round as much.
constexpr double kTolerance = 5e-5;

TEST(PackedLinear, IsTheOneBitLayerOfTheSameNumbers) {
  const Layer layer;
  const SignTiles tiles = layer.tiles(layer.out_scale);
  for (const int64_t tokens : {1, 5, 40})
    for (const bool normed : {false, true})
      for (const Tensor& bias : {Tensor(), layer.bias}) {
        Tape tape(Tape::Mode::no_grad);
        const Var x = tape.constant(random_tensor({tokens, kIn}, 5, 1.0, DType::f32));
        const Var expected = onebit_linear(
            x, tape.constant(layer.latent), tape.constant(layer.in_scale),
            tape.constant(layer.out_scale), bias.defined() ? tape.constant(bias) : Var(),
            {.post_layer_norm = normed});
        const Var out = packed_linear(x, {tiles, layer.in_scale, bias, normed});
        EXPECT_LT(largest_difference(out.value(), expected.value()), kTolerance)
            << tokens << " " << normed << " " << bias.defined();
      }
}

TEST(PackedLinear, WithoutAnInputScaleIsTheLayerOfAScaleARowAndGroup) {
  const Layer layer;
  for (const int64_t groups : {1, 2, 6}) {
    const Tensor scale = halves({kOut, groups}, 6);
    const SignTiles tiles = layer.tiles(scale);
    for (const int64_t tokens : {1, 5, 40}) {
      Tape tape(Tape::Mode::no_grad);
      const Var x = tape.constant(random_tensor({tokens, kIn}, 5, 1.0, DType::f32));
      const Var expected = group_scaled_linear(x, tape.constant(layer.latent), tape.constant(scale),
                                               tape.constant(layer.bias), Ste::tanh);
      const Var out = packed_linear(x, {tiles, {}, layer.bias});
      EXPECT_LT(largest_difference(out.value(), expected.value()), kTolerance)
          << groups << " " << tokens;
    }
  }
}

TEST(PackedLinear, TheBiasStandsBehindTheNormalisation) {
  const Layer layer;
  const SignTiles tiles = layer.tiles(layer.out_scale);
  const double eps = 0.5;  // so large that its place shows
  Tape tape(Tape::Mode::no_grad);
  const Var x = tape.constant(random_tensor({3, kIn}, 5, 1.0, DType::f32));
  const Var y = packed_linear(x, {tiles, layer.in_scale, {}, false, eps}),
            out = packed_linear(x, {tiles, layer.in_scale, layer.bias, true, eps});
  for (int64_t n = 0; n < 3; ++n) {
    const float* row = y.value().data<float>() + n * kOut;
    double mean = 0, variance = 0;
    for (int64_t o = 0; o < kOut; ++o) mean += row[o] / static_cast<double>(kOut);
    for (int64_t o = 0; o < kOut; ++o)
      variance += (row[o] - mean) * (row[o] - mean) / static_cast<double>(kOut);
    for (int64_t o = 0; o < kOut; ++o)
      EXPECT_NEAR(out.value().data<float>()[n * kOut + o],
                  (row[o] - mean) / std::sqrt(variance + eps) + layer.bias.data<float>()[o], 1e-5);
  }
}

TEST(PackedLinear, HasNoGradient) {
  const Layer layer;
  const SignTiles tiles = layer.tiles(layer.out_scale);
  const Tensor numbers = random_tensor({2, kIn}, 5, 1.0, DType::f32);
  Tape tape;
  EXPECT_THROW(packed_linear(tape.variable(numbers), {tiles, layer.in_scale, {}}),
               std::invalid_argument);
  const Var out = packed_linear(tape.constant(numbers), {tiles, layer.in_scale, {}});
  EXPECT_FALSE(out.needs_grad());
}

TEST(PackedLinear, RefusesShapesThatDoNotFit) {
  const Layer layer;
  const SignTiles tiles = layer.tiles(layer.out_scale);
  Tape tape(Tape::Mode::no_grad);
  const auto run = [&](const Shape& x, const Shape& in_scale, const Shape& bias) {
    packed_linear(tape.constant(Tensor::zeros(x, DType::f32)),
                  {tiles, Tensor::zeros(in_scale, DType::f32), Tensor::zeros(bias, DType::f32)});
  };
  EXPECT_NO_THROW(run({2, kIn}, {kIn}, {kOut}));
  EXPECT_THROW(run({2, kIn + 1}, {kIn}, {kOut}), std::invalid_argument);
  EXPECT_THROW(run({2, kIn}, {kIn - 1}, {kOut}), std::invalid_argument);
  EXPECT_THROW(run({2, kIn}, {kIn}, {kOut + 1}), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
