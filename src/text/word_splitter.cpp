#include "word_splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "halftone/base/error.h"

namespace halftone {

struct WordSplitter::Pattern {
  pcre2_code* code = nullptr;
  ~Pattern() { pcre2_code_free(code); }
};

WordSplitter::WordSplitter(const std::vector<std::string>& patterns, const std::string& source) {
  for (const std::string& text : patterns) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    auto pattern = std::make_unique<Pattern>();
    pattern->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
    if (!pattern->code) {
      PCRE2_UCHAR message[160];
      pcre2_get_error_message(error, message, sizeof message);
      throw_error(ErrorKind::format, "{}: pattern '{}': {} at byte {}", source, printable(text), reinterpret_cast<char*>(message), offset);
    }
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);  // where it cannot, the interpreter runs
    patterns_.push_back(std::move(pattern));
  }
}

WordSplitter::~WordSplitter() = default;

void WordSplitter::split(std::string_view text, const std::function<void(std::string_view)>& word) const {
  split_by(0, text, word);
}

void WordSplitter::split_by(size_t index, std::string_view text, const std::function<void(std::string_view)>& word) const {
  if (text.empty()) return;
  if (index == patterns_.size()) return word(text);
  const pcre2_code* code = patterns_[index]->code;
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  size_t done = 0, at = 0;
  while (at <= text.size()) {
    const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, 0, match.get(), nullptr);
    if (found < 0) break;  // no match, or the match limit: the rest is one word
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    if (range[1] == range[0]) {
      at = range[1] + 1;
      continue;
    }
    split_by(index + 1, text.substr(done, range[0] - done), word);
    split_by(index + 1, text.substr(range[0], range[1] - range[0]), word);
    done = at = range[1];
  }
  split_by(index + 1, text.substr(done), word);
}

}  // namespace halftone
