// MODEL on the command line.
#pragma once

#include <memory>
#include <string>

#include "halftone/model/load.h"
#include "halftone/nn/packed_linear.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// load_model, with what a user should know of it on stderr.
LoadedModel load_model_argument(const std::string& path, const ImportOptions& options = {});

// The tokenizer of a model, or by itself; that of a checkpoint is in its folder.
std::unique_ptr<Tokenizer> load_tokenizer_argument(const std::string& path);

// Has every linear of packed signs take its inputs so. Throws Error(recipe) where another way than
// F32 is asked for and the model has no such linear, or is not for the CPU.
void take_inputs(LoadedModel& model, SignInputs inputs, Device device = Device::cpu);

}  // namespace halftone
