// Small text files (configurations, indexes, vocabularies) read whole.
#pragma once

#include <cstdint>
#include <string>

namespace halftone {

// The bytes of a regular file, or of one in a packed file (packed_file.h). Throws Error(format),
// naming the file, when it cannot be read or holds more than `max_bytes`.
std::string read_text_file(const std::string& path, uint64_t max_bytes);

}  // namespace halftone
