// A seal: 64 bytes behind a file's content that hold its length and SHA-256, so that one rename
// publishes both, and damage is found before a parser sees the content.
//
//   0  magic "\x89HTSEAL\n"     8 bytes
//   8  version, 1               u32, little end first
//  12  zero                     u32
//  16  bytes of the content     u64
//  24  SHA-256 of the content   32 bytes
//  56  zero                     8 bytes
#pragma once

#include <cstdint>
#include <string>

namespace halftone {

inline constexpr uint64_t kSealBytes = 64;

// Appends the seal. Throws Error(io).
void seal_file(const std::string& path);

// Bytes of the content. Throws Error(format) when the file is no regular file or unreadable, has no
// seal, or differs in any bit from what was sealed.
uint64_t verify_seal(const std::string& path);

}  // namespace halftone
