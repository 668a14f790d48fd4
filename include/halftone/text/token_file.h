// .tok files: token ids, and the tokenizer that they belong to.
//
// Layout, little-endian:
//    0  "HTTOKENS"    8  version, u32        12  bytes of an id, u32 = 2 or 4
//   16  the tokenizer's hash, 64 characters  80  number of ids, u64
//   88  the ids, u16 or u32
// Version 2 ends with a seal (io/sealed_file.h), and is what is written; version 1 has none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/text/tokenizer.h"

namespace halftone {

// Durably (io/atomic_file.h). Ids take 2 bytes where the vocabulary fits. Throws Error(io);
// std::invalid_argument for an id outside the vocabulary.
void write_token_file(const std::string& path, const std::vector<int32_t>& tokens,
                      const Tokenizer& tokenizer);

// Throws Error(format) naming the file: not such a file, damaged, another length than it says,
// another tokenizer's, or an id outside the vocabulary.
std::vector<int32_t> read_token_file(const std::string& path, const Tokenizer& tokenizer);

}  // namespace halftone
