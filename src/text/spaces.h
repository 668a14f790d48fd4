// sentencepiece writes a space as U+2581.
#pragma once

#include <string>
#include <string_view>

namespace halftone {

inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";

inline std::string spaces_to_marks(std::string_view text, bool mark_in_front) {
  std::string out(mark_in_front ? kSpaceMark : "");
  for (const char c : text) {
    if (c == ' ')
      out += kSpaceMark;
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

}  // namespace halftone
