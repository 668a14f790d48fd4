// Linears that read one input as one product: their matrices lie above one another.
#pragma once

#include <memory>
#include <vector>

#include "halftone/autograd/tape.h"
#include "halftone/ops/activation.h"

namespace halftone {

class MadeMatrix;
using MadeMatrices = std::vector<std::shared_ptr<const MadeMatrix>>;

// A matrix M (O x I) that parameters make, anew for each product.
class MadeMatrix {
 public:
  explicit MadeMatrix(std::vector<Var> parameters, double norm_eps = 0)
      : parameters_(std::move(parameters)), norm_eps_(norm_eps) {}
  virtual ~MadeMatrix() = default;

  const std::vector<Var>& parameters() const { return parameters_; }
  // eps of the layer normalisation behind the product; 0: there is none.
  double norm_eps() const { return norm_eps_; }
  virtual const char* op() const = 0;  // its kind: what its product is called where ops are timed
  virtual const Shape& shape() const = 0;
  // Of matrices of this kind, one above the other: m, in m's dtype.
  virtual void make(const MadeMatrices& all, Tensor& m) const = 0;
  // The same way round: adds what D = dm (F32 where activations are BF16) is for each parameter
  // that needs a gradient.
  virtual void add_gradients(const MadeMatrices& all, const Tensor& d) const = 0;
  // The parameter that is M itself; undefined where M has to be made. Parameters whose rows lie one
  // behind the other need not be brought together.
  virtual Tensor as_is() const { return {}; }

 private:
  std::vector<Var> parameters_;
  double norm_eps_;
};

// x (N x I), matrices M_k (O_k x I) of one kind, plus (N x sum of O_k) or undefined:
//   y = x [M_1; M_2; ...]^T + plus.
// Backward for G = dy: dplus = G;  dx = G [M_1; M_2; ...];  dM_k = G_k^T x, G_k its columns of G.
// Saves x, or how to make it again. With normalisations behind the matrices y = [LN(x M_1^T)
// LN(x M_2^T) ...] + plus (group_norm.h), and the product is saved too.
Var joined_linear(const Var& x, const MadeMatrices& matrices, const Var& plus = {});

// The same with plus; backwards that read y do not keep it, but have it made again.
Var joined_linear_again(const Var& x, const MadeMatrices& matrices, const Var& plus);

// x [M_1; M_2; ...]^T without the normalisations: for what does them itself.
Var joined_product(const Var& x, const MadeMatrices& matrices);

// Behind a gated linear unit (ops/activation.h) whose rows are those of up and gate one after
// another (N x 2 I), which are normalised by themselves first unless norm_eps is 0:
//   y = (f(gate) o up) M^T + plus.
// Saves up and gate: what M multiplies is made again where backward passes over them anyway.
Var gated_joined_linear(const Var& up_gate, double norm_eps, Activation f,
                        const MadeMatrices& matrices, const Var& plus = {});

}  // namespace halftone
