#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <map>
#include <new>
#include <utility>

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

// Members of sets. Outside of one, Oniguruma's \w has some of Latin-1's numbers, too.
const std::string kSpace = R"(\p{Z}\x09-\x0d\x{85})";
const std::string kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
const std::string kWordBeside = R"(\xb2\xb3\xb9\xbc-\xbe)";
const std::string kNoWord = R"(\p{C}\p{Z}\p{S}\p{No}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po})";

pcre2_code* compile(const std::string& pattern, int& error) {
  PCRE2_SIZE offset = 0;
  // ^ and $ are the ends of a line in Ruby's syntax.
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                       PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                       &offset, nullptr);
}

bool compiles(const std::string& pattern) {
  int error = 0;
  pcre2_code* code = compile(pattern, error);
  pcre2_code_free(code);
  return code != nullptr;
}

// Oniguruma's spelling in PCRE2's.
class Translation {
 public:
  Translation(const std::string& pattern, const std::string& source)
      : pattern_(pattern), source_(source) {
    while (at_ < pattern_.size()) next();
  }
  std::string take() { return std::move(out_); }

 private:
  void next();
  void escape();
  void group();
  void set_member();
  void posix_set();
  void property(char escaped);
  [[noreturn]] void refuse(const char* what) const {
    throw_error(ErrorKind::format, "{}: pattern '{}': found {}, a plain set of characters expected",
                source_, printable(pattern_), what);
  }
  bool follows(std::string_view text) const {
    return pattern_.compare(at_, text.size(), text) == 0;
  }

  const std::string& pattern_;
  const std::string& source_;
  std::string out_;
  size_t at_ = 0;
  size_t set_ = std::string::npos;  // where the set's members begin, inside one
};

void Translation::next() {
  const char c = pattern_[at_];
  if (c == '\\' && at_ + 1 < pattern_.size()) return escape();
  if (set_ != std::string::npos) return set_member();
  if (follows("{,")) {  // {,n} counts from 0
    out_ += "{0";
    ++at_;
    return;
  }
  if (follows("(?")) return group();
  out_ += c;
  ++at_;
  if (c != '[') return;
  if (follows("^")) out_ += pattern_[at_++];
  set_ = at_;
}

void Translation::set_member() {
  if (follows("[:")) return posix_set();
  if (follows("[")) refuse("a set in a set");
  if (follows("&&")) refuse("an intersection of sets");
  const bool first = at_ == set_;  // "]" stands for itself there
  if (follows("]") && !first) set_ = std::string::npos;
  out_ += pattern_[at_++];
}

// (?m lets "." match line ends, which PCRE2 says by s.
void Translation::group() {
  size_t end = at_ + 2;
  while (end < pattern_.size() && std::string_view("imx-").find(pattern_[end]) != std::string::npos)
    ++end;
  const bool options = end < pattern_.size() && (pattern_[end] == ':' || pattern_[end] == ')');
  for (; at_ < end; ++at_) out_ += options && pattern_[at_] == 'm' ? 's' : pattern_[at_];
}

// PCRE2's \s has U+180E, which is no white space since Unicode 6.3, its \w and \b know neither
// marks nor connectors, its \h are spaces, and its \p{Han} takes characters that other scripts
// share.
void Translation::escape() {
  const char c = pattern_[at_ + 1];
  at_ += 2;
  const bool inside = set_ != std::string::npos;
  const std::string word = inside ? kWord : kWord + kWordBeside;
  const auto put = [&](const std::string& members, bool negated = false) {
    out_ += inside ? members : (negated ? "[^" : "[") + members + "]";
  };
  if (c == 's')
    put(kSpace);
  else if (c == 'S')
    inside ? put(R"(\S\x{180e})") : put(kSpace, true);
  else if (c == 'w')
    put(word);
  else if (c == 'W')
    inside ? put(kNoWord) : put(word, true);
  else if (c == 'b' && !inside)
    out_ += fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", word);
  else if (c == 'B' && !inside)
    out_ += fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", word);
  else if (c == 'h' || c == 'H')
    inside&& c == 'H' ? refuse("\\H in a set") : put("0-9a-fA-F", c == 'H');
  else if (c == 'p' || c == 'P')
    property(c);
  else if (c == 'u' && at_ + 4 <= pattern_.size()) {
    out_ += "\\x{" + pattern_.substr(at_, 4) + "}";
    at_ += 4;
  } else
    (out_ += '\\') += c;
}

// \p{Han}, \p{^Han}, \P{Han}: of the script itself, where the name is one.
void Translation::property(char escaped) {
  (out_ += '\\') += escaped;
  if (!follows("{")) return;
  const size_t end = std::min(pattern_.find('}', at_), pattern_.size() - 1) + 1;
  std::string name = pattern_.substr(at_ + 1, end - at_ - 2);
  const std::string negation = name.starts_with('^') ? "^" : "";
  name.erase(0, negation.size());
  at_ = end;
  out_ += '{' + negation + (compiles("\\p{sc:" + name + "}") ? "sc:" : "") + name + '}';
}

// [:alpha:] and its like, as Oniguruma's sets.
void Translation::posix_set() {
  static const std::map<std::string, std::string> kSets{{"alpha", R"(\p{Alphabetic})"},
                                                        {"alnum", R"(\p{Alphabetic}\p{Nd})"},
                                                        {"digit", R"(\p{Nd})"},
                                                        {"punct", R"(\p{P}\p{S})"},
                                                        {"space", kSpace},
                                                        {"word", kWord},
                                                        {"xdigit", "0-9a-fA-F"}};
  const size_t end = pattern_.find(":]", at_);
  const auto it =
      end == std::string::npos ? kSets.end() : kSets.find(pattern_.substr(at_ + 2, end - at_ - 2));
  if (it == kSets.end()) refuse("a POSIX set");
  out_ += it->second;
  at_ = end + 2;
}

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

struct Pattern::Search::State {
  explicit State(const pcre2_code* code)
      : match(pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free),
        context(pcre2_match_context_create(nullptr), pcre2_match_context_free),
        stack(nullptr, pcre2_jit_stack_free) {
    if (!match || !context) throw std::bad_alloc();
  }
  // The machine's own stack serves almost always: making another takes longer than most searches.
  void add_stack() {
    if (stack) return;
    stack.reset(pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr));
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match;
  std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context;
  std::unique_ptr<pcre2_jit_stack, void (*)(pcre2_jit_stack*)> stack;
};

Pattern::Pattern(const std::string& pattern, const std::string& source)
    : code_(std::make_unique<Code>()), source_(source) {
  int error = 0;
  code_->code = compile(Translation(pattern, source).take(), error);
  if (!code_->code)
    throw_error(ErrorKind::format, "{}: pattern '{}': {}, a regular expression expected", source,
                printable(pattern), message_of(error));
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);  // where it cannot, the interpreter runs
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

Pattern::Search::Search(const Pattern& pattern, size_t text_bytes)
    : pattern_(&pattern), state_(std::make_unique<State>(pattern.code_->code)) {
  const size_t limit = kLeastLimit + kLimitPerByte * text_bytes;
  pcre2_set_match_limit(state_->context.get(),
                        static_cast<uint32_t>(std::min<size_t>(limit, UINT32_MAX)));
}

Pattern::Search::~Search() = default;

void Pattern::Search::start(std::string_view text) {
  text_ = text;
  done_ = at_ = 0;
  last_end_ = std::string::npos;
  match_ = {};
}

bool Pattern::Search::find(Piece& match) {
  const auto run = [&](uint32_t options) {
    return pcre2_match(pattern_->code_->code, reinterpret_cast<PCRE2_SPTR>(text_.data()),
                       text_.size(), at_, PCRE2_NO_UTF_CHECK | options, state_->match.get(),
                       state_->context.get());
  };
  int found = run(0);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
    state_->add_stack();
    found = run(0);
  }
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(PCRE2_NO_JIT);
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0)
    throw_error(ErrorKind::format, "{}: the pattern fails at byte {} of '{}': {}",
                pattern_->source_, at_, printable(text_), message_of(found));
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state_->match.get());
  match = {range[0], range[1], true};
  return true;
}

bool Pattern::Search::next(Piece& piece) {
  while (!match_.is_match && at_ <= text_.size()) {
    if (!find(match_)) {
      at_ = text_.size() + 1;
    } else if (match_.begin == match_.end && match_.end == last_end_) {
      match_.is_match = false;  // an empty match right behind another is none
      at_ += at_ < text_.size() ? character_length(text_, at_) : 1;
    } else {
      at_ = last_end_ = match_.end;
    }
  }
  const size_t between = match_.is_match ? match_.begin : text_.size();
  if (between > done_)
    piece = {done_, between, false};
  else if (match_.is_match)
    piece = std::exchange(match_, {});
  else
    return false;
  done_ = piece.end;
  return true;
}

std::string quoted_pattern(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    if (std::string_view("\\^$.[|()?*+{}#-").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace halftone
