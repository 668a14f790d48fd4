// safetensors files: a JSON header and raw little-endian numbers, mapped and never copied.
//
// The reader is as strict as the format's own reference and stricter where that leaves room:
// a header of at most 16 MiB, at most 16 dimensions, names of at most 1024 bytes without a zero
// byte, nothing but spaces after the header's object. The data section holds each byte of the file
// exactly once: no holes, no overlaps, nothing behind the last tensor. All that is wrong with a
// file is Error(format) naming the file, the tensor, what was found and what was expected.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "halftone/io/mapped_file.h"
#include "halftone/io/stored_tensors.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

struct Safetensors {
  std::map<std::string, Tensor> tensors;  // views of the files' maps; dtype and shape as stored
  std::map<std::string, std::string> metadata;
  std::set<std::string> int8;  // of the tensors of U8, those of I8: bytes in two's complement
  std::vector<std::shared_ptr<const MappedFile>> files;  // one, or the shards in order of name
};

// One file. Dtypes F32, F64, F16, BF16, I32, I64, U8, I8; the format's others are refused by name.
Safetensors read_safetensors(const std::string& path);

// model.safetensors.index.json and the shards beside it. Shard names are plain file names; each
// tensor is in exactly the shard that the index names, and total_size, when given, is the sum.
Safetensors read_sharded_safetensors(const std::string& index_path);

// The same files by their headers alone: tensors of any dtype, also of one that the format does not
// have yet.
StoredTensors list_safetensors(const std::string& path);
StoredTensors list_sharded_safetensors(const std::string& index_path);

// Writes one file durably. The bytes are a function of the arguments alone and those of the
// reference implementation: tensors by descending dtype, then name; header padded to 8 bytes. The
// tensors of U8 that `int8` names are written as I8. Throws Error(io); std::invalid_argument for a
// name or text that is not UTF-8.
void write_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       const std::set<std::string>& int8 = {});

}  // namespace halftone
