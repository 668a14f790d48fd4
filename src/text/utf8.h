// UTF-8, one character at a time.
#pragma once

#include <cstddef>
#include <string_view>

namespace halftone {

// Bytes of the well-formed character at `text[at]`; 0 where there is none (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF). `at` < text.size().
size_t utf8_length(std::string_view text, size_t at);

// The first byte from `at` on that begins no well-formed character; text.size() when all do.
size_t utf8_valid_end(std::string_view text, size_t at);

// Bytes of the white-space character (Unicode White_Space) at `text[at]`, 0 for others; and of the
// one that ends just before `at`.
size_t space_at(std::string_view text, size_t at);
size_t space_before(std::string_view text, size_t at);

}  // namespace halftone
