// MODEL on the command line.
#pragma once

#include <string>

#include "halftone/model/load.h"
#include "halftone/nn/packed_linear.h"

namespace halftone {

// load_model, with what a user should know of it on stderr.
LoadedModel load_model_argument(const std::string& path, const ImportOptions& options = {});

// Has every linear of packed signs take its inputs so. Throws Error(recipe) where another way than
// F32 is asked for and the model has no such linear.
void take_inputs(LoadedModel& model, SignInputs inputs);

}  // namespace halftone
