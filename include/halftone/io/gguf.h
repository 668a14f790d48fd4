// GGUF files: metadata (gguf_metadata.h) and tensors. Behind the metadata comes for each tensor:
// string name, u32 dimensions, u64 each (fastest first), u32 type, u64 offset; then, at the next
// multiple of general.alignment (32 unless given), the data, each tensor padded to it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/io/gguf_metadata.h"
#include "halftone/io/gguf_quants.h"
#include "halftone/io/mapped_file.h"
#include "halftone/io/stored_tensors.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

struct GgufTensor {
  std::string name;
  std::string type_name;  // "Q4_K"; "type 77" for an id that is none of the format's
  const GgmlType* type;
  Shape shape;      // slowest first, as everywhere in Halftone: [out, in]
  uint64_t offset;  // in the file
  uint64_t bytes;   // of a type without a layout up to the next tensor or the end of the file
};

class GgufFile {
 public:
  // Throws Error(format) naming the file, the tensor, what was found and what was expected. Offsets
  // must follow each other without holes and the data must end with the file. Tensors may be of any
  // type: read() refuses those that it cannot read.
  static GgufFile open(const std::string& path);

  const std::string& path() const { return file_->path(); }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  const GgufMetadata& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in the file's order
  const GgufTensor* find(const std::string& name) const;               // nullptr: not there

  // F32, F16 and BF16 as stored, views of the map; quantised types as f32. Throws Error(format)
  // naming the tensor when its type is not supported.
  Tensor read(const GgufTensor& tensor) const;

  StoredTensors list() const;

 private:
  std::shared_ptr<const MappedFile> file_;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t> index_;
};

}  // namespace halftone
