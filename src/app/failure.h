// What is thrown ends here: as a line on stderr and an exit code.
#pragma once

#include <exception>
#include <string_view>

namespace halftone {

// Says what was thrown, behind `who` ("halftone" or a rank of it), and returns its exit code.
int tell_failure(const std::exception_ptr& thrown, std::string_view who = "halftone");

}  // namespace halftone
