// Tokens that are found in a text as they are written, before anything else looks at it.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "halftone/text/bpe.h"

namespace halftone {

class AddedTokens {
 public:
  // Of several with one text the first is found; those without text are not.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // Calls text(piece) and token(id) in the order of `text`. At each place the longest token is
  // found, as Hugging Face's tokenizers find it: one that is then no word of its own, or a control
  // token without `parse_special`, is ordinary text, in which no other token is looked for.
  void split(std::string_view text, bool parse_special,
             const std::function<void(std::string_view)>& on_text,
             const std::function<void(int32_t)>& on_token) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;  // in the order of their texts
  struct Range {
    size_t begin = 0, end = 0;
  };
  std::array<Range, 256> by_first_byte_;
};

}  // namespace halftone
