#include "word_splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "halftone/base/error.h"
#include "utf8.h"

namespace halftone {
namespace {

// Steps of backtracking: as many as any linear search needs, and a floor for short texts.
constexpr size_t kLeastLimit = 1000000, kLimitPerByte = 32;
constexpr size_t kJitStackBytes = 32 << 20;

std::string message_of(int error) {
  PCRE2_UCHAR message[160] = {};
  pcre2_get_error_message(error, message, sizeof message);
  return reinterpret_cast<const char*>(message);
}

// PCRE2's \s has U+180E, which is no white space since Unicode 6.3. Patterns are for the regular
// expressions of Oniguruma, so \s is written out as White_Space.
std::string write_out_spaces(const std::string& pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '\\' || i + 1 == pattern.size()) {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      out += c;
      continue;
    }
    const char escaped = pattern[++i];
    const std::string spaces = R"(\p{Z}\x09-\x0d\x{85})";
    if (escaped == 's')
      out += in_class ? spaces : "[" + spaces + "]";
    else if (escaped == 'S' && !in_class)
      out += "[^" + spaces + "]";
    else
      (out += '\\') += escaped;
  }
  return out;
}

}  // namespace

struct WordSplitter::Step {
  pcre2_code* code = nullptr;  // none: one word
  bool prefix_space = false;
  ~Step() { pcre2_code_free(code); }
};

// What one search needs beside the pattern.
class WordSplitter::Matcher {
 public:
  Matcher(const Step& step, size_t text_bytes)
      : code_(step.code),
        match_(code_ ? pcre2_match_data_create_from_pattern(code_, nullptr) : nullptr,
               pcre2_match_data_free),
        context_(pcre2_match_context_create(nullptr), pcre2_match_context_free),
        stack_(pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr), pcre2_jit_stack_free) {
    if ((code_ && !match_) || !context_ || !stack_) throw std::bad_alloc();
    const size_t limit = kLeastLimit + kLimitPerByte * text_bytes;
    pcre2_set_match_limit(context_.get(),
                          static_cast<uint32_t>(std::min<size_t>(limit, UINT32_MAX)));
    pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
  }

  // The match from `at` on: {begin, end}; false when there is none.
  bool find(std::string_view text, size_t at, const std::string& source, size_t& begin,
            size_t& end) {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int found = pcre2_match(code_, subject, text.size(), at, PCRE2_NO_UTF_CHECK, match_.get(),
                            context_.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
      found = pcre2_match(code_, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                          match_.get(), context_.get());
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0)
      throw_error(ErrorKind::format, "{}: the pre-tokenizer's pattern fails at byte {} of '{}': {}",
                  source, at, printable(text), message_of(found));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_.get());
    begin = range[0];
    end = range[1];
    return true;
  }

 private:
  const pcre2_code* code_;
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match_;
  std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context_;
  std::unique_ptr<pcre2_jit_stack, void (*)(pcre2_jit_stack*)> stack_;
};

WordSplitter::WordSplitter(const std::vector<SplitStep>& steps, const std::string& source)
    : source_(source) {
  for (const SplitStep& given : steps) {
    auto step = std::make_unique<Step>();
    step->prefix_space = given.prefix_space;
    if (!given.pattern.empty()) {
      const std::string pattern = write_out_spaces(given.pattern);
      int error = 0;
      PCRE2_SIZE offset = 0;
      step->code =
          pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                        PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
      if (!step->code)
        throw_error(ErrorKind::format, "{}: pattern '{}': {}, a regular expression expected",
                    source, printable(given.pattern), message_of(error));
      pcre2_jit_compile(step->code, PCRE2_JIT_COMPLETE);  // where it cannot, the interpreter runs
    }
    steps_.push_back(std::move(step));
  }
}

WordSplitter::~WordSplitter() = default;

void WordSplitter::split(std::string_view text, const Word& word) const {
  std::vector<Matcher> matchers;
  for (const auto& step : steps_) matchers.emplace_back(*step, text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t valid = utf8_valid_end(text, at);
    if (valid > at) split_by(0, text.substr(at, valid - at), word, matchers);
    at = valid;
    while (at < text.size() && utf8_length(text, at) == 0) word(text.substr(at++, 1));
  }
}

void WordSplitter::split_by(size_t index, std::string_view text, const Word& word,
                            std::vector<Matcher>& matchers) const {
  if (text.empty()) return;
  if (index == steps_.size()) return word(text);
  std::string prefixed;
  if (steps_[index]->prefix_space && text.front() != ' ') text = prefixed = " " + std::string(text);
  if (!steps_[index]->code) return split_by(index + 1, text, word, matchers);
  size_t done = 0, at = 0, begin = 0, end = 0;
  while (at < text.size() && matchers[index].find(text, at, source_, begin, end)) {
    if (end <= begin || begin < done) {  // an empty match cuts nothing
      at = std::max(begin, at);
      if (at < text.size()) at += std::max<size_t>(utf8_length(text, at), 1);
      continue;
    }
    split_by(index + 1, text.substr(done, begin - done), word, matchers);
    split_by(index + 1, text.substr(begin, end - begin), word, matchers);
    done = at = end;
  }
  split_by(index + 1, text.substr(done), word, matchers);
}

}  // namespace halftone
