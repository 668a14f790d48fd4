#include "halftone/io/safetensors.h"

#include <algorithm>
#include <bit>

#include "halftone/base/error.h"
#include "safetensors_layout.h"

namespace halftone {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");

DType read_dtype(const SafetensorsLayout::Entry& entry, const std::string& path) {
  for (DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8})
    if (entry.dtype == dtype_name(dtype)) return dtype;
  if (entry.dtype == kInt8) return DType::u8;
  throw_error(ErrorKind::format,
              "{}: tensor '{}': dtype {} is {}, expected F32, F64, F16, BF16, I32, I64, U8 or I8",
              path, printable(entry.name), printable(entry.dtype),
              safetensors_dtype_bits(entry.dtype) ? "not supported" : "unknown");
}

Safetensors tensors_of(std::vector<SafetensorsLayout> layouts) {
  Safetensors out;
  for (SafetensorsLayout& layout : layouts) {
    for (SafetensorsLayout::Entry& entry : layout.entries) {
      const DType dtype = read_dtype(entry, layout.file->path());
      if (entry.dtype == kInt8) out.int8.insert(entry.name);
      out.tensors.emplace(entry.name,
                          mapped_tensor(layout.file, entry.offset, std::move(entry.shape), dtype));
    }
    out.metadata.merge(layout.metadata);
    out.files.push_back(layout.file);
  }
  return out;
}

StoredTensors listing_of(std::vector<SafetensorsLayout> layouts) {
  StoredTensors out;
  for (SafetensorsLayout& layout : layouts) {
    for (SafetensorsLayout::Entry& entry : layout.entries)
      out.tensors.push_back({std::move(entry.name), std::move(entry.dtype), std::move(entry.shape),
                             layout.file->bytes().subspan(entry.offset, entry.bytes)});
    out.file_bytes += layout.file->size();
    out.owners.push_back(layout.file);
  }
  std::ranges::sort(out.tensors, {}, &StoredTensor::name);
  return out;
}

std::vector<SafetensorsLayout> single(const std::string& path) {
  std::vector<SafetensorsLayout> out;
  out.push_back(read_safetensors_layout(path));
  return out;
}

}  // namespace

Safetensors read_safetensors(const std::string& path) {
  return tensors_of(single(path));
}

Safetensors read_sharded_safetensors(const std::string& index_path) {
  return tensors_of(read_sharded_layouts(index_path));
}

StoredTensors list_safetensors(const std::string& path) {
  return listing_of(single(path));
}

StoredTensors list_sharded_safetensors(const std::string& index_path) {
  return listing_of(read_sharded_layouts(index_path));
}

}  // namespace halftone
