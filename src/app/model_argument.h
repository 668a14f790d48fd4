// MODEL on the command line.
#pragma once

#include <string>

#include "halftone/model/load.h"

namespace halftone {

// load_model, with what a user should know of it on stderr.
LoadedModel load_model_argument(const std::string& path, const ImportOptions& options = {});

}  // namespace halftone
