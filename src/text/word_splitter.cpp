#include "word_splitter.h"

#include <optional>

#include "token_text.h"
#include "utf8.h"

namespace halftone {

struct WordSplitter::Step {
  SplitStep what;
  std::optional<Pattern> pattern;  // none: one piece
};

namespace {

// Hands pieces on to done(begin, end) as their behaviour joins them.
template <class Done>
class Joiner {
 public:
  Joiner(SplitBehavior behavior, const Done& done) : behavior_(behavior), done_(done) {}

  void put(size_t begin, size_t end, bool is_match) {
    if (open_ && joins(is_match)) {
      end_ = end;
    } else {
      close();
      begin_ = begin;
      end_ = end;
      open_ = !(is_match && behavior_ == SplitBehavior::removed);
    }
    was_match_ = is_match;
  }
  void close() {
    if (open_ && end_ > begin_) done_(begin_, end_);
    open_ = false;
  }

 private:
  bool joins(bool is_match) const {
    switch (behavior_) {
      case SplitBehavior::contiguous:
        return is_match == was_match_;
      case SplitBehavior::merged_with_previous:
        return is_match && !was_match_;
      case SplitBehavior::merged_with_next:
        return !is_match && was_match_;
      default:
        return false;
    }
  }

  SplitBehavior behavior_;
  const Done& done_;
  size_t begin_ = 0, end_ = 0;
  bool open_ = false, was_match_ = false;
};

}  // namespace

WordSplitter::WordSplitter(const std::vector<SplitStep>& steps, const std::string& source) {
  for (const SplitStep& given : steps) {
    steps_.push_back(std::make_unique<Step>(Step{given, std::nullopt}));
    if (!given.pattern.empty()) steps_.back()->pattern.emplace(given.pattern, source);
  }
}

WordSplitter::~WordSplitter() = default;

void WordSplitter::split(std::string_view piece, bool first, const Word& word) const {
  Searches searches;
  for (const auto& step : steps_)
    searches.push_back(
        step->pattern ? std::make_unique<Pattern::Search>(*step->pattern, piece.size()) : nullptr);
  for_each_utf8_run(
      piece,
      [&](std::string_view run) {
        const bool begins = run.data() == piece.data();
        split_by(0, run, {begins, begins && first}, word, searches);
      },
      word);
}

void WordSplitter::split_by(size_t index, std::string_view text, Place place, const Word& word,
                            Searches& searches) const {
  if (text.empty()) return;
  if (index == steps_.size()) return word(text);
  const SplitStep& step = steps_[index]->what;
  std::string marked;
  if (!step.mark.empty()) {
    marked = replace_spaces(text, step.mark);
    const bool wanted = step.scheme == MarkScheme::always
                            ? place.begins
                            : step.scheme == MarkScheme::first && place.first;
    if (wanted && !marked.starts_with(step.mark)) marked = step.mark + marked;
    text = marked;
  }
  if (!searches[index]) return split_by(index + 1, text, place, word, searches);
  const auto further = [&](size_t begin, size_t end) {
    const Place part{place.begins, place.first && begin == 0};
    split_by(index + 1, text.substr(begin, end - begin), part, word, searches);
  };
  Joiner joiner(step.behavior, further);
  Pattern::Search& search = *searches[index];
  search.start(text);
  for (Pattern::Piece piece; search.next(piece);)
    joiner.put(piece.begin, piece.end, piece.is_match != step.invert);
  joiner.close();
}

}  // namespace halftone
