// A tokenizer as bytes that are used where they lie: starting one reads its settings alone,
// whatever the size of its vocabulary. docs/formats.md has them to the byte.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "halftone/text/tokenizer.h"

namespace halftone {

// Of the tokenizer of `path` (load_tokenizer) where it is of BPE by ranks, as a tokenizer.json, a
// vocab.json with its merges.txt and a GGUF of the model gpt2 have it; nothing for others, also
// those that load_tokenizer refuses.
std::string ready_tokenizer(const std::string& path);

// The same ids and texts as the tokenizer that `bytes` are of. They begin at a multiple of 4, and
// `owner` keeps them. Throws Error(format), naming `source`, for what is not as ready_tokenizer()
// writes it; of the arrays, where the tokenizer comes upon it.
std::unique_ptr<Tokenizer> load_ready_tokenizer(std::shared_ptr<const void> owner,
                                                std::string_view bytes, const std::string& source);

}  // namespace halftone
