// The post-training methods: one row each. A new method is its file and a row in methods.cpp; the
// recipe's names, `check`, the runs and the docs follow.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/settings.h"

namespace halftone {

struct PtqMethod {
  std::string_view name;                   // run.method
  std::string_view what;                   // for help
  std::vector<std::string_view> settings;  // the keys of [ptq] that it reads
  bool needs_hessian;                      // else quantise() takes an empty one
  // W (n x m, F32), H (m x m, F64) = 2/N sum x x^T of the linear's inputs, undamped.
  LowBitMatrix (*quantise)(const Tensor& w, const Tensor& hessian, const PtqSettings& settings);
  // The layout of its matrices, for planning.
  LowBitLayout (*layout)(const PtqSettings& settings);
};

std::span<const PtqMethod> ptq_methods();
// nullptr where no method has the name.
const PtqMethod* find_ptq_method(std::string_view name);
// Throws std::invalid_argument there.
const PtqMethod& ptq_method(std::string_view name);

// tr(D H D^T) / tr(W H W^T), D = W - W-hat: the squared error of the linear's outputs. 0 where the
// outputs are 0 whatever the weights; of outputs that are not finite NaN.
double relative_error(const Tensor& w, const Tensor& w_hat, const Tensor& hessian);

}  // namespace halftone
