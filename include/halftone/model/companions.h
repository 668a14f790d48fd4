// What a model is beside its weights: tokenizer, special tokens, chat templates and generation
// settings, as files in Hugging Face's spelling. Whatever carries a model carries them, so that it
// behaves as the model that it came from.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "halftone/model/config.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

struct Companions {
  std::map<std::string, std::string> files;  // by file name: the bytes
};

// Of the model whose home is `home` (load.h): the files of text/tokenizer_files.h, and where no
// generation_config.json is among them, one made of the configuration's token ids.
Companions read_companions(const std::string& home, const ModelConfig& config);

// Durably, each file. Without `replace`, files that are there are left as they are. Throws
// Error(io).
void write_companions(const Companions& companions, const std::string& directory, bool replace);

// The tokenizer of the same model. Throws Error(format) as load_tokenizer does, and for one with
// more ids than the model has rows. One control token may lie behind them: that is how a padding
// token is named for a model that was made without one, and no text has it.
std::unique_ptr<Tokenizer> load_model_tokenizer(const std::string& home, const ModelConfig& config);

// Throws Error(format), naming `what`, where an id has no row in the model's embedding.
void require_rows(std::span<const int32_t> ids, const ModelConfig& config, const std::string& what);

}  // namespace halftone
