// Byte-level BPE (Sennrich et al., 2016; Radford et al., 2019): bytes are written in an alphabet of
// 256 letters, text is cut into words by regular expressions, and in each word the pair of the
// lowest rank is merged until none is left. O(n log n) in the length of a word. A byte whose letter
// is not in the vocabulary (SmolLM2 has none for some control bytes) is dropped, as Hugging Face's
// tokenizers do; with all 256, decode(encode(x)) == x.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "halftone/text/tokenizer.h"

namespace halftone {

struct BpeSpecial {
  int32_t id;
  std::string text;
  bool special;  // a control token, not an ordinary added word
};

struct BpeDefinition {
  std::string source;                                        // the file, for messages
  std::vector<std::string> tokens;                           // by id, in the byte alphabet
  std::vector<std::pair<std::string, std::string>> merges;   // in order of rank
  std::vector<BpeSpecial> added;
  std::vector<std::string> patterns;  // each cuts what the one before has left; the matches are words,
                                      // and so is what lies between them
  bool add_prefix_space = false;
  bool ignore_merges = false;         // a word that is a token is taken whole (Llama 3)
  std::optional<int32_t> bos;         // put in front of every text
  std::optional<int32_t> eos;
};

std::unique_ptr<Tokenizer> make_bpe(BpeDefinition definition);

// The regular expressions of the known pre-tokenizers: gpt2, smollm, llama-bpe, qwen2.
// Throws Error(format) for another name.
std::vector<std::string> pretokenizer_patterns(const std::string& name, const std::string& source);

BpeDefinition read_tokenizer_json(const std::string& path);
BpeDefinition read_gguf_bpe(const std::string& path);

// The letter of a byte, in UTF-8 (GPT-2's table), and back.
const std::vector<std::string>& byte_letters();

}  // namespace halftone
