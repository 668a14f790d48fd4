// The files that a tokenizer comes in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "halftone/io/gguf_metadata.h"
#include "halftone/text/bpe.h"
#include "halftone/text/spm.h"
#include "halftone/text/tokenizer.h"
#include "json_field.h"
#include "named_tokens.h"

namespace halftone {

// An id of more than the number of tokens and this is taken for a mistake.
inline constexpr int64_t kMostHoles = int64_t{1} << 20;
inline constexpr int64_t kMostId = (int64_t{1} << 24) - 1;

// tokenizer.ggml.* of a GGUF file: model gpt2 or llama.
using GgufTokenizer = std::variant<BpeDefinition, SpmDefinition>;
GgufTokenizer read_gguf_tokenizer(const GgufMetadata& metadata);
// The same of anything that load_tokenizer takes.
GgufTokenizer read_tokenizer(const std::string& path);
// Where that is BPE by ranks.
std::optional<BpeDefinition> read_bpe(const std::string& path);

// What lies beside a Hugging Face tokenizer and says which of its tokens are used, and how.
struct FolderSettings {
  std::vector<NamedToken> added;  // in the order in which they are added
  // The end token, by text or by id, of the first of tokenizer_config.json,
  // special_tokens_map.json, generation_config.json and config.json that names one.
  std::optional<std::string> eos_text;
  std::optional<int64_t> eos_id;  // of a list the first
  std::string eos_where;          // file and field
  bool has_config = false;        // there is a tokenizer_config.json; what follows is from it
  std::optional<std::string> bos_text;
  std::optional<bool> add_bos;
  bool add_eos = false;
  bool add_prefix_space = false;
  bool is_llama = false;  // tokenizer_class LlamaTokenizer
  std::optional<bool> legacy;
};

FolderSettings read_folder_settings(const std::string& folder);

// The folder of a file.
std::string folder_of(const std::string& path);

// An entry of added_tokens or of added_tokens_decoder, without its id.
AddedToken read_added_token(const JsonField& field);

// The id that `settings` name, else that of "<|endoftext|>", "<|end_of_text|>" or "</s>". Throws
// Error(format), naming both files, where `settings` name an id beyond the tokens of `file`.
std::optional<int32_t> choose_eos(const FolderSettings& settings, const TokenTable& tokens,
                                  const std::string& file);

// vocab.json with the merges.txt beside it: byte-level, cut as GPT-2 does.
BpeDefinition read_vocab_json(const std::string& path);

// Whether a tokenizer.json is of the kind Unigram, which is not read.
bool is_unigram_json(const std::string& path);

// tokenizer.model, through the sentencepiece library.
std::unique_ptr<Tokenizer> load_sentencepiece_model(const std::string& path,
                                                    const FolderSettings& settings);
// The same as lists. Throws Error(recipe) for a model that is not of BPE, or that changes the text
// before it is cut.
SpmDefinition read_sentencepiece_model(const std::string& path, const FolderSettings& settings);

}  // namespace halftone
