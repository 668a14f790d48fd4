// A OneBit model in the layout of the released checkpoints.
#pragma once

#include <string>

#include "halftone/io/atomic_file.h"
#include "halftone/model/companions.h"
#include "halftone/model/export_hf.h"
#include "halftone/model/load.h"

namespace halftone {

// A directory that import.h describes: model_type bitllama, signs in I8, every other number in F32,
// lm_head always there. load_model() of it gives the same model, but for what F32 does not change:
// latent weights are their signs.
//
// Throws Error(recipe), before anything is written, for a family other than Llama and, naming the
// linear, for one that is no OneBit layer with a layer normalisation behind it, or whose number of
// inputs is no multiple of 8.
ExportSummary export_onebit(LoadedModel& model, const Companions& companions,
                            const std::string& directory, const WrittenCheck& check = {});

}  // namespace halftone
