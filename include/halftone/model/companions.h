// What a model is beside its weights: tokenizer, special tokens, chat templates and generation
// settings, as files in Hugging Face's spelling. Whatever carries a model carries them, so that it
// behaves as the model that it came from.
#pragma once

#include <map>
#include <memory>
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
// more ids than the model has rows.
std::unique_ptr<Tokenizer> load_model_tokenizer(const std::string& home, const ModelConfig& config);

}  // namespace halftone
