// Cuts text into words by regular expressions (PCRE2), for byte-level BPE.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

class WordSplitter {
 public:
  // Throws Error(format), naming `source`, for a pattern that does not compile.
  WordSplitter(const std::vector<std::string>& patterns, const std::string& source);
  ~WordSplitter();

  // Calls word(w) for consecutive pieces of `text` that together are the text: the matches of the
  // first pattern and what lies between them, each cut further by the next pattern, and so on.
  // Bytes that are not UTF-8 never match and stay between.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  struct Pattern;
  void split_by(size_t index, std::string_view text, const std::function<void(std::string_view)>& word) const;

  std::vector<std::unique_ptr<Pattern>> patterns_;
};

}  // namespace halftone
