// Sign-value-independent decomposition (OneBit, arXiv 2402.11295, section 3.2; methods 7.3):
// W ~ sign(W) o (h g^T) with |W| ~ h g^T, non-negative vectors.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// svd: leading singular pair of |W| by power iteration. nmf: rank-1 non-negative factorisation by
// alternating least squares from a constant start, which has the same optimum.
enum class SvidMethod { svd, nmf };

// How the product's scale is shared. balanced: rms(g) = rms(h). nmf: as scikit-learn's NMF leaves
// it on average, mean h = 0.80 sqrt(mean |W|), g takes the rest. out: all in h (|g| = 1). in: all
// in g.
enum class SvidSplit { balanced, nmf, out, in };

struct Svid {
  Tensor out_scale;       // h, n
  Tensor in_scale;        // g, m
  double relative_error;  // ||W - sign(W) o h g^T||_F / ||W||_F
};

// W (n x m) in F32. Cost: `iterations` passes over W, no copy of it.
Svid svid(const Tensor& w, SvidMethod method = SvidMethod::svd,
          SvidSplit split = SvidSplit::balanced, int iterations = 30);

}  // namespace halftone
