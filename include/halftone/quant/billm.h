// The binary methods with salient columns, split groups and error feedback between blocks: BiLLM
// (arXiv 2402.04291) and ARB, ARB-X, ARB-RC of ARB-LLM (arXiv 2410.03129); methods 4 and 5. XNOR,
// their plain relative, has neither groups nor feedback.
#pragma once

#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/settings.h"

namespace halftone {

// What is done with the binarised groups.
enum class Refinement {
  none,    // BiLLM
  arb,     // alternating updates on the weights
  arb_x,   // on calibration data
  arb_rc,  // with row and column scales
};

// W (n x m, F32), H (m x m, F64, undamped). Block by block: partition, binarise each group, feed
// the error to the later columns. Departures from the released code: sgn(0) = +1; scales are
// rounded to binary16 first, so that the error fed back is that of what is stored; searches in F64
// with the first minimum. Cost: n m^2 FLOP (feedback) and about 150 passes over W (searches).
LowBitMatrix billm(const Tensor& w, const Tensor& hessian, Refinement refinement,
                   const PtqSettings& settings);
BinaryLayout billm_layout(Refinement refinement, const PtqSettings& settings);

// w-hat = mu + alpha sgn(w - mu), mu = row mean, alpha = row mean |w - mu| (methods 1).
LowBitMatrix xnor(const Tensor& w);
BinaryLayout xnor_layout();

}  // namespace halftone
