// A seal: 64 bytes behind a file's content that tell whether every bit of it is as it was written.
// Readers of formats that ignore what follows their end, as HDF5 does, open a sealed file as it is,
// and one rename publishes content and seal together.
//
//   0  "HALFTONE"   8  version, u32 = 1   12  zero, u32   16  bytes of the content, u64
//   24 SHA-256 of the content, 32 bytes   56  zero, u64                  (little-endian)
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace halftone {

inline constexpr uint64_t kSealBytes = 64;

// Appends the seal of the file's present content. Throws Error(io).
void seal_file(const std::string& path);

// Durably (atomic_file.h): what write(temporary_path) leaves, with its seal. Before it takes the
// name `path` it is read back by check_seal, then by verify(temporary_path); Error(format) of
// these is Error(io) here: the write failed.
void write_sealed_file(const std::string& path,
                       const std::function<void(const std::string& temporary_path)>& write,
                       const std::function<void(const std::string& temporary_path)>& verify);

// The same for content that is at hand, which is what is read back.
void write_sealed_file(const std::string& path, std::string_view content);

struct SealedContent {
  uint64_t bytes = 0;
  std::string sha256;
};

// What the seal says of the content. Throws Error(format), naming what is wrong, unless `path` is a
// regular file of the sealed length. Reads the seal alone.
SealedContent read_seal(const std::string& path);

// The same, and throws where the content is another one than the sealed. Reads the whole file once.
SealedContent check_seal(const std::string& path);

}  // namespace halftone
