// The table of post-training methods.
#include "halftone/quant/methods.h"

#include <stdexcept>
#include <string>

#include "halftone/base/threads.h"
#include "halftone/quant/billm.h"
#include "halftone/quant/gptq.h"
#include "halftone/quant/hessian.h"
#include "halftone/quant/rtn.h"
#include "uniform_matrix.h"

namespace halftone {
namespace {

template <Refinement refinement>
LowBitMatrix quantise_binary(const Tensor& w, const Tensor& hessian, const PtqSettings& s) {
  return billm(w, hessian, refinement, s);
}
template <Refinement refinement>
LowBitLayout binary_layout(const PtqSettings& s) {
  return billm_layout(refinement, s);
}

std::vector<std::string_view> binary_settings(std::initializer_list<std::string_view> more) {
  std::vector<std::string_view> out{"blocksize",  "damp_percent", "metric",         "search",
                                    "block_comp", "cgb",          "percentile_max", "num_p"};
  out.insert(out.end(), more);
  return out;
}

template <Refinement refinement>
PtqMethod binary_row(std::string_view name, std::string_view what,
                     std::initializer_list<std::string_view> settings) {
  return {name,
          what,
          binary_settings(settings),
          true,
          quantise_binary<refinement>,
          binary_layout<refinement>};
}

}  // namespace

std::span<const PtqMethod> ptq_methods() {
  static const PtqMethod kMethods[] = {
      {"rtn",
       "uniform grids, rounded to nearest",
       {"bits", "group_size", "symmetric", "mse"},
       false,
       [](const Tensor& w, const Tensor&, const PtqSettings& s) { return rtn(w, s); },
       [](const PtqSettings& s) -> LowBitLayout { return uniform_layout(s, false); }},
      {"xnor",
       "a sign a weight, a mean and a scale a row",
       {},
       false,
       [](const Tensor& w, const Tensor&, const PtqSettings&) { return xnor(w); },
       [](const PtqSettings&) -> LowBitLayout { return xnor_layout(); }},
      {"gptq",
       "uniform grids with second-order error feedback",
       {"bits", "group_size", "symmetric", "mse", "act_order", "blocksize", "damp_percent"},
       true,
       gptq,
       [](const PtqSettings& s) -> LowBitLayout { return uniform_layout(s, s.act_order); }},
      binary_row<Refinement::none>(
          "billm", "salient columns with two sign planes, the others split in two groups", {}),
      binary_row<Refinement::arb>("arb", "BiLLM's groups, refined on the weights", {"iterations"}),
      binary_row<Refinement::arb_x>("arb-x", "refined on calibration data",
                                    {"iterations", "x_joint"}),
      binary_row<Refinement::arb_rc>("arb-rc", "refined with row and column scales",
                                     {"iterations"}),
  };
  return kMethods;
}

const PtqMethod* find_ptq_method(std::string_view name) {
  for (const PtqMethod& method : ptq_methods())
    if (method.name == name) return &method;
  return nullptr;
}

const PtqMethod& ptq_method(std::string_view name) {
  if (const PtqMethod* method = find_ptq_method(name)) return *method;
  throw std::invalid_argument("ptq_method: '" + std::string(name) + "'");
}

double relative_error(const Tensor& w, const Tensor& w_hat, const Tensor& hessian) {
  const Tensor whole = w.to(DType::f64);
  Tensor difference = whole.clone();
  double* d = difference.data<double>();
  const float* approximation = w_hat.data<float>();
  parallel_for(w.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) d[k] -= approximation[k];
  });
  const double energy = hessian_energy(whole, hessian);
  return energy <= 0 ? 0 : hessian_energy(difference, hessian) / energy;
}

}  // namespace halftone
