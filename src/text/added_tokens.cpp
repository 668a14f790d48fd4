#include "added_tokens.h"

#include <algorithm>

#include "utf8.h"

namespace halftone {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.text.empty(); });
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const auto& a, const auto& b) { return a.text < b.text; });
  const auto same = [](const auto& a, const auto& b) { return a.text == b.text; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (size_t i = 0; i < tokens_.size(); ++i) {
    Range& range = by_first_byte_[static_cast<unsigned char>(tokens_[i].text[0])];
    if (range.end == 0) range.begin = i;
    range.end = i + 1;
  }
}

// Tokens with a common start are neighbours, the shortest first: each byte narrows the range.
const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at) const {
  auto [begin, end] = by_first_byte_[static_cast<unsigned char>(text[at])];
  const AddedToken* longest = nullptr;
  for (size_t length = 1; begin < end; ++length) {
    if (tokens_[begin].text.size() == length) longest = &tokens_[begin++];
    if (at + length == text.size()) break;
    const auto byte_of = [&](const AddedToken& token) {
      return static_cast<unsigned char>(token.text[length]);
    };
    const unsigned char next = static_cast<unsigned char>(text[at + length]);
    const auto first = tokens_.begin();
    const auto low = std::partition_point(first + begin, first + end,
                                          [&](const auto& t) { return byte_of(t) < next; });
    const auto high =
        std::partition_point(low, first + end, [&](const auto& t) { return byte_of(t) == next; });
    begin = static_cast<size_t>(low - first);
    end = static_cast<size_t>(high - first);
  }
  return longest;
}

void AddedTokens::split(std::string_view text, bool parse_special,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<void(int32_t)>& on_token) const {
  size_t done = 0;
  for (size_t at = tokens_.empty() ? text.size() : 0; at < text.size();) {
    const bool none_starts = by_first_byte_[static_cast<unsigned char>(text[at])].end == 0;
    const AddedToken* token = none_starts ? nullptr : longest_at(text, at);
    if (!token) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->text.size();
    at = end;
    if (token->special && !parse_special) continue;
    if (token->single_word && (word_before(text, begin) || word_at(text, end))) continue;
    if (token->lstrip) {
      while (begin > done && space_before(text, begin) > 0) begin -= space_before(text, begin);
      begin = std::max(begin, done);  // an rstrip before it may have taken all of it
    }
    if (token->rstrip)
      while (space_at(text, end) > 0) end += space_at(text, end);
    if (begin > done) on_text(text.substr(done, begin - done));
    if (end > begin) on_token(token->id);
    done = end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace halftone
