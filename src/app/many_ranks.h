// A command on the ranks that a launcher started: begun and ended together, on the same inputs.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "halftone/base/ranks.h"

namespace halftone {

// Carries the command out and ends MPI. What all ranks throw (AgreedError, Interrupted) is told by
// the first; what one throws alone, by that one, which ends the others.
int on_ranks(const std::function<int(const Ranks&)>& command);

// Throws an AgreedError that names each entry of which the ranks have different values, with the
// values and their ranks.
void require_agreement(const Ranks& ranks, ErrorKind kind,
                       const std::map<std::string, std::string>& own);

}  // namespace halftone
