// What a file is, by its first bytes: names and suffixes are the user's.
#pragma once

#include <string>

namespace halftone {

enum class FileKind {
  directory,
  gguf,
  safetensors,
  hdf5,
  gzip,
  tokens,  // text/token_file.h
  pickle,  // PyTorch's, in a zip file or bare: it can run code and is read nowhere
  other,
};

// Throws Error(format) naming the path, as RegularFile does, for what can be neither entered nor
// read.
FileKind file_kind(const std::string& path);

const char* file_kind_name(FileKind kind);  // "a GGUF file", for messages

}  // namespace halftone
