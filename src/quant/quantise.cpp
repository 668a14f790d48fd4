#include "halftone/quant/quantise.h"

#include "halftone/base/threads.h"
#include "halftone/quant/billm.h"
#include "halftone/quant/gptq.h"
#include "halftone/quant/hessian.h"
#include "halftone/quant/rtn.h"

namespace halftone {

LowBitMatrix quantise(PtqMethod method, const Tensor& w, const Tensor& hessian,
                      const PtqSettings& settings) {
  switch (method) {
    case PtqMethod::rtn:
      return rtn(w, settings);
    case PtqMethod::xnor:
      return xnor(w);
    case PtqMethod::gptq:
      return gptq(w, hessian, settings);
    case PtqMethod::billm:
    case PtqMethod::arb:
    case PtqMethod::arb_x:
    case PtqMethod::arb_rc:
      return billm(w, hessian, method, settings);
  }
  throw std::invalid_argument("quantise: no such method");
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
