// Checkpoints: sealed HDF5 files with the groups /meta (texts), /model, /optimizer and /state.
#pragma once

#include <map>
#include <string>

#include "halftone/tensor/tensor.h"

namespace halftone {

struct CheckpointContent {
  // By name in the file: model/<parameter>, optimizer/m/<parameter>, state/... Names of parameters
  // hold dots, never slashes.
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> meta;  // no slashes in the keys
};

// Durable: `path` is the old file or the whole new one at any instant, and the seal is verified
// before the new one takes its place. The same content gives the same bytes. No copy of the tensors
// is made. Throws Error(io), std::invalid_argument for names that do not fit the groups.
void write_checkpoint_file(const std::string& path, const CheckpointContent& content);

// Throws Error(format) naming the file and what is wrong; any damage is found before HDF5 sees the
// file. Memory: the tensors, once.
CheckpointContent read_checkpoint_file(const std::string& path);

// SHA-256 over name, dtype, shape and numbers of each tensor, in the order of names.
std::string tensors_digest(const std::map<std::string, Tensor>& tensors);

}  // namespace halftone
