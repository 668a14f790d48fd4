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
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // Calls text(piece) and token(id) in the order of `text`. At each place the longest token wins.
  // Without `parse_special`, control tokens are ordinary text.
  void split(std::string_view text, bool parse_special,
             const std::function<void(std::string_view)>& on_text,
             const std::function<void(int32_t)>& on_token) const;

 private:
  const AddedToken* find(std::string_view text, size_t at, bool parse_special) const;

  std::array<std::vector<AddedToken>, 256> by_first_byte_;  // longest first
  std::string first_bytes_;
};

}  // namespace halftone
