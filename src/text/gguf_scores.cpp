// Scores from ranks: sentencepiece's order of merges, found again.
#include <unordered_map>
#include <unordered_set>

#include "gguf_vocabulary.h"
#include "halftone/base/error.h"
#include "token_text.h"
#include "utf8.h"

namespace halftone {
namespace {

[[noreturn]] void refuse(const BpeDefinition& d, const std::string& token, const char* why) {
  throw_error(ErrorKind::recipe,
              "{}: llama.cpp has no such tokenizer: its merges follow from no scores of tokens: "
              "'{}' {}",
              d.source, printable(token), why);
}

class Scores {
 public:
  explicit Scores(const BpeDefinition& d) : d_(d) {
    for (size_t id = 0; id < d.tokens.size(); ++id)
      if (!d.tokens[id].empty() && !byte_of_token(d.tokens[id])) ids_.emplace(d.tokens[id], id);
    for (const AddedToken& token : d.added) ids_.erase(token.text);
  }

  std::vector<float> find() {
    std::vector<float> out(d_.tokens.size(), 0);
    std::string last;
    for (size_t rank = 0; rank < d_.merges.size(); ++rank) {
      const auto& [left, right] = d_.merges[rank];
      const std::string token = left + right;
      pairs_.insert(left + '\0' + right);
      if (token == last) continue;
      last = token;
      const auto id = ids_.find(token);
      if (id == ids_.end()) continue;  // found as it is written, before anything is merged
      if (!ranked_.insert(id->second).second) refuse(d_, token, "is merged at several ranks");
      out[id->second] = -static_cast<float>(rank) - 1;
    }
    for (const auto& [token, id] : ids_) check_cuts(token);
    return out;
  }

 private:
  // By scores any two neighbours that make a token are joined.
  void check_cuts(const std::string& token) const {
    for (size_t at = 0, size = 0; at < token.size(); at += size) {
      size = character_length(token, at);
      if (size < token.size() && !ids_.contains(token.substr(at, size)))
        refuse(d_, token, "has a character that is no token");
      if (at > 0 && ids_.contains(token.substr(0, at)) && ids_.contains(token.substr(at)) &&
          !pairs_.contains(token.substr(0, at) + '\0' + token.substr(at)))
        refuse(d_, token, "is not merged from each pair of tokens that makes it");
    }
  }

  const BpeDefinition& d_;
  std::unordered_map<std::string, size_t> ids_;  // of tokens that are merged
  std::unordered_set<std::string> pairs_;
  std::unordered_set<size_t> ranked_;
};

}  // namespace

std::vector<float> scores_of_merges(const BpeDefinition& definition) {
  return Scores(definition).find();
}

}  // namespace halftone
