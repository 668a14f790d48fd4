// What a command line puts in the place of a recipe's values.
#pragma once

#include <toml++/toml.h>
#include <map>
#include <string>

#include "recipe_sections.h"

namespace halftone {

// Text nested deeper is refused.
inline constexpr int kMostNesting = 32;

// Puts "section.key=value" into `root`, and what stands behind the equals sign into `raw`, by its
// key. A value that is no TOML is a text. Faults are reported.
void apply_override(const std::string& assignment, toml::table& root,
                    std::map<std::string, std::string>& raw, RecipeReport& report);

// A run is as long as its steps or its epochs say; an override of one replaces the file's other.
// One of data.train replaces the file's tables of sources.
void drop_replaced(toml::table& root, const std::map<std::string, std::string>& raw);

}  // namespace halftone
