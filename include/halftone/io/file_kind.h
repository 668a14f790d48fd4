// What a file is, by its first bytes: names and suffixes are the user's.
#pragma once

#include <filesystem>
#include <string>

namespace halftone {

enum class FileKind {
  directory,
  gguf,
  safetensors,
  hdf5,
  gzip,
  tokens,  // text/token_file.h
  packed,  // packed_file.h: its files are found as those of a directory are
  pickle,  // PyTorch's, in a zip file or bare: it can run code and is read nowhere
  other,
};

// Throws Error(format) naming the path, as RegularFile does, for what can be neither entered nor
// read.
FileKind file_kind(const std::string& path);

// Whether there is anything at `path`. Throws Error(io) where the disk or the system gives no
// answer.
bool exists_at(const std::string& path);

// What is at `path`; not_found where nothing is, or nothing that this user may look at. Throws
// Error(io) where the disk or the system gives no answer: that is no file missing.
std::filesystem::file_status status_at(const std::string& path);

const char* file_kind_name(FileKind kind);  // "a GGUF file", for messages

}  // namespace halftone
