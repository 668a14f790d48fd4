#include "safetensors_layout.h"

#include <algorithm>
#include <cstring>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "safetensors_header.h"

namespace halftone {
namespace {

constexpr uint64_t kMaxHeader = 16u << 20;

constexpr std::pair<std::string_view, uint64_t> kDtypeBits[] = {
    {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},
    {"F16", 16},    {"BF16", 16},       {"I32", 32},        {"U32", 32},    {"F32", 32},
    {"I64", 64},    {"U64", 64},        {"F64", 64},        {"C64", 64},    {"F4", 4},
    {"F6_E2M3", 6}, {"F6_E3M2", 6}};

// Throws where the shape and the dtype do not take the bytes that the offsets span.
void check_bytes(const SafetensorsLayout::Entry& entry, const std::string& where) {
  uint64_t count = 1;
  for (const int64_t dim : entry.shape)
    count = checked_mul(count, static_cast<uint64_t>(dim), where + ": shape");
  // Halftone counts in int64, of at most 8 bytes each.
  checked_narrow<int64_t>(checked_mul(count, 8, where + ": shape"), where + ": shape");
  const auto bits = safetensors_dtype_bits(entry.dtype);
  if (!bits) return;
  if (count % 8 * *bits % 8 != 0)
    throw_error(ErrorKind::format, "{}: {} {} ends within a byte", where, entry.dtype,
                shape_text(entry.shape));
  const uint64_t bytes = count / 8 * *bits + count % 8 * *bits / 8;
  if (entry.bytes != bytes)
    throw_error(ErrorKind::format, "{}: data_offsets span {} bytes, {} {} takes {}", where,
                entry.bytes, entry.dtype, shape_text(entry.shape), bytes);
}

// The entry whose numbers start at `expected_begin` of the data section.
SafetensorsLayout::Entry place_entry(const SafetensorsHeader::Entry& entry, const MappedFile& file,
                                     uint64_t data_start, uint64_t expected_begin) {
  const std::string where = fmt::format("{}: tensor '{}'", file.path(), printable(entry.name));
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin != expected_begin)
    throw_error(ErrorKind::format, "{}: data_offsets begin at {}, {} expected ({})", where, begin,
                expected_begin, begin < expected_begin ? "tensors overlap" : "a hole");
  if (end < begin)
    throw_error(ErrorKind::format, "{}: data_offsets [{}, {}] end before they begin", where, begin,
                end);
  SafetensorsLayout::Entry out{entry.name, entry.dtype, {}, data_start + begin, end - begin};
  for (const uint64_t dim : entry.shape)
    out.shape.push_back(checked_narrow<int64_t>(dim, where + ": shape"));
  check_bytes(out, where);
  const uint64_t data_bytes = file.size() - data_start;
  if (end > data_bytes)
    throw_error(ErrorKind::format, "{}: ends at byte {} of the data, the file holds {}", where, end,
                data_bytes);
  return out;
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

std::optional<uint64_t> safetensors_dtype_bits(std::string_view dtype) {
  for (const auto& [name, bits] : kDtypeBits)
    if (name == dtype) return bits;
  return {};
}

SafetensorsLayout read_safetensors_layout(const std::string& path) {
  SafetensorsLayout out{.file = MappedFile::open(path)};
  const uint64_t header_size = read_header_size(*out.file);
  const uint64_t data_start = sizeof header_size + header_size;
  const char* text = reinterpret_cast<const char*>(out.file->data()) + sizeof header_size;
  SafetensorsHeader header = parse_safetensors_header({text, header_size}, path);
  out.metadata = std::move(header.metadata);

  // Empty tensors share their begin with the next one, so end decides between equal begins.
  std::ranges::sort(header.entries, {}, [](const SafetensorsHeader::Entry& e) {
    return std::pair(e.offsets[0], e.offsets[1]);
  });
  uint64_t at = 0;
  for (const SafetensorsHeader::Entry& entry : header.entries) {
    out.entries.push_back(place_entry(entry, *out.file, data_start, at));
    at = entry.offsets[1];
  }
  if (at != out.file->size() - data_start)
    throw_error(ErrorKind::format, "{}: the tensors end at byte {} of the data, the file holds {}",
                path, at, out.file->size() - data_start);
  return out;
}

}  // namespace halftone
