// Tokens that files beside a tokenizer name, and their place among its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "halftone/text/bpe.h"
#include "token_text.h"

namespace halftone {

struct NamedToken {
  AddedToken token;  // without an id: that of its text, or the next one that is free
  bool has_id = false;
  bool replaces = false;    // an added token of its text, which else stays as it is
  std::string file, field;  // that names it
};

// The ids of a vocabulary's texts and of tokens added to it.
class TokenTable {
 public:
  // `file`: where `tokens` (by id) and `added` are from, for messages.
  TokenTable(const std::vector<std::string>& tokens, std::vector<AddedToken> added,
             const std::string& file);

  // As AutoTokenizer adds it. Throws Error(format) naming both places where the id has another text
  // or the text another id.
  void add(const NamedToken& named);

  const std::vector<AddedToken>& added() const { return added_; }
  std::optional<int32_t> id_of(std::string_view text) const;
  int64_t size() const { return next_; }  // largest id + 1

 private:
  std::string file_;
  std::vector<AddedToken> added_;
  std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>> ids_;
  std::unordered_map<int32_t, std::string> texts_;
  int64_t next_ = 0;
};

}  // namespace halftone
