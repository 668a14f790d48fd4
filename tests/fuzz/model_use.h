// What the program does with a model that it could load, and with a tokenizer.
#pragma once

#include <memory>

#include "app/inspection.h"
#include "halftone/model/load.h"
#include "halftone/text/tokenizer.h"
#include "target.h"

namespace halftone::fuzz {

// `halftone inspect` of a path.
void use_inspection(const std::string& path);
// Runs a few tokens through it, as `eval` does, and one after another, as `generate` does.
void use_model(LoadedModel& model);
// All that the program does with the model in a file, each by itself.
void use_model_file(const std::string& path);
// Ids of some texts, texts of some ids.
void use_tokenizer(const Tokenizer& tokenizer);

}  // namespace halftone::fuzz
