#include "halftone/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "safetensors_header.h"

namespace halftone {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");

constexpr uint64_t kMaxHeader = 16u << 20;

std::optional<DType> dtype_named(std::string_view name) {
  for (DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8})
    if (name == dtype_name(dtype)) return dtype;
  return {};
}

// Dtypes of the format that no model read here holds.
constexpr std::array<std::string_view, 13> kOtherDtypes = {
    "BOOL", "I8",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "I16", "U16",
    "U32",  "U64", "F4",      "F6_E2M3", "F6_E3M2", "C64"};

using Entry = SafetensorsHeader::Entry;

DType read_dtype(const Entry& entry, const std::string& where) {
  if (const auto dtype = dtype_named(entry.dtype)) return *dtype;
  const bool known = std::ranges::find(kOtherDtypes, entry.dtype) != kOtherDtypes.end();
  throw_error(ErrorKind::format, "{}: dtype {} is {}, expected F32, F64, F16, BF16, I32, I64 or U8",
              where, printable(entry.dtype), known ? "not supported" : "unknown");
}

// The tensor of an entry whose numbers start at `expected_begin` of the data section.
Tensor read_entry(const Entry& entry, const std::shared_ptr<const MappedFile>& file,
                  uint64_t data_start, uint64_t expected_begin) {
  const std::string where = fmt::format("{}: tensor '{}'", file->path(), printable(entry.name));
  const DType dtype = read_dtype(entry, where);
  uint64_t count = 1;
  Shape shape;
  for (uint64_t dim : entry.shape) {
    shape.push_back(checked_narrow<int64_t>(dim, where + ": shape"));
    count = checked_mul(count, dim, where + ": shape");
  }
  const uint64_t bytes = checked_mul(count, dtype_bytes(dtype), where + ": shape");
  checked_narrow<int64_t>(bytes, where + ": shape");
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin != expected_begin)
    throw_error(ErrorKind::format, "{}: data_offsets begin at {}, {} expected ({})", where, begin,
                expected_begin, begin < expected_begin ? "tensors overlap" : "a hole");
  if (end < begin)
    throw_error(ErrorKind::format, "{}: data_offsets [{}, {}] end before they begin", where, begin,
                end);
  if (end - begin != bytes)
    throw_error(ErrorKind::format, "{}: data_offsets span {} bytes, {} {} takes {}", where,
                end - begin, entry.dtype, shape_text(shape), bytes);
  const uint64_t data_bytes = file->size() - data_start;
  if (end > data_bytes)
    throw_error(ErrorKind::format, "{}: ends at byte {} of the data, the file holds {}", where, end,
                data_bytes);
  return mapped_tensor(file, data_start + begin, std::move(shape), dtype);
}

uint64_t read_header_size(const MappedFile& file) {
  uint64_t size;
  if (file.size() < sizeof size)
    throw_error(ErrorKind::format, "{}: {} bytes, a safetensors file has at least 8", file.path(),
                file.size());
  std::memcpy(&size, file.data(), sizeof size);
  if (size > kMaxHeader)
    throw_error(ErrorKind::format, "{}: a header of {} bytes, at most {} expected", file.path(),
                size, kMaxHeader);
  if (size > file.size() - sizeof size)
    throw_error(ErrorKind::format,
                "{}: a header of {} bytes, the file ends {} bytes after its size", file.path(),
                size, file.size() - sizeof size);
  return size;
}

}  // namespace

Safetensors read_safetensors(const std::string& path) {
  const auto file = MappedFile::open(path);
  const uint64_t header_size = read_header_size(*file);
  const char* text = reinterpret_cast<const char*>(file->data()) + sizeof header_size;
  SafetensorsHeader header = parse_safetensors_header({text, header_size}, path);

  // Empty tensors share their begin with the next one, so end decides between equal begins.
  std::ranges::sort(header.entries, {},
                    [](const Entry& e) { return std::pair(e.offsets[0], e.offsets[1]); });
  Safetensors out;
  out.metadata = std::move(header.metadata);
  out.files = {file};
  const uint64_t data_start = sizeof header_size + header_size;
  uint64_t at = 0;
  for (const Entry& entry : header.entries) {
    out.tensors.emplace(entry.name, read_entry(entry, file, data_start, at));
    at = entry.offsets[1];
  }
  if (at != file->size() - data_start)
    throw_error(ErrorKind::format, "{}: the tensors end at byte {} of the data, the file holds {}",
                path, at, file->size() - data_start);
  return out;
}

}  // namespace halftone
