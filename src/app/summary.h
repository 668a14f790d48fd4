// What a finished run says on stdout.
#pragma once

#include <string>

#include "halftone/eval/result.h"

namespace halftone {

void print_summary(const RunResult& result, const std::string& directory);

}  // namespace halftone
