// A recipe's text, from a file or as it stands, as a TOML table.
#pragma once

#include <toml++/toml.h>
#include <string>
#include <string_view>

#include "halftone/base/error.h"

namespace halftone {

// Refuses text nested deeper than the TOML parser can be trusted with; 0, or the line of the fault.
int too_deep_at_line(std::string_view toml, int most);

// Throws Error(kind) with `where` and the line: no TOML, or nested deeper than kMostNesting.
toml::table parse_recipe(const std::string& text, const std::string& where, ErrorKind kind);

// Of a regular file of at most 1 MiB. Throws Error(recipe), or Error(io) where the disk fails.
toml::table read_recipe_file(const std::string& path);

}  // namespace halftone
