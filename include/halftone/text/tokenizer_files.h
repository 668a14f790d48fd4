// A tokenizer as files that other programs read, and Halftone itself: what belongs to a model
// beside its weights.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "halftone/text/bpe.h"
#include "halftone/text/spm.h"

namespace halftone {

// File name (additional_chat_templates/tool.jinja has its folder's in front) to bytes of all that
// belongs to the tokenizer of the model at `path`:
// - of a Hugging Face folder, or a tokenizer.json or tokenizer.model in one, those of its files as
//   they are that say what a text's ids are, how a chat is written and where generation stops;
// - of a .gguf a tokenizer.json with the same ids, a tokenizer_config.json with its special tokens
//   and chat templates and a generation_config.json with its end tokens; nothing where its metadata
//   have no tokenizer.
// Throws Error(format) for files that cannot be read and metadata that are malformed.
std::map<std::string, std::string> tokenizer_files(const std::string& path);

// The ids at which generation stops: the eos_token_id of generation_config.json, else of
// config.json; of a .gguf its tokens eos, eot and eom; else the tokenizer's end token.
std::vector<int32_t> end_tokens(const std::string& path);

// A tokenizer.json with the same ids, in Halftone and in Hugging Face's tokenizers. Of tokens with
// one text the first is written. Throws Error(format) for a token that is not UTF-8.
std::string tokenizer_json(const BpeDefinition& definition);

// The same by ranks: every pair of tokens that makes a token is a merge, the highest score first.
// Where tokens of equal scores overlap, the leftmost is joined by scores, by ranks the one with the
// lower id, wherever it is; sentencepiece trains no two pieces with one score. Throws Error(format)
// also for a token of more than 1024 bytes.
std::string tokenizer_json(const SpmDefinition& definition);

struct TokenizerSettings {
  std::optional<std::string> bos, eos, pad, unk;      // texts of tokens
  std::map<std::string, std::string> chat_templates;  // by name; "default" is the chat_template
  bool add_bos = false, add_eos = false;
};

// A tokenizer_config.json with which transformers reads the tokenizer.json as it is.
std::string tokenizer_config_json(const TokenizerSettings& settings);

}  // namespace halftone
