// Regular expressions as tokenizer.json has them (Oniguruma's, in Ruby's syntax), run by PCRE2.
#pragma once

#include <cstddef>
#include <functional>
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

  // One search at a time; made anew for each text, since the limit of its steps grows with it.
  class Search {
   public:
    Search(const Pattern& pattern, size_t text_bytes);
    ~Search();

    // Calls piece(begin, end, is_match) for the matches and for what lies between them, in order.
    // `text` is UTF-8. A match may be empty. Throws Error(format) where the pattern needs more
    // steps than the limit.
    void for_each_piece(std::string_view text,
                        const std::function<void(size_t, size_t, bool)>& piece);

   private:
    bool find(std::string_view text, size_t at, size_t& begin, size_t& end);

    struct State;
    const Pattern* pattern_;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string source_;
};

// The pattern that matches `literal` alone.
std::string quoted_pattern(std::string_view literal);

}  // namespace halftone
