#include "added_tokens.h"

#include <algorithm>
#include <cctype>

#include "utf8.h"

namespace halftone {
namespace {

bool is_word_byte(char c) {
  const unsigned char byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || std::isalnum(byte) || byte == '_';
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !is_word_byte(text[begin - 1])) &&
         (end == text.size() || !is_word_byte(text[end]));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) {
  for (AddedToken& token : tokens) {
    if (token.text.empty()) continue;
    auto& same_start = by_first_byte_[static_cast<unsigned char>(token.text[0])];
    if (same_start.empty()) first_bytes_ += token.text[0];
    same_start.push_back(std::move(token));
  }
  for (auto& same_start : by_first_byte_)
    std::stable_sort(same_start.begin(), same_start.end(),
                     [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
}

const AddedToken* AddedTokens::find(std::string_view text, size_t at, bool parse_special) const {
  for (const AddedToken& token : by_first_byte_[static_cast<unsigned char>(text[at])])
    if ((parse_special || !token.special) && text.substr(at, token.text.size()) == token.text &&
        (!token.single_word || stands_alone(text, at, at + token.text.size())))
      return &token;
  return nullptr;
}

void AddedTokens::split(std::string_view text, bool parse_special,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<void(int32_t)>& on_token) const {
  size_t done = 0;
  size_t at = first_bytes_.empty() ? text.npos : text.find_first_of(first_bytes_);
  while (at != text.npos) {
    const AddedToken* token = find(text, at, parse_special);
    if (!token) {
      at = text.find_first_of(first_bytes_, at + 1);
      continue;
    }
    size_t begin = at, end = at + token->text.size();
    if (token->lstrip)
      while (begin > done && space_before(text, begin) > 0) begin -= space_before(text, begin);
    if (token->rstrip)
      while (end < text.size() && space_at(text, end) > 0) end += space_at(text, end);
    begin = std::max(begin, done);
    if (begin > done) on_text(text.substr(done, begin - done));
    on_token(token->id);
    done = end;
    at = text.find_first_of(first_bytes_, done);
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace halftone
