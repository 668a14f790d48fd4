// Checkpoint files: named tensors and texts in a sealed HDF5 file (hdf5.h, sealed_file.h), with the
// groups /meta (texts), /model, /optimizer and /state (tensors). They are written durably
// (atomic_file.h): killed at any instant, the older file or the whole new one is there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

struct CheckpointContent {
  // "model/...", "optimizer/..." or "state/...". Copies of a map share the numbers.
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> meta;  // keys without '/', texts without a zero byte
};

// A meta entry; throws Error(checkpoint) where there is none.
const std::string& meta_text(const CheckpointContent& content, const std::string& key);
// A whole number >= 0 of the meta entries; throws Error(checkpoint).
int64_t meta_number(const CheckpointContent& content, const std::string& key);

// Before it takes the name `path`, the file is sealed, read back and compared with `content`, one
// tensor at a time. The bytes are a function of `content` alone. Throws Error(io).
void write_checkpoint_file(const std::string& path, const CheckpointContent& content);

// Throws Error(format), naming the file and what is wrong, for any file that is not bit for bit
// what was written. Memory: the tensors and one buffer.
CheckpointContent read_checkpoint_file(const std::string& path);

// The checkpoints of a run are files of one directory, named by step: step-00000400.h5.
std::string checkpoint_file(const std::string& directory, int64_t step);
std::vector<std::string> checkpoint_files(const std::string& directory);  // oldest first

struct FoundCheckpoint {
  std::string path;
  CheckpointContent content;
};

// The newest checkpoint of the directory that is whole; damaged ones are named in `damaged`, with
// what is wrong with them, and left alone.
std::optional<FoundCheckpoint> newest_checkpoint(const std::string& directory,
                                                 std::vector<std::string>& damaged);

// The digest of stored_tensors.h.
std::string tensors_digest(const std::map<std::string, Tensor>& tensors);

}  // namespace halftone
