// Unicode's normal form C.
#pragma once

#include <string>
#include <string_view>

namespace halftone {

// `text` in normal form C; bytes that are not UTF-8 stay where they are. Throws Error(format),
// naming `source`, for text beyond ASCII in a build without utf8proc.
std::string to_nfc(std::string_view text, const std::string& source);

}  // namespace halftone
