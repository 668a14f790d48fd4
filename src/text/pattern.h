// Regular expressions as tokenizer.json has them (Oniguruma's, in Ruby's syntax), run by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace halftone {

class Pattern {
 public:
  // What is spelt in another way is translated: \s \w \b \h, [:alpha:], \p{Han}, {,n}, (?m, \u0041;
  // sets within sets are refused. Throws Error(format), naming `source`, for them and for what does
  // not compile.
  Pattern(const std::string& pattern, const std::string& source);
  ~Pattern();
  Pattern(Pattern&&) noexcept;

  // A match, or what lies between two.
  struct Piece {
    size_t begin = 0, end = 0;
    bool is_match = false;
  };

  // One search at a time; made anew for each text, since the limit of its steps grows with it.
  class Search {
   public:
    Search(const Pattern& pattern, size_t text_bytes);
    ~Search();

    // Goes through `text`, which is UTF-8 and stays where it is.
    void start(std::string_view text);
    // The next piece; false behind the last one. A match may be empty. Throws Error(format) where
    // the pattern needs more steps than the limit.
    bool next(Piece& piece);

   private:
    bool find(Piece& match);

    struct State;
    const Pattern* pattern_;
    std::unique_ptr<State> state_;
    std::string_view text_;
    size_t done_ = 0, at_ = 0, last_end_ = 0;  // of the pieces, of the search, of the last match
    Piece match_;                              // found, and not given yet where is_match
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string source_;
};

// The pattern that matches `literal` alone.
std::string quoted_pattern(std::string_view literal);

}  // namespace halftone
