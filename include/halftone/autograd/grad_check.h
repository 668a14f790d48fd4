// Gradients against central differences, in double.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

struct GradCheckSettings {
  double step = 1e-5;         // relative to max(1, |x|)
  int64_t max_entries = 400;  // a longer input is sampled evenly
};

struct GradCheckResult {
  double worst = 0;   // largest |analytic - numeric| / max(1e-3, |numeric|, largest |numeric| of
                      // that input / 100)
  std::string where;  // the entry that gave it, with both values
};

// `loss` builds a one-element value from variables that hold `inputs` (dtype F64); its gradients
// are compared entry by entry with (f(x + e) - f(x - e)) / 2e. `surrogate`, when given, is the
// function whose differences are taken instead: the smooth stand-in of a straight-through
// estimator.
using LossFunction = std::function<Var(Tape&, const std::vector<Var>&)>;
GradCheckResult grad_check(const LossFunction& loss, const std::vector<Tensor>& inputs,
                           const GradCheckSettings& settings = {},
                           const LossFunction& surrogate = nullptr);

}  // namespace halftone
