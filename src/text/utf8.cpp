#include "utf8.h"

#include <utf8proc.h>

#include <algorithm>

namespace halftone {
namespace {

bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

// The letters in circles and squares are symbols by category, and alphabetic all the same.
bool is_enclosed_letter(uint32_t c) {
  return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
         (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

bool is_word(uint32_t c) {
  if (c == 0x200c || c == 0x200d || is_enclosed_letter(c)) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

// Bytes of the character that ends just before `at`, 0 where there is none.
size_t length_before(std::string_view text, size_t at) {
  for (size_t length = 1; length <= 4 && length <= at; ++length)
    if (utf8_length(text, at - length) == length) return length;
  return 0;
}

}  // namespace

size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> uint8_t { return at + i < text.size() ? text[at + i] : 0; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint8_t first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  if (first < 0xe0) return tail(1) ? 2 : 0;
  if (first < 0xf0) {
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0)) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first > 0xf4 || (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90))
    return 0;
  return tail(1) && tail(2) && tail(3) ? 4 : 0;
}

size_t utf8_valid_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    const size_t length = static_cast<uint8_t>(text[at]) < 0x80 ? 1 : utf8_length(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

size_t character_length(std::string_view text, size_t at) {
  return std::max<size_t>(utf8_length(text, at), 1);
}

uint32_t code_point(std::string_view character) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(character[i]); };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1fu) << 6 | (byte(1) & 0x3fu);
    case 3:
      return (byte(0) & 0x0fu) << 12 | (byte(1) & 0x3fu) << 6 | (byte(2) & 0x3fu);
    default:
      return (byte(0) & 0x07u) << 18 | (byte(1) & 0x3fu) << 12 | (byte(2) & 0x3fu) << 6 |
             (byte(3) & 0x3fu);
  }
}

void append_utf8(uint32_t code_point, std::string& out) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t count =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
}

size_t space_at(std::string_view text, size_t at) {
  if (at >= text.size()) return 0;
  const size_t length = utf8_length(text, at);
  return length > 0 && is_space(code_point(text.substr(at, length))) ? length : 0;
}

size_t space_before(std::string_view text, size_t at) {
  const size_t length = length_before(text, at);
  return length > 0 ? space_at(text, at - length) : 0;
}

bool word_at(std::string_view text, size_t at) {
  if (at >= text.size()) return false;
  const size_t length = utf8_length(text, at);
  return length > 0 && is_word(code_point(text.substr(at, length)));
}

bool word_before(std::string_view text, size_t at) {
  const size_t length = length_before(text, at);
  return length > 0 && word_at(text, at - length);
}

}  // namespace halftone
