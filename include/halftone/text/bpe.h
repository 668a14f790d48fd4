// Byte-level BPE (Sennrich et al., 2016; Radford et al., 2019): bytes are written in an alphabet of
// 256 letters, text is cut into words by regular expressions, and in each word the pair of the
// lowest rank is merged until none is left. O(n log n) in the length of a word.
//
// A byte whose letter is not in the vocabulary (SmolLM2 has none for some control bytes) is
// dropped, as Hugging Face's tokenizers do. With all 256, decode(encode(x)) == x for any bytes x,
// but where the definition itself changes the text: nfc, prefix_space, lstrip, rstrip.
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
  bool single_word = false;  // only between characters that are no letters, digits or '_'
  bool normalized = false;   // looked for after the normalizer
};

// Cuts each piece of text further: into the matches of `pattern` and what lies between them.
struct SplitStep {
  std::string pattern;        // empty: the piece stays whole
  bool prefix_space = false;  // a space is put before a piece that has none
  bool operator==(const SplitStep&) const = default;
};

struct BpeDefinition {
  std::string source;                                       // the file, for messages
  std::vector<std::string> tokens;                          // by id, in the byte alphabet
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  std::vector<AddedToken> added;
  std::vector<SplitStep> steps;
  bool nfc = false;            // text is brought to Unicode's normal form C first
  bool ignore_merges = false;  // a word that is a token is taken whole (Llama 3)
  std::optional<int32_t> bos;  // put in front of every text
  std::optional<int32_t> eos;
};

std::unique_ptr<Tokenizer> make_bpe(BpeDefinition definition);

// The regular expressions of the known pre-tokenizers: gpt2, smollm, llama-bpe, qwen2.
// Throws Error(format) for another name.
std::vector<SplitStep> pretokenizer_steps(const std::string& name, const std::string& source);

BpeDefinition read_tokenizer_json(const std::string& path);

// The letter of a byte, in UTF-8 (GPT-2's table).
const std::vector<std::string>& byte_letters();

}  // namespace halftone
