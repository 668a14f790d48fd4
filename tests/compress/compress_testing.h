// A small model with its calibration inputs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/compress/ptq.h"
#include "model/model_testing.h"

namespace halftone {

using testing::tiny_config;

class PtqTest : public ::testing::Test {
 protected:
  PtqTest() {
    const ModelConfig config = tiny_config();
    Weights weights = random_weights(decoder_spec(config), 3);
    for (auto& [name, tensor] : weights)  // louder than a start of training, so that blocks matter
      if (tensor.rank() == 2)
        for (int64_t i = 0; i < tensor.numel(); ++i) tensor.data<float>()[i] *= 8;
    model_ = build_decoder(decoder_spec(config), weights);
    Rng rng(1, 1);
    std::vector<int32_t> tokens(static_cast<size_t>(kSequences * kLength));
    for (int32_t& t : tokens) t = static_cast<int32_t>(rng.below(40));
    calibration_ = start_calibration(model_, tokens, kSequences);
  }

  static constexpr int64_t kSequences = 9, kLength = 24;
  Decoder model_;
  Calibration calibration_;
};

inline double distance(const Tensor& a, const Tensor& b) {
  double out = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    out = std::max(out, std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]));
  return out;
}

}  // namespace halftone
