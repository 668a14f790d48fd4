// How tokens of the sentencepiece kind are written: U+2581 for a space, "<0x0A>" for a byte.
#pragma once

#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace halftone {

// Lets a map of strings be asked for a part of a text.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";

inline std::string replace_spaces(std::string_view text, std::string_view mark) {
  std::string out;
  for (const char c : text) {
    if (c == ' ')
      out += mark;
    else
      out += c;
  }
  return out;
}

inline std::string marks_to_spaces(std::string_view token) {
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const bool mark = token.compare(at, kSpaceMark.size(), kSpaceMark) == 0;
    out += mark ? ' ' : token[at];
    at += mark ? kSpaceMark.size() : 1;
  }
  return out;
}

// The byte that a byte token stands for.
inline std::optional<uint8_t> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  uint8_t byte = 0;
  const char* end = token.data() + 5;
  if (std::from_chars(token.data() + 3, end, byte, 16).ptr != end) return std::nullopt;
  return byte;
}

}  // namespace halftone
