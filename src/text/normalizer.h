// What is done to text before it is cut into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/text/bpe.h"
#include "pattern.h"

namespace halftone {

class Normalizer {
 public:
  // Throws Error(format), naming `source`, for a pattern that does not compile.
  Normalizer(const std::vector<NormalizeStep>& steps, const std::string& source);

  bool empty() const { return steps_.empty(); }

  // `text` after all steps; bytes that are not UTF-8 stay where they are. `starts` becomes whether
  // the result's first character stands for the text's first: a replacement stands for the last
  // character that it replaces, as Hugging Face's offsets have it.
  std::string apply(std::string_view text, bool* starts = nullptr) const;

 private:
  struct Step {
    NormalizeStep what;
    std::optional<Pattern> pattern;
  };
  static std::string replace(const Step& step, std::string_view text, size_t& lead);

  std::vector<Step> steps_;
};

}  // namespace halftone
