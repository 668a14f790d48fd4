// MODEL on the command line.
#pragma once

#include <string>
#include <vector>

#include "halftone/model/load.h"

namespace halftone {

// load_model, with damaged checkpoints passed over and named on stderr.
LoadedModel load_model_argument(const std::string& path, DType linear_dtype);

void print_passed_over(const std::vector<std::string>& damaged_checkpoints);

}  // namespace halftone
