// A tokenizer as the metadata of a GGUF: tokenizer.ggml.* and tokenizer.chat_template.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "halftone/io/gguf_writer.h"

namespace halftone {

struct GgufTokens {
  std::vector<GgufKey> keys;
  std::vector<std::string> notes;  // what the metadata do not say, in words
};

// What the model says of its tokens.
struct ModelTokens {
  int64_t rows = 0;  // of its embedding: llama.cpp wants a token for each
  std::optional<int64_t> bos, pad;
};

// Of the tokenizer of the model at `path` (load_tokenizer), with the special tokens, chat templates
// and end tokens that `files` (tokenizer_files) name. A GGUF with the keys gives the same ids to
// texts. Rows without a token are filled up with unused ones; one token behind the rows is left
// out. Throws Error(format) as load_tokenizer does, Error(recipe) for a tokenizer that llama.cpp
// does not have:
// - model gpt2: bytes as letters, one of the pre-tokenizers gpt-2, smollm, llama-bpe and qwen2 with
//   the normalizer that goes with it (NFC with qwen2, else none);
// - model llama: sentencepiece's BPE with all byte tokens. A tokenizer.json has merges in place of
//   scores: these are minus the ranks, where each token's merges are neighbours and complete.
GgufTokens gguf_tokens(const std::string& path, const std::map<std::string, std::string>& files,
                       const ModelTokens& model);

}  // namespace halftone
