#include "halftone/io/gguf.h"

#include <algorithm>
#include <bit>

#include "byte_reader.h"
#include "halftone/base/checked.h"

namespace halftone {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as little-endian");

constexpr uint64_t kMaxName = 64;
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kMaxAlignment = 65536;

uint64_t read_alignment(const GgufMetadata& metadata) {
  const std::string key = "general.alignment";
  if (!metadata.has(key)) return 32;
  const auto fail = [&](const std::string& found) {
    throw_error(ErrorKind::format, "{}: {} is {}, expected a u32 power of two up to {}",
                metadata.path(), key, found, kMaxAlignment);
  };
  if (metadata.type_text(key) != "u32") fail("of type " + metadata.type_text(key));
  const uint64_t value = static_cast<uint64_t>(metadata.get_int(key));
  if (!std::has_single_bit(value) || value > kMaxAlignment) fail(std::to_string(value));
  return value;
}

// The dimensions of a tensor, slowest first, its type, and the bytes that they take.
void read_shape(ByteReader& in, GgufTensor& tensor, const std::string& where,
                const std::string& path) {
  const uint32_t dims = in.number<uint32_t>("a tensor's number of dimensions");
  if (dims < 1 || dims > kMaxDims)
    in.fail("{}: {} dimensions, 1 to {} expected", where, dims, kMaxDims);
  for (uint32_t i = 0; i < dims; ++i) {
    const uint64_t dim = in.number<uint64_t>("a tensor's dimension");
    if (dim < 1 || dim > static_cast<uint64_t>(INT64_MAX))
      in.fail("{}: dimension {} is {}, 1 to 2^63 - 1 expected", where, i, dim);
    tensor.shape.push_back(static_cast<int64_t>(dim));
  }
  std::ranges::reverse(tensor.shape);

  const uint32_t id = in.number<uint32_t>("a tensor's type");
  tensor.type = &ggml_type(id);
  tensor.type_name = tensor.type->id == id ? tensor.type->name : fmt::format("type {}", id);
  const std::string what = fmt::format("{}: {}", path, where);
  uint64_t count = 1;
  for (int64_t dim : tensor.shape) count = checked_mul(count, static_cast<uint64_t>(dim), what);
  // Halftone counts in int64, of at most 8 bytes each.
  checked_narrow<int64_t>(checked_mul(count, 8, what), what);
  if (tensor.type->block == 0) return;  // the offsets say how many
  const int64_t row = tensor.shape.back();
  if (row % tensor.type->block != 0)
    in.fail("{}: rows of {} numbers are no multiple of {}'s block of {}", where, row,
            tensor.type->name, tensor.type->block);
  tensor.bytes = checked_mul(count / static_cast<uint64_t>(tensor.type->block),
                             static_cast<uint64_t>(tensor.type->block_bytes), what);
}

// One entry; its offset is still that in the data section.
GgufTensor read_entry(ByteReader& in, const std::string& path) {
  GgufTensor tensor{};
  tensor.name = in.string("a tensor's name", kMaxName);
  const std::string where = fmt::format("tensor '{}'", printable(tensor.name));
  if (tensor.name.empty() || tensor.name.find('\0') != std::string::npos)
    in.fail("{}: the name is empty or holds a zero byte", where);
  read_shape(in, tensor, where, path);
  tensor.offset = in.number<uint64_t>("a tensor's offset");
  return tensor;
}

// Turns offsets in the data, which begins behind `header_end`, into offsets in the file, and gives
// tensors of a type without a layout the bytes up to the next one.
void place_tensors(std::vector<GgufTensor>& tensors, const MappedFile& file, uint64_t header_end,
                   uint64_t alignment) {
  const std::string& path = file.path();
  const uint64_t size = file.size();
  const uint64_t start = checked_align_up(header_end, alignment, "GGUF data offset");
  uint64_t at = start;
  for (size_t i = 0; i < tensors.size(); ++i) {
    GgufTensor& tensor = tensors[i];
    const std::string where = fmt::format("{}: tensor '{}'", path, printable(tensor.name));
    if (tensor.offset != at - start)
      throw_error(ErrorKind::format, "{}: offset {} in the data, {} expected", where, tensor.offset,
                  at - start);
    tensor.offset = at;
    if (tensor.type->block == 0) {
      const bool last = i + 1 == tensors.size();
      const uint64_t next = last ? size : checked_add(start, tensors[i + 1].offset, where);
      if (next < at || (!last && (next - start) % alignment != 0))
        throw_error(ErrorKind::format, "{}: begins at byte {}, what is behind it at byte {}", where,
                    at, next);
      tensor.bytes = next - at;
    }
    const uint64_t end = checked_add(at, tensor.bytes, where);
    if (end > size)
      throw_error(ErrorKind::format, "{}: {} {} ends at byte {}, the file has {}", where,
                  tensor.type_name, shape_text(tensor.shape), end, size);
    at = checked_align_up(end, alignment, where);
  }
  // The last tensor's padding may be missing: nothing is read from it.
  if (size > at)
    throw_error(ErrorKind::format, "{}: {} bytes follow the last tensor", path, size - at);
}

}  // namespace

GgufFile GgufFile::open(const std::string& path) {
  GgufFile out;
  out.file_ = MappedFile::open(path);
  out.metadata_ = GgufMetadata::read(out.file_);
  const uint64_t alignment = read_alignment(out.metadata_);
  ByteReader in(out.file_->bytes(), path, out.metadata_.end_offset());
  const uint64_t count = out.metadata_.tensor_count();
  for (uint64_t i = 0; i < count; ++i) {
    out.tensors_.push_back(read_entry(in, path));
    const std::string& name = out.tensors_.back().name;
    if (!out.index_.emplace(name, i).second) in.fail("tensor '{}' is given twice", printable(name));
  }

  place_tensors(out.tensors_, *out.file_, in.offset(), alignment);
  return out;
}

const GgufTensor* GgufFile::find(const std::string& name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

Tensor GgufFile::read(const GgufTensor& tensor) const {
  const GgmlType& type = *tensor.type;
  for (const auto& [name, dtype] :
       {std::pair{"F32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16}})
    if (std::string_view(type.name) == name)
      return mapped_tensor(file_, tensor.offset, tensor.shape, dtype);
  if (!type.dequantize)
    throw_error(ErrorKind::format, "{}: tensor '{}' is of type {}, which is not supported", path(),
                printable(tensor.name), tensor.type_name);
  Tensor out = Tensor::uninitialized(tensor.shape, DType::f32);
  dequantize(type, file_->data() + tensor.offset, out.data<float>(), out.numel());
  return out;
}

StoredTensors GgufFile::list() const {
  StoredTensors out{.file_bytes = file_->size(), .owners = {file_}};
  for (const GgufTensor& tensor : tensors_)
    out.tensors.push_back({tensor.name, tensor.type_name, tensor.shape,
                           file_->bytes().subspan(tensor.offset, tensor.bytes)});
  std::ranges::sort(out.tensors, {}, &StoredTensor::name);
  return out;
}

}  // namespace halftone
