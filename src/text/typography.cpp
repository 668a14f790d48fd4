#include "halftone/text/typography.h"

#include <cctype>
#include <vector>

namespace halftone {
namespace {

constexpr size_t kLongestTitle = 60;  // bytes

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
// Bytes of other scripts count as letters: their punctuation is left as it is.
bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80;
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

// Curly quotes as straight ones.
std::string straight_quotes(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    const std::string_view three = line.substr(i, 3);
    const bool twice = three == "\u201c" || three == "\u201d" || three == "\u201e",
               once = three == "\u2018" || three == "\u2019";
    out += twice ? '"' : once ? '\'' : line[i];
    i += twice || once ? 3 : 1;
  }
  return out;
}

// The word that ends before `end`.
std::string_view word_before(std::string_view line, size_t end) {
  size_t begin = end;
  while (begin > 0 && (is_letter(line[begin - 1]) || line[begin - 1] == '.')) --begin;
  return line.substr(begin, end - begin);
}

bool abbreviates(std::string_view line, size_t point) {
  const std::string_view word = word_before(line, point);
  const bool initial = word.size() == 1 && std::isupper(static_cast<unsigned char>(word[0]));
  if (initial || word.find('.') != std::string_view::npos) return true;
  size_t next = point + 1;
  while (next < line.size() && is_space(line[next])) ++next;
  return next < line.size() && std::islower(static_cast<unsigned char>(line[next]));
}

// One line, its words and marks apart by one space.
std::string spaced(std::string_view given) {
  const std::string line = straight_quotes(given);
  std::string out;
  const auto put = [&](std::string_view word) {
    if (!out.empty() && out.back() != ' ') out += ' ';
    out += word;
    out += ' ';
  };
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i], before = i > 0 ? line[i - 1] : ' ',
               after = i + 1 < line.size() ? line[i + 1] : ' ';
    const bool within_number = is_digit(before) && is_digit(after);
    const auto inside = [&](char x) { return is_letter(x) || is_digit(x); };
    if (is_space(c)) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else if (line.compare(i, 3, "...") == 0) {
      put("...");
      i += 2;
    } else if ((c == ',' || c == '.') && within_number) {
      put(c == ',' ? "@,@" : "@.@");
    } else if (c == '-' && inside(before) && inside(after)) {
      put("@-@");
    } else if (c == '.' && (inside(after) || abbreviates(line, i))) {
      out += c;
    } else if (c == '\'' && is_letter(before) && is_letter(after)) {
      out += " '";
    } else if (std::ispunct(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '@') {
      put(std::string_view(&c, 1));
    } else {
      out += c;
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

bool is_title(std::string_view line) {
  if (line.size() > kLongestTitle || line.empty()) return false;
  const char last = line.back();
  return is_letter(last) || is_digit(last) || last == ')';
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    std::string_view line = text.substr(begin, end - begin);
    while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
    while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
    if (!line.empty()) out.push_back(line);
    begin = end + 1;
  }
  return out;
}

}  // namespace

const char* typography_name(Typography typography) {
  return typography == Typography::wikitext ? "wikitext" : "as-is";
}

std::string wikitext_typography(std::string_view document) {
  std::string out;
  bool titled = false;
  for (const std::string_view line : lines_of(document)) {
    if (!is_title(line)) {
      out += " " + spaced(line) + " \n";
      continue;
    }
    const std::string mark = titled ? " = = " : " = ", end = titled ? " = = \n" : " = \n";
    titled = true;
    out += " \n" + mark + spaced(line) + end + " \n";
  }
  return out;
}

}  // namespace halftone
