#include "op_cases.h"

#include "ops_testing.h"

namespace halftone {
namespace {

// Backward of F32 against F64: the list holds no case that one of the two refuses, and its
// gradients are those of the formulas, which each op's own test checks against differences.
TEST(OpCases, HaveTheSameGradientsInSingleAndDoublePrecision) {
  for (const OpCase& c : op_cases()) {
    std::vector<std::vector<Tensor>> gradients;
    for (const DType dtype : {DType::f64, DType::f32}) {
      Tape tape;
      std::vector<Var> inputs;
      for (const Tensor& x : c.inputs) inputs.push_back(tape.variable(x.to(DType::f32).to(dtype)));
      const Var y = c.op(tape, inputs);
      tape.backward(y, random_tensor(y.shape(), 7, 1.0, DType::f32).to(y.dtype()));
      std::vector<Tensor> all{y.value()};
      for (const Var& x : inputs) all.push_back(x.grad().tensor);
      gradients.push_back(all);
    }
    for (size_t i = 0; i < gradients[0].size(); ++i) {
      const Tensor zero = Tensor::zeros(gradients[0][i].shape(), DType::f64);
      EXPECT_LE(largest_difference(gradients[0][i], gradients[1][i]),
                1e-4 * (1e-3 + largest_difference(gradients[0][i], zero)))
          << c.name << ", result " << i;
    }
  }
}

}  // namespace
}  // namespace halftone
