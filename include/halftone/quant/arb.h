// Alternating refined binarisation (ARB-LLM, arXiv 2410.03129; methods 5.1, 5.2) of one row's
// group. Every update is the argmin over its own variable, so ||x - x-hat||^2 never rises.
#pragma once

#include "halftone/quant/braq.h"

namespace halftone {

// The single updates, in the order of the paper's algorithms; no-ops for an empty x.
void arb_update_mean(std::span<const double> x, BinaryRow& row);    // mu += mean(x - x-hat)
void arb_update_scales(std::span<const double> x, BinaryRow& row);  // alpha_k in turn
// Order 1: b = sgn(x - mu). Order 2: of (-,-), (-,+), (+,-), (+,+) the pair whose value is nearest
// to x - mu, the first where two are (up to kTie).
void arb_update_signs(std::span<const double> x, BinaryRow& row);

// braq of `order`, then `iterations` rounds of the three. As in the released code the scales are
// not recomputed after the last signs.
void arb(std::span<const double> x, int order, int iterations, BinaryRow& out);

}  // namespace halftone
