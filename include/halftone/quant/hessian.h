// The Hessian of a linear's squared output error over calibration sequences (methods 0.2).
#pragma once

#include <vector>

#include "halftone/base/ranks.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// H = (2 / N) sum_s X_s^T X_s over N sequences, X_s (L x m). Sums are kept in F64; the products of
// up to 2048 tokens in F32. A little more than m^2 FLOP a token: one triangle is made.
//
// Of several ranks each adds other sequences. Each product is taken whole, and they are added in
// the order of the ranks, those of a rank as they came, by the rank that owns the number: it holds
// m (m + 1) / 2 / R of them. So ranks that share() behind each product, which go round, have the
// bits of one that adds them all.
class HessianSum {
 public:
  explicit HessianSum(int64_t columns, Device device = Device::cpu, Ranks ranks = {});
  void add(const Tensor& x, int64_t sequences);  // x: rows of `sequences` sequences, F32
  // Collective: adds up what the ranks have added since the last. Each sends 2 m^2 bytes a product.
  void share();
  // Collective. m x m, F64, on the CPU; undefined on ranks that do not want it.
  Tensor hessian(bool wanted = true) const;

 private:
  int64_t columns_;
  Device device_;
  Ranks ranks_;
  Tensor sum_;                    // the upper triangle; of several ranks this one's numbers of it
  std::vector<Tensor> products_;  // not shared yet: their upper triangles, F32
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
