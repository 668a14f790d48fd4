// Every op on a GPU against the CPU: the same cases, in F32 and in BF16.
#include <gtest/gtest.h>

#include "halftone/tensor/device.h"
#include "ops/op_cases.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

struct Results {
  std::vector<Tensor> tensors;  // the output, then the gradient of each input; F64 on the CPU
};

// In `dtype` on the device, of inputs that both can hold.
Results results(const OpCase& c, Device device, DType dtype, DType rounding) {
  Tape tape;
  std::vector<Var> inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const bool hidden = i < c.activations;
    const Tensor x = hidden ? c.inputs[i].to(rounding) : c.inputs[i].to(DType::f32);
    inputs.push_back(tape.variable(x.to(hidden ? dtype : DType::f32).to(device)));
  }
  const Var y = c.op(tape, inputs);
  const Tensor dy = random_tensor(y.shape(), 7, 1.0, DType::f32).to(DType::bf16);
  tape.backward(y, dy.to(y.dtype()).to(device));
  Results out;
  out.tensors.push_back(y.value().to(Device::cpu).to(DType::f64));
  for (const Var& x : inputs) {
    EXPECT_TRUE(x.grad().filled) << c.name;
    out.tensors.push_back(x.grad().tensor.to(Device::cpu).to(DType::f64));
  }
  return out;
}

double largest(const Tensor& x) {
  return largest_difference(x, Tensor::zeros(x.shape(), DType::f64));
}

// Logits of the head are BF16 themselves, and their exponentials show it.
double tolerance_of(const OpCase& c, DType dtype) {
  if (dtype == DType::f32) return 1e-5;
  return c.name.starts_with("head_loss") ? 1.5e-2 : 1e-2;
}

void expect_near_cpu(DType dtype) {
  for (const OpCase& c : op_cases()) {
    const double tolerance = tolerance_of(c, dtype);
    const Results cpu = results(c, Device::cpu, DType::f32, dtype),
                  gpu = results(c, Device::cuda, dtype, dtype),
                  again = results(c, Device::cuda, dtype, dtype);
    for (size_t i = 0; i < cpu.tensors.size(); ++i) {
      const double difference = largest_difference(cpu.tensors[i], gpu.tensors[i]),
                   size = largest(cpu.tensors[i]);
      EXPECT_LE(difference, tolerance * size) << c.name << ", result " << i << ", of " << size;
      EXPECT_FALSE(std::isnan(difference)) << c.name << ", result " << i;
      EXPECT_EQ(largest_difference(again.tensors[i], gpu.tensors[i]), 0)
          << c.name << ", result " << i << " in a second run";
    }
  }
}

TEST(OpCasesOnGpu, EqualTheCpuInSinglePrecision) {
  expect_near_cpu(DType::f32);
}

TEST(OpCasesOnGpu, AreNearTheCpuInBf16) {
  expect_near_cpu(DType::bf16);
}

}  // namespace
}  // namespace halftone
