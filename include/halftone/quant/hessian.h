// The Hessian of a linear's squared output error over calibration sequences (methods 0.2).
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// H = (2 / N) sum_s X_s^T X_s over N sequences, X_s (L x m). Sums are kept in F64; the products of
// up to 2048 tokens in F32. A little more than m^2 FLOP a token: one triangle is made.
class HessianSum {
 public:
  explicit HessianSum(int64_t columns, Device device = Device::cpu)
      : sum_(Tensor::zeros({columns, columns}, DType::f64, device)) {}
  void add(const Tensor& x, int64_t sequences);  // x: rows of `sequences` sequences, F32
  Tensor hessian() const;                        // m x m, F64, on the CPU

 private:
  Tensor sum_;  // the upper triangle
  int64_t sequences_ = 0;
};

// What every method with error feedback starts from.
struct PreparedHessian {
  Tensor upper;            // U, m x m: (H + lambda I)^-1 = U^T U, lambda = damp mean(diag H)
  std::vector<bool> dead;  // columns with H_jj = 0; there H_jj := 1 and the weights must be 0
};

// Tries ten times the damping, up to three times, when H is not positive definite; throws
// Error(numerical) then. About 2/3 m^3 FLOP.
PreparedHessian prepare_hessian(const Tensor& hessian, double damp_percent);

// tr(D H D^T), D (n x m, F64), from the upper triangle of H.
double hessian_energy(const Tensor& d, const Tensor& hessian);

}  // namespace halftone
