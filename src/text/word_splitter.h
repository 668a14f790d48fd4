// Cuts text into words.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/text/bpe.h"
#include "pattern.h"

namespace halftone {

class WordSplitter {
 public:
  // Throws Error(format), naming `source`, for a pattern that does not compile.
  WordSplitter(const std::vector<SplitStep>& steps, const std::string& source);
  ~WordSplitter();

  // Calls word(w) for consecutive words of a piece of text: what the first step makes of it, each
  // part cut further by the next step, and so on. `first`: the text begins with this piece. Bytes
  // that are not UTF-8 are words of their own; the text between them is split as if it were alone,
  // but that marks stand in front of the whole piece only. Throws Error(format) where a pattern
  // needs more steps than the limit, which grows with the text.
  void split(std::string_view piece, bool first,
             const std::function<void(std::string_view)>& word) const;

 private:
  struct Step;
  using Word = std::function<void(std::string_view)>;
  using Searches = std::vector<std::unique_ptr<Pattern::Search>>;
  struct Place {
    bool begins;  // a piece: marks may be put in front of it
    bool first;   // the text
  };
  void split_by(size_t index, std::string_view text, Place place, const Word& word,
                Searches& searches) const;

  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace halftone
