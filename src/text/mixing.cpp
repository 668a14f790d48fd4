#include "halftone/text/mixing.h"

#include <algorithm>

#include "halftone/base/error.h"

namespace halftone {
namespace {

constexpr int64_t kMostPasses = 100;

using Documents = std::vector<size_t>;  // numbers in a file

// The documents of a file, dealt out to the sources that name it.
struct Deck {
  std::string path;
  Documents trained, held_out;
};

struct Source {
  SourceSettings settings;
  std::shared_ptr<const DocumentTokens> text;
  size_t deck = 0;

  int64_t begin(size_t document) const {
    return document > 0 ? static_cast<int64_t>(text->marks()[document - 1].end) : 0;
  }
  int64_t size(size_t document) const {
    return static_cast<int64_t>(text->marks()[document].end) - begin(document);
  }
};

struct Sources {
  std::vector<Source> sources;
  std::vector<Deck> decks;
};

// A document's turn.
struct Turn {
  size_t source = 0, document = 0;
};

// Of a document's tokens those that are taken, the first ones.
int64_t tokens_taken(int64_t document, const DataSettings& settings) {
  return settings.cross_documents ? document : document - document % settings.max_seq_length;
}

Deck deck_of(const std::string& path, const DocumentTokens& text, double held_out) {
  Deck deck{.path = path, .trained = {}, .held_out = {}};
  for (size_t d = 0; d < text.marks().size(); ++d) {
    const bool held = static_cast<double>(text.marks()[d].hash) < held_out * 0x1p64;
    (held ? deck.held_out : deck.trained).push_back(d);
  }
  return deck;
}

Sources open_sources(const std::vector<SourceSettings>& settings, double held_out,
                     const Tokenizer& tokenizer, const TokenCache& cache) {
  Sources out;
  for (const SourceSettings& s : settings) {
    const auto deck = std::ranges::find(out.decks, s.path, &Deck::path);
    out.sources.push_back({.settings = s,
                           .text = read_document_tokens(s.path, tokenizer, s.typography, cache),
                           .deck = static_cast<size_t>(deck - out.decks.begin())});
    if (deck == out.decks.end())
      out.decks.push_back(deck_of(s.path, *out.sources.back().text, held_out));
  }
  return out;
}

std::vector<Turn> in_turn(const Sources& s, Documents Deck::*pile) {
  std::vector<Turn> out;
  for (size_t i = 0; i < s.sources.size(); ++i)
    for (const size_t d : s.decks[s.sources[i].deck].*pile) out.push_back({i, d});
  return out;
}

// The source that is furthest behind its weight, of those in decks that `plays` names; none: their
// number.
size_t next_source(const Sources& s, const std::vector<int64_t>& tokens,
                   const std::vector<char>& plays) {
  size_t next = s.sources.size();
  double fewest = 0;
  for (size_t i = 0; i < s.sources.size(); ++i) {
    if (!plays[s.sources[i].deck]) continue;
    const double behind = static_cast<double>(tokens[i]) / s.sources[i].settings.weight;
    if (next < s.sources.size() && behind >= fewest) continue;
    next = i;
    fewest = behind;
  }
  return next;
}

// By weight. `again`: decks begin anew until all have been gone through, else each is gone through
// once.
std::vector<Turn> by_weight(const Sources& s, Documents Deck::*pile, bool again,
                            const DataSettings& settings) {
  std::vector<Turn> out;
  std::vector<int64_t> tokens(s.sources.size()), passes(s.decks.size());
  std::vector<size_t> dealt(s.decks.size());
  std::vector<char> plays;
  for (const Deck& deck : s.decks) plays.push_back(!(deck.*pile).empty());
  for (auto open = std::ranges::count(plays, 1); open > 0;) {
    const size_t i = next_source(s, tokens, plays), d = s.sources[i].deck;
    const Documents& documents = s.decks[d].*pile;
    out.push_back({i, documents[dealt[d]]});
    tokens[i] += tokens_taken(s.sources[i].size(out.back().document), settings);
    if (++dealt[d] < documents.size()) continue;
    dealt[d] = 0;
    open -= passes[d]++ == 0;
    plays[d] = again;
    if (passes[d] == kMostPasses && open > 0)
      throw_error(ErrorKind::recipe,
                  "{}: weight: found {}, with which it would be gone through more than {} times "
                  "while another source is once, a smaller one expected",
                  s.decks[d].path, s.sources[i].settings.weight, kMostPasses);
  }
  return out;
}

// That each source has tokens to give, or a turn might never end.
void check_sources(const Sources& s, const DataSettings& settings) {
  for (const Source& source : s.sources) {
    int64_t tokens = 0;
    for (const size_t d : s.decks[source.deck].trained)
      tokens += tokens_taken(source.size(d), settings);
    if (tokens > 0) continue;
    const std::string what =
        settings.cross_documents
            ? "document"
            : fmt::format(
                  "document of data.max_seq_length = {} tokens (data.cross_documents = false)",
                  settings.max_seq_length);
    throw_error(ErrorKind::recipe, "{}: found no {} to train on, at least one expected",
                source.settings.path, what);
  }
}

SourcedText gather(const Sources& s, const std::vector<Turn>& trained,
                   const std::vector<Turn>& held_out, const DataSettings& settings) {
  SourcedText out;
  std::vector<double> dealt(s.decks.size());
  for (const Source& source : s.sources) out.sources.push_back({.settings = source.settings});
  for (const auto& [i, document] : trained) {
    const Source& source = s.sources[i];
    const int64_t tokens = tokens_taken(source.size(document), settings);
    out.tokens.append(source.text, source.begin(document), tokens);
    out.sources[i].documents += tokens > 0;
    out.sources[i].tokens += tokens;
    ++dealt[source.deck];
  }
  for (const auto& [i, document] : held_out)
    out.held_out.append(s.sources[i].text, s.sources[i].begin(document),
                        s.sources[i].size(document));
  out.held_out_documents = static_cast<int64_t>(held_out.size());
  for (size_t i = 0; i < out.sources.size(); ++i) {
    const size_t d = s.sources[i].deck;
    out.sources[i].passes =
        dealt[d] / static_cast<double>(std::max<size_t>(1, s.decks[d].trained.size()));
  }
  return out;
}

}  // namespace

void append_documents(std::vector<int32_t> tokens, int32_t end, const DataSettings& settings,
                      TokenStream& out) {
  std::vector<DocumentMark> marks = marks_at_ends(tokens, end);
  const auto text = std::make_shared<const DocumentTokens>(std::move(tokens), std::move(marks));
  int64_t begin = 0;
  for (const DocumentMark& mark : text->marks()) {
    const auto document_end = static_cast<int64_t>(mark.end);
    out.append(text, begin, tokens_taken(document_end - begin, settings));
    begin = document_end;
  }
}

SourcedText read_sources(const DataSettings& settings, const Tokenizer& tokenizer,
                         const TokenCache& cache) {
  const bool mixed = !settings.sources.empty();
  std::vector<SourceSettings> files = settings.sources;
  if (!mixed)
    for (const std::string& path : settings.train) files.push_back({.path = path});
  const Sources s = open_sources(files, settings.held_out, tokenizer, cache);
  if (!mixed) return gather(s, in_turn(s, &Deck::trained), in_turn(s, &Deck::held_out), settings);
  check_sources(s, settings);
  return gather(s, by_weight(s, &Deck::trained, true, settings),
                by_weight(s, &Deck::held_out, false, {}), settings);
}

}  // namespace halftone
