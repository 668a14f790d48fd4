// Unicode's normal form C.
#pragma once

#include <string>
#include <string_view>

namespace halftone {

// `text` in normal form C; bytes that are not UTF-8 stay where they are.
std::string to_nfc(std::string_view text);

}  // namespace halftone
