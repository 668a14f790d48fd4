// The start of a OneBit student from its teacher (methods 7.3).
#pragma once

#include "halftone/nn/decoder.h"
#include "halftone/nn/student_settings.h"

namespace halftone {

// Replaces every linear of the blocks, which must be Linear with F32 weights W, by a OneBitLinear
// with g and h from the SVID of W and latent weights
//   magnitude: latent_scale W / mean |W|   (weights near zero flip first, large ones hold)
//   sign:      latent_scale sign(W)        (the released code, 0.01 sign(W); sign(0) = +1).
// Embeddings, norms and head stay. Returns the mean over the linears of the SVID's relative error.
double start_onebit(Decoder& student, const StudentSettings& settings);

}  // namespace halftone
