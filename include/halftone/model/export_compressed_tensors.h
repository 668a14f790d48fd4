// A model as a Hugging Face directory whose linears are packed as the compressed-tensors library
// has them.
#pragma once

#include <string>

#include "halftone/io/atomic_file.h"
#include "halftone/model/companions.h"
#include "halftone/model/export_hf.h"
#include "halftone/model/load.h"

namespace halftone {

// Format pack-quantized, two bits a weight: w = scale (code - 2), codes 1 and 3. A linear of the
// blocks has
//   .weight_packed  I32 [out, ceil(in / 16)], pack_sign_codes()
//   .weight_scale   [out, groups]
//   .weight_shape   I64 [2]
// with one scale for each row, where that fits every linear, else for each 128, 64 or 32
// neighbouring inputs, the most that does. No number changes: a tensor is F16 where that holds all
// of its numbers, else F32.
//
// Throws Error(recipe), before anything is written, naming the first linear that does not fit: its
// weights in a group have more than one magnitude, or a layer normalisation stands behind it.
ExportSummary export_compressed_tensors(LoadedModel& model, const Companions& companions,
                                        const std::string& directory,
                                        const WrittenCheck& check = {});

}  // namespace halftone
