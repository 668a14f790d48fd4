// Cuts text into words by regular expressions (PCRE2), for byte-level BPE.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/text/bpe.h"

namespace halftone {

class WordSplitter {
 public:
  // Throws Error(format), naming `source`, for a pattern that does not compile.
  WordSplitter(const std::vector<SplitStep>& steps, const std::string& source);
  ~WordSplitter();

  // Calls word(w) for consecutive pieces: the matches of the first step and what lies between them,
  // each cut further by the next step, and so on. Bytes that are not UTF-8 are words of their own;
  // the text between them is split as if it were alone. Throws Error(format) where a pattern needs
  // more steps than the limit, which grows with the text.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  struct Step;
  class Matcher;
  using Word = std::function<void(std::string_view)>;
  void split_by(size_t index, std::string_view text, const Word& word,
                std::vector<Matcher>& matchers) const;

  std::string source_;
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace halftone
