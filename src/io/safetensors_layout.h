// Where the tensors of a safetensors file lie, checked against the file; their numbers are unread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/io/mapped_file.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// The dtype that has no DType: its bytes are a tensor of U8.
inline constexpr const char* kInt8 = "I8";

struct SafetensorsLayout {
  struct Entry {
    std::string name, dtype;
    Shape shape;
    uint64_t offset, bytes;  // in the file
  };
  std::shared_ptr<const MappedFile> file;
  std::vector<Entry> entries;  // in the order of the data
  std::map<std::string, std::string> metadata;
};

// Bits of a number of a dtype of the format; nothing for a name that is none.
std::optional<uint64_t> safetensors_dtype_bits(std::string_view dtype);

// Throws Error(format) as safetensors.h says, but for the dtypes: any is let pass, and the size of
// an unknown one is what its offsets span.
SafetensorsLayout read_safetensors_layout(const std::string& path);

// One layout a shard, in the order of their names.
std::vector<SafetensorsLayout> read_sharded_layouts(const std::string& index_path);

}  // namespace halftone
