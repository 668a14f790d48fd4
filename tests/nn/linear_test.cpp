#include "halftone/nn/linear.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/quant/billm.h"
#include "halftone/quant/rtn.h"
#include "nn/nn_testing.h"

namespace halftone {
namespace {

using testing::largest_difference;
using testing::random_floats;

constexpr int64_t kOut = 5, kIn = 22;

std::vector<std::unique_ptr<LinearLike>> one_of_each_form() {
  const Tensor w = random_floats({kOut, kIn}, 1), bias = random_floats({kOut}, 2);
  // Scales that F16 holds: what is stored is then the same.
  const Tensor g = random_floats({kIn}, 3).to(DType::f16).to(DType::f32),
               h = random_floats({kOut}, 4).to(DType::f16).to(DType::f32),
               half = w.to(DType::f16).to(DType::f32);
  std::vector<std::unique_ptr<LinearLike>> out;
  out.push_back(std::make_unique<Linear>("l", half, bias));
  out.push_back(std::make_unique<Linear>("l", half.to(DType::f16)));
  for (const bool normed : {false, true})
    out.push_back(std::make_unique<OneBitLinear>("l", w, g, h, bias,
                                                 OneBitOptions{.post_layer_norm = normed}));
  for (const int64_t groups : {1, 2})
    out.push_back(std::make_unique<GroupScaledLinear>(
        "l", w, random_floats({kOut, groups}, 5).to(DType::f16).to(DType::f32), bias));
  out.push_back(std::make_unique<LowBitLinear>("l", rtn(w, {.bits = 3, .group_size = 4}), bias));
  out.push_back(std::make_unique<LowBitLinear>("l", xnor(w), Tensor()));
  return out;
}

Tensor output(LinearLike& linear, const Tensor& x) {
  Tape tape(Tape::Mode::no_grad);
  return linear.forward(tape, tape.constant(x)).value();
}

// What linear_of takes of a map of tensors.
TakeTensor taken_from(const std::map<std::string, Tensor>& tensors) {
  return [&](const std::string& part) {
    const auto it = tensors.find("l." + part);
    return it == tensors.end() ? Tensor() : it->second;
  };
}

TEST(LinearLike, WhatIsStoredComputesTheSame) {
  const Tensor x = random_floats({3, kIn}, 5, 1);
  for (const auto& linear : one_of_each_form()) {
    const std::map<std::string, Tensor> stored = linear->stored();
    const auto back = linear_of(linear->form(), "l", kOut, kIn, taken_from(stored));
    EXPECT_EQ(back->form(), linear->form());
    EXPECT_LT(largest_difference(output(*back, x), output(*linear, x)), 2e-6) << linear->form();
    EXPECT_EQ(back->bias.value.defined(), linear->bias.value.defined()) << linear->form();
  }
}

TEST(LinearLike, TheDenseWeightIsWhatForwardMultipliesBy) {
  const Tensor x = random_floats({3, kIn}, 5, 1);
  for (const auto& linear : one_of_each_form()) {
    if (linear->form() == "onebit post_layer_norm") {
      try {
        linear->dense_weight();
        FAIL();
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::recipe);
        EXPECT_EQ(std::string(error.what()).find("'l' has a layer normalisation"), 0u);
      }
      continue;
    }
    const Tensor w = linear->dense_weight(), y = output(*linear, x);
    ASSERT_EQ(w.dtype(), DType::f32);
    for (int64_t n = 0; n < 3; ++n)
      for (int64_t o = 0; o < kOut; ++o) {
        double sum =
            linear->bias.value.defined() ? std::as_const(linear->bias.value).data<float>()[o] : 0;
        for (int64_t i = 0; i < kIn; ++i)
          sum += static_cast<double>(x.data<float>()[n * kIn + i]) * w.data<float>()[o * kIn + i];
        EXPECT_NEAR(y.data<float>()[n * kOut + o], sum, 1e-5) << linear->form();
      }
  }
}

TEST(LinearLike, CountsTheBitsThatItStores) {
  for (const auto& linear : one_of_each_form()) {
    const LinearBits bits = linear->bits();
    if (linear->full_precision()) {
      EXPECT_EQ(bits.weights, 0);
      continue;
    }
    int64_t stored = 0;
    for (const auto& [name, tensor] : linear->stored())
      if (name != "l.bias") stored += 8 * static_cast<int64_t>(tensor.bytes());
    EXPECT_EQ(bits.stored_bits, stored) << linear->form();
    EXPECT_EQ(bits.weights, kOut * kIn);
  }
}

TEST(LinearLike, ParametersHaveTheNamesOfACheckpoint) {
  std::string names;
  for (const auto& linear : one_of_each_form()) {
    linear->visit([&](Param& param) { names += param.name + " "; });
    names += "\n";
  }
  EXPECT_EQ(names,
            "l.weight l.bias \nl.weight \nl.weight l.in_scale l.out_scale l.bias \n"
            "l.weight l.in_scale l.out_scale l.bias \nl.weight l.out_scale l.bias \n"
            "l.weight l.out_scale l.bias \nl.weight l.bias \nl.weight \n");
}

TEST(LinearLike, ATensorThatIsMissingOrDoesNotFitIsNamed) {
  const auto fault = [](const std::string& form, std::map<std::string, Tensor> tensors) {
    try {
      linear_of(form, "l", kOut, kIn, taken_from(tensors));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(fault("", {}), "model: tensor 'l.weight' is missing, shape [5, 22] expected");
  for (const auto& linear : one_of_each_form())
    for (const auto& [name, tensor] : linear->stored()) {
      std::map<std::string, Tensor> other = linear->stored();
      other[name] = Tensor::zeros({3}, tensor.dtype());
      EXPECT_NE(fault(linear->form(), other).find(name), std::string::npos)
          << fault(linear->form(), other);
    }
  EXPECT_NE(fault("ternary", {}).find("'ternary' is no layout"), std::string::npos);
}

TEST(LinearLike, ABlockOfAGroupScaledWeightHasOneMagnitude) {
  for (const int64_t groups : {1, 2, 11}) {
    const Tensor scale = random_floats({kOut, groups}, 5);
    const GroupScaledLinear linear("l", random_floats({kOut, kIn}, 1), scale, {});
    const Tensor w = linear.dense_weight();
    for (int64_t i = 0; i < kOut * kIn; ++i)
      EXPECT_EQ(std::abs(w.data<float>()[i]), std::abs(scale.data<float>()[i / (kIn / groups)]));
  }
}

TEST(LinearLike, TheFormOfGroupsSaysHowWideTheyAre) {
  const auto form = [](int64_t groups) {
    return GroupScaledLinear("l", random_floats({kOut, kIn}, 1), random_floats({kOut, groups}, 5),
                             {})
        .form();
  };
  EXPECT_EQ(form(1), "onebit row");
  EXPECT_EQ(form(2), "onebit group 11");
  for (const char* wrong : {"onebit group 0", "onebit group 4", "onebit group -11",
                            "onebit group 11 ", "onebit group ", "onebit group 44"})
    try {
      linear_of(wrong, "l", kOut, kIn, taken_from({}));
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format);
      EXPECT_NE(std::string(error.what()).find("that divide its 22 inputs"), std::string::npos);
    }
}

TEST(LinearLike, AScaleBeyondF16IsNotStored) {
  const OneBitLinear linear("l", random_floats({kOut, kIn}, 1),
                            Tensor::full({kIn}, DType::f32, 70000),
                            Tensor::full({kOut}, DType::f32, 1), {}, {});
  try {
    linear.stored();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numerical);
    EXPECT_EQ(std::string(error.what()).find("'l.in_scale': 22 of its 22 numbers"), 0u);
  }
}

}  // namespace
}  // namespace halftone
