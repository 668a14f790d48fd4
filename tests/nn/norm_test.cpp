#include "halftone/nn/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace halftone {
namespace {

Param param(const std::string& name, const std::vector<float>& values) {
  return {.name = name, .value = Tensor::of({static_cast<int64_t>(values.size())}, values)};
}

std::vector<float> output(Norm& norm, const std::vector<float>& x) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor y =
      norm.forward(tape, tape.constant(Tensor::of({1, static_cast<int64_t>(x.size())}, x))).value();
  return {y.data<float>(), y.data<float>() + y.numel()};
}

std::string names(Norm& norm) {
  std::string out;
  norm.visit([&](Param& p) { out += p.name + " "; });
  return out;
}

TEST(Norm, OfRootMeanSquaresAddsItsOffsetToTheGain) {
  Norm norm{.spec = {.eps = 0, .gain_offset = 1}, .gain = param("n.weight", {1, 0}), .bias = {}};
  const auto y = output(norm, {3, 4});  // root mean square sqrt(12.5)
  EXPECT_FLOAT_EQ(y[0], 2 * 3 / std::sqrt(12.5f));
  EXPECT_FLOAT_EQ(y[1], 4 / std::sqrt(12.5f));
  EXPECT_EQ(names(norm), "n.weight ");
}

TEST(Norm, OfALayerHasAGainAndABiasOrNeither) {
  Norm affine{.spec = {.kind = NormSpec::Kind::layer, .eps = 0},
              .gain = param("n.weight", {2, 3}),
              .bias = param("n.bias", {10, 20})};
  EXPECT_EQ(output(affine, {1, 3}), (std::vector<float>{8, 23}));
  EXPECT_EQ(names(affine), "n.weight n.bias ");
  Norm bare{
      .spec = {.kind = NormSpec::Kind::layer, .eps = 0, .affine = false}, .gain = {}, .bias = {}};
  EXPECT_EQ(output(bare, {1, 3}), (std::vector<float>{-1, 1}));
  EXPECT_EQ(names(bare), "");
}

}  // namespace
}  // namespace halftone
