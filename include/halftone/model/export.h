// What all exports share.
#pragma once

#include <functional>
#include <string>

namespace halftone {

// Sees what an export has written, whole, under its temporary name, before it gets its own. What it
// throws leaves nothing behind.
using ExportCheck = std::function<void(const std::string& written)>;

}  // namespace halftone
