// UTF-8, one character at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace halftone {

// Bytes of the well-formed character at `text[at]`; 0 where there is none (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF). `at` < text.size().
size_t utf8_length(std::string_view text, size_t at);

// The first byte from `at` on that begins no well-formed character; text.size() when all do.
size_t utf8_valid_end(std::string_view text, size_t at);

// Calls valid(text) and invalid(byte) in order, for what is UTF-8 and for each byte that is not.
template <class Valid, class Invalid>
void for_each_utf8_run(std::string_view text, const Valid& valid, const Invalid& invalid) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = utf8_valid_end(text, at);
    if (end > at) valid(text.substr(at, end - at));
    for (at = end; at < text.size() && utf8_length(text, at) == 0; ++at)
      invalid(text.substr(at, 1));
  }
}

// Bytes of the character at `text[at]`: 1 where it is not well-formed.
size_t character_length(std::string_view text, size_t at);

// Of one well-formed character.
uint32_t code_point(std::string_view character);
void append_utf8(uint32_t code_point, std::string& out);

// Bytes of the white-space character (Unicode White_Space) at `text[at]`, 0 for others; and of the
// one that ends just before `at`.
size_t space_at(std::string_view text, size_t at);
size_t space_before(std::string_view text, size_t at);

// Whether a character of words (Unicode's \w: UTS 18, Annex C) begins at, ends just before `at`.
bool word_at(std::string_view text, size_t at);
bool word_before(std::string_view text, size_t at);

}  // namespace halftone
