// Blocks quantised with their calibration on a GPU: the errors that the CPU has.
#include <gtest/gtest.h>

#include <cmath>

#include "gpu/gpu_testing.h"
#include "halftone/compress/ptq.h"
#include "halftone/model/build.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/gram.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

TEST(GramOnGpu, IsThatOfTheCpu) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{2100, 96}, {33, 130}}) {
    const Tensor x = random_tensor({rows, columns}, 3, 1.0, DType::f32);
    Tensor sum = Tensor::zeros({columns, columns}, DType::f64),
           there = Tensor::zeros({columns, columns}, DType::f64, Device::cuda);
    for (int pass = 0; pass < 2; ++pass) {
      add_gram(x, sum);
      add_gram(x.to(Device::cuda), there);
    }
    const double size = std::sqrt(static_cast<double>(rows));
    EXPECT_LE(largest_difference(symmetric(sum, 1), symmetric(there.to(Device::cpu), 1)),
              1e-4 * size);
  }
}

struct Quantised {
  std::vector<QuantisedLinear> linears;
  Tensor inputs;  // of the block behind the last
};

Quantised quantised(const char* method, Device device) {
  const ModelConfig config = small_config(3, 1, 32);
  const DecoderSpec spec = decoder_spec(config);
  Decoder model = build_decoder(spec, random_weights(spec, 3));
  std::vector<int32_t> tokens(40 * 64);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * i % 499);
  Calibration calibration = start_calibration(model, tokens, 40, device);
  Quantised out;
  for (size_t block = 0; block < model.blocks.size(); ++block) {
    const BlockReport report = quantise_block(model, block, calibration, ptq_method(method), {});
    out.linears.insert(out.linears.end(), report.linears.begin(), report.linears.end());
  }
  out.inputs = calibration.inputs.to(Device::cpu);
  return out;
}

TEST(QuantisingOnGpu, HasTheErrorsOfTheCpu) {
  for (const char* method : {"rtn", "gptq", "billm", "arb-rc"}) {
    const Quantised cpu = quantised(method, Device::cpu), gpu = quantised(method, Device::cuda),
                    again = quantised(method, Device::cuda);
    ASSERT_EQ(cpu.linears.size(), gpu.linears.size());
    for (size_t i = 0; i < cpu.linears.size(); ++i) {
      EXPECT_NEAR(gpu.linears[i].relative_error, cpu.linears[i].relative_error,
                  0.01 * cpu.linears[i].relative_error)
          << method << ", " << cpu.linears[i].name;
      EXPECT_EQ(again.linears[i].relative_error, gpu.linears[i].relative_error)
          << method << ", " << cpu.linears[i].name;
    }
    EXPECT_EQ(largest_difference(again.inputs, gpu.inputs), 0) << method;
  }
}

}  // namespace
}  // namespace halftone
