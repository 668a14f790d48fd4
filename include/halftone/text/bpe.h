// BPE by ranks (Sennrich et al., 2016) with all that a tokenizer.json of Hugging Face says around
// it: added tokens are found first, each piece between them is normalised and cut into words by
// regular expressions, and in each word the pair of the lowest rank is merged until none is left.
// O(n log n) in the length of a word.
//
// Two kinds: byte-level (Radford et al., 2019), where bytes are written in an alphabet of 256
// letters, and the sentencepiece kind, of characters, where U+2581 stands for a space and a
// character without a token becomes byte tokens "<0xC3>" or the unknown token. What has neither is
// dropped, as Hugging Face's tokenizers do (SmolLM2 has no token for some control bytes).
//
// With a token for every byte, decode(encode(x)) == x for any bytes x, but where the definition
// itself changes the text: the normalizer, marks, lstrip, rstrip.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/text/tokenizer.h"

namespace halftone {

// A token that is found in a text as it is written.
struct AddedToken {
  int32_t id = 0;
  std::string text;
  bool special = false;      // a control token, not an ordinary added word
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and behind it
  bool single_word = false;  // only where no word character (Unicode's \w) is next to it
  bool normalized = false;   // its normalised text is looked for in the normalised text
};

// What is done to a piece of text before it is cut.
struct NormalizeStep {
  enum class Kind { nfc, nfd, nfkc, nfkd, lowercase, prepend, replace };
  Kind kind = Kind::nfc;
  std::string pattern;   // replace: a regular expression
  bool literal = false;  // or a text
  std::string content;   // prepend: put in front of a piece that is not empty; replace: put there
  bool operator==(const NormalizeStep&) const = default;
};

// What becomes of the matches of a pattern: a piece each; nothing; one piece with their like beside
// them; the end of the piece before, the start of the one behind, but no match joins a match.
enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

enum class MarkScheme { never, first, always };

// Puts `mark` for spaces and in front of a piece that does not begin with it, where `scheme` says
// so (first: where the text begins); then cuts the piece by `pattern`.
struct SplitStep {
  std::string pattern;  // empty: the piece stays whole
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // what lies between the matches is taken for matches
  std::string mark;     // empty: spaces stay
  MarkScheme scheme = MarkScheme::never;
  bool operator==(const SplitStep&) const = default;
};

// How tokens of the sentencepiece kind become text.
struct Decoding {
  std::vector<NormalizeStep> replace;  // in each token
  bool bytes = false;                  // "<0x0A>" is the byte
  std::string strip;                   // a character,
  int64_t strip_most = 0;              // so many of it dropped where a text begins
  bool operator==(const Decoding&) const = default;
};

struct BpeDefinition {
  std::string source;               // the file, for messages
  std::vector<std::string> tokens;  // of the vocabulary, by id; empty: none has the id
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  std::vector<AddedToken> added;                            // in the vocabulary or beside it
  std::vector<int32_t> unused;  // ids whose tokens stand for nothing (GGUF)
  std::vector<NormalizeStep> normalizer;
  std::vector<SplitStep> steps;
  bool byte_level = true;
  bool byte_fallback = false;   // a character without a token becomes byte tokens
  std::string unknown;          // else this token; empty: it is dropped
  bool fuse_unknown = false;    // once for a run of such characters
  bool ignore_merges = false;   // a word that is a token is taken whole (Llama 3)
  Decoding decoding;            // where it is not byte-level
  std::optional<int32_t> bos;   // put in front of every text
  std::vector<int32_t> behind;  // put behind every text
  std::optional<int32_t> eos;
};

// Throws Error(format) naming the source: merges of what is no token, patterns that do not compile.
std::unique_ptr<Tokenizer> make_bpe(BpeDefinition definition);

// The regular expressions of the known pre-tokenizers: gpt2, smollm, llama-bpe, qwen2.
// Throws Error(format) for another name.
std::vector<SplitStep> pretokenizer_steps(const std::string& name, const std::string& source);

// A tokenizer.json with what lies beside it (tokenizer.h). Ids may leave holes, of a million ids at
// most. Throws Error(format) naming the file and the field for what is malformed, and for what is
// said there and not done here: models other than BPE, and normalizers, pre-tokenizers, decoders
// and post-processors other than these:
//   NFC NFD NFKC NFKD Lowercase Prepend Replace; ByteLevel Digits Split Metaspace;
//   ByteLevel Replace ByteFallback Fuse Strip Metaspace; ByteLevel TemplateProcessing with at most
//   one token in front of the text, BertProcessing, RobertaProcessing; Sequences of these.
BpeDefinition read_tokenizer_json(const std::string& path);

// The letter of a byte, in UTF-8 (GPT-2's table).
const std::vector<std::string>& byte_letters();

}  // namespace halftone
