// .tok files: token ids, and the tokenizer that they belong to.
//
// Layout, little-endian: 8 bytes "HTTOKEN1", 64 characters tokenizer hash, u64 count, count x i32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/text/tokenizer.h"

namespace halftone {

void write_token_file(const std::string& path, const std::vector<int32_t>& tokens, const Tokenizer& tokenizer);

// Throws Error(format) naming the file: not such a file, another length than it says, another
// tokenizer's, or an id outside the vocabulary.
std::vector<int32_t> read_token_file(const std::string& path, const Tokenizer& tokenizer);

}  // namespace halftone
