// The files that a tokenizer comes in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/text/bpe.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// tokenizer.ggml.* of a GGUF file: model gpt2 or llama.
std::unique_ptr<Tokenizer> load_gguf_tokenizer(const std::string& path);

// What lies beside a Hugging Face tokenizer and says which of its tokens are used, and how.
struct FolderSettings {
  std::optional<std::string> eos_text;  // tokenizer_config.json
  std::optional<int64_t> eos_id;        // config.json; a list's first
  std::optional<bool> add_bos;          // tokenizer_config.json
  std::vector<AddedToken> added;        // tokenizer_config.json, added_tokens_decoder
};

FolderSettings read_folder_settings(const std::string& folder);

// The id that `settings` name, else that of "<|endoftext|>", "<|end_of_text|>" or "</s>". Throws
// Error(format), naming `file`, where `settings` name what is no token.
std::optional<int32_t> choose_eos(const FolderSettings& settings,
                                  const std::vector<std::string>& tokens, const std::string& file);

// tokenizer.json whose model is of the sentencepiece kind: tokenizer.model beside it is read
// instead.
bool is_sentencepiece_json(const std::string& path);

// tokenizer.model, through the sentencepiece library.
std::unique_ptr<Tokenizer> load_sentencepiece_model(const std::string& path,
                                                    const FolderSettings& settings);

}  // namespace halftone
