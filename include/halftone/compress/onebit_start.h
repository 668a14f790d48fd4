// The start of a OneBit student from its teacher (methods 7.3, 7.9).
#pragma once

#include <functional>

#include "halftone/compress/calibration.h"
#include "halftone/nn/decoder.h"
#include "halftone/nn/student_settings.h"

namespace halftone {

// Throws Error(recipe), naming the linear, where a model of this spec has no such student: rows
// that are no multiple of scale_group, activations that an input scale cannot be folded through.
void check_student(const DecoderSpec& spec, const StudentSettings& settings);

// Replaces every linear of the blocks, which must be Linear with F32 weights W, by a OneBitLinear
// with g and h from the SVID of W and latent weights
//   magnitude: latent_scale W / mean |W|   (weights near zero flip first, large ones hold)
//   sign:      latent_scale sign(W)        (the released code, 0.01 sign(W); sign(0) = +1).
// With scale_group or foldable by a GroupScaledLinear with the same latent weights and
//   c_ik = sum |w_ij| g_j / sum g_j^2 over the columns j of group k (no scale_group: the whole
//   row),
// g = 1, or foldable: by SVID of all linears that read one input, then multiplied into the norms'
// gains and biases and the rows of v and up, which make these inputs.
// Embeddings, head and, unless g goes there, norms stay. Returns the mean over the linears of the
// relative error of h g or c g. Throws as check_student does. For the start svid.
double start_onebit(Decoder& student, const StudentSettings& settings);

// Called with each block that has started, and with what it gave before, for the calibration.
using BlockStarted = std::function<void(size_t index, const Tensor& float_outputs)>;

// The same block after block, on windows that one rank has. With the start arb-rc the scales and
// signs are refined then (quant/calibrated_signs.h), under the Hessians of what the teacher's
// linears read: in training the student's hidden states come to follow the teacher's. g takes part
// as far as the student has it: in_scale freely; foldable, one for the linears and heads of a fold;
// else not. Where a sign that was found is not the weight's, the latent weight keeps its magnitude
// and takes that sign: such weights are mostly small, and thus stay ready to turn back. Returns
// the mean relative error at the outputs, of the linears that share a g together.
double start_onebit(Decoder& student, const StudentSettings& settings, Calibration calibration,
                    const BlockStarted& started);

}  // namespace halftone
