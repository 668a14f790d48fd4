// The packed file: two lists as JSON, then what they say where it lies.
#include "halftone/io/packed_file.h"

#include <fcntl.h>

#include <cstring>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>

#include "byte_reader.h"
#include "descriptor.h"
#include "halftone/base/checked.h"
#include "halftone/base/sha256.h"
#include "halftone/io/sealed_file.h"
#include "halftone/io/strict_json.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMagic = "HTPACKED";
constexpr uint32_t kVersion = 2;  // of version 1 are files without a digest and a tokenizer
constexpr uint64_t kHead = 32, kDigest = 64, kAlignment = 64, kMostList = uint64_t{1} << 26;
constexpr DType kDTypes[] = {DType::f32, DType::f16, DType::bf16, DType::i32,
                             DType::i64, DType::u8,  DType::q8_0};

uint64_t aligned(uint64_t offset) {
  return checked_align_up(offset, kAlignment, "packed file");
}

// Appends a number of so many bytes, lowest first.
void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i);
}

// Offsets depend on the length of the lists, and the lists' length on the offsets: counted from
// the start of the data.
struct Lists {
  Json directory = Json::object(), tensors = Json::object();
};

Lists make_lists(const PackedContent& content) {
  Lists out;
  uint64_t at = 0;
  out.directory["meta"] = content.meta;
  out.directory["files"] = Json::object();
  for (const auto& [name, bytes] : content.files) {
    out.directory["files"][name] = {at, bytes.size()};
    at = aligned(at + bytes.size());
  }
  if (!content.tokenizer.empty()) {
    out.directory["tokenizer"] = {at, content.tokenizer.size()};
    at = aligned(at + content.tokenizer.size());
  }
  for (const auto& [name, tensor] : content.tensors) {
    out.tensors[name] = {dtype_name(tensor.dtype()), tensor.shape(), at};
    at = aligned(at + tensor.bytes());
  }
  return out;
}

std::string lists_digest(std::string_view head, std::string_view directory,
                         std::string_view tensors) {
  Sha256 digest;
  for (const std::string_view part : {head, directory, tensors}) digest.update(part);
  return digest.hex();
}

void write_content(const std::string& temporary, const PackedContent& content,
                   const std::string& path) {
  const Lists lists = make_lists(content);
  const std::string directory = lists.directory.dump(), tensors = lists.tensors.dump();
  std::string head(kMagic);
  put(head, kVersion, 4);
  put(head, 0, 4);
  put(head, directory.size(), 8);
  put(head, tensors.size(), 8);
  head += lists_digest(head, directory, tensors) + directory + tensors;
  Descriptor out(temporary, O_WRONLY | O_TRUNC, path, "open");
  uint64_t at = 0;
  const auto write = [&](const void* data, uint64_t bytes) {
    const std::string zeros(aligned(at) - at, '\0');
    out.write(zeros.data(), zeros.size());
    out.write(data, bytes);
    at = aligned(at) + bytes;
  };
  write(head.data(), head.size());
  for (const auto& [name, bytes] : content.files) write(bytes.data(), bytes.size());
  if (!content.tokenizer.empty()) write(content.tokenizer.data(), content.tokenizer.size());
  for (const auto& [name, tensor] : content.tensors) write(tensor.raw(), tensor.bytes());
  out.close();
}

// The numbers of [..] in a list; throws Error(format) for anything else.
uint64_t whole(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned())
    throw_error(ErrorKind::format, "{}: found {}, a whole number expected", where, value.dump());
  return value.get<uint64_t>();
}

const Json& entry(const Json& list, size_t items, const std::string& where) {
  if (!list.is_array() || list.size() != items)
    throw_error(ErrorKind::format, "{}: found {}, a list of {} expected", where,
                printable(list.dump()), items);
  return list;
}

DType dtype_of_name(const Json& name, const std::string& where) {
  for (const DType dtype : kDTypes)
    if (name.is_string() && name.get<std::string>() == dtype_name(dtype)) return dtype;
  throw_error(ErrorKind::format, "{}: dtype {} is not known", where, printable(name.dump()));
}

const Json& object(const Json& value, const std::string& where) {
  if (!value.is_object()) throw_error(ErrorKind::format, "{}: no JSON object", where);
  return value;
}

// The place of `bytes` bytes at `offset` of the data, which must lie inside the file.
uint64_t place(uint64_t data, uint64_t offset, uint64_t bytes, uint64_t size,
               const std::string& where) {
  const uint64_t room = size - data;
  if (offset % kAlignment != 0 || offset > room || bytes > room - offset)
    throw_error(ErrorKind::format,
                "{}: {} bytes at {} of {}, inside the file and at a multiple of {} expected", where,
                bytes, offset, room, kAlignment);
  return data + offset;
}

}  // namespace

void write_packed_file(const std::string& path, const PackedContent& content,
                       const WrittenCheck& verify) {
  write_sealed_file(
      path, [&](const std::string& temporary) { write_content(temporary, content, path); },
      [&](const std::string& temporary) {
        if (verify) verify(temporary);
      });
}

PackedFile PackedFile::open(const std::string& path) {
  static std::mutex mutex;
  static std::weak_ptr<const Held> last;
  const std::lock_guard lock(mutex);
  auto held = last.lock();
  if (!held || held->map->path() != path || !held->map->is_at(path)) {
    held = std::make_shared<const Held>(path);
    last = held;
  }
  return PackedFile(std::move(held));
}

PackedFile::Held::Held(const std::string& path) : map(MappedFile::open(path)) {
  read_directory();
}

// The text of the directory, behind which the list of tensors and the data begin.
std::string_view PackedFile::Held::read_head() {
  const std::string& path = map->path();
  if (map->size() < kSealBytes)
    throw_error(ErrorKind::format, "{}: {} bytes are no packed model", path, map->size());
  ByteReader in(map->bytes().first(map->size() - kSealBytes), path);
  in.need(kHead, "the head");
  const auto text = [&](uint64_t bytes) {
    const std::string_view out(reinterpret_cast<const char*>(map->data()) + in.offset(), bytes);
    in.skip(bytes, "a list");
    return out;
  };
  const std::string_view head(reinterpret_cast<const char*>(map->data()), kHead);
  if (text(kMagic.size()) != kMagic) in.fail("no packed model");
  const auto version = in.number<uint32_t>("version");
  if (version == 0 || version > kVersion)
    in.fail("version {}, at most {} expected: a later Halftone reads it", version, kVersion);
  if (in.number<uint32_t>("zero") != 0) in.fail("zero expected");
  const auto directory_bytes = in.number<uint64_t>("bytes of the directory"),
             list_bytes = in.number<uint64_t>("bytes of the tensors' list");
  if (directory_bytes > kMostList || list_bytes > kMostList)
    in.fail("lists of {} and {} bytes, at most {} expected", directory_bytes, list_bytes,
            kMostList);
  const std::string_view digest = text(version > 1 ? kDigest : 0);
  in.need(directory_bytes + list_bytes, "the lists");
  const std::string_view directory_text = text(directory_bytes);
  list = text(list_bytes);
  if (version > 1 && digest != lists_digest(head, directory_text, list))
    throw_error(ErrorKind::format,
                "{}: damaged: the SHA-256 of its lists is not the one in its head", path);
  data = std::min(aligned(in.offset()), map->size() - kSealBytes);
  return directory_text;
}

void PackedFile::Held::read_directory() {
  const std::string where = map->path() + ": directory";
  const Json directory = object(parse_strict_json(read_head(), where), where);
  for (const char* key : {"meta", "files"})
    if (!directory.contains(key)) throw_error(ErrorKind::format, "{}: no '{}'", where, key);
  for (const auto& [name, value] : object(directory.at("meta"), where).items()) {
    if (!value.is_string())
      throw_error(ErrorKind::format, "{}: meta '{}' is no text", where, printable(name));
    meta[name] = value.get<std::string>();
  }
  const auto member = [&](const Json& value, const std::string& of) {
    const uint64_t bytes = whole(entry(value, 2, of)[1], of),
                   at = place(data, whole(value[0], of), bytes, map->size() - kSealBytes, of);
    return std::string_view(reinterpret_cast<const char*>(map->data()) + at, bytes);
  };
  for (const auto& [name, value] : object(directory.at("files"), where).items())
    files[name] = member(value, fmt::format("{}: file '{}'", where, printable(name)));
  if (directory.contains("tokenizer"))
    tokenizer = member(directory.at("tokenizer"), where + ": tokenizer");
}

std::map<std::string, Tensor> PackedFile::tensors() const {
  const std::shared_ptr<const MappedFile> file = map();
  const std::string where = file->path() + ": list of tensors";
  const uint64_t size = file->size() - kSealBytes;
  const Json list = parse_strict_json(held_->list, where);
  std::map<std::string, Tensor> out;
  for (const auto& [name, value] : object(list, where).items()) {
    const std::string of = fmt::format("{}: tensor '{}'", file->path(), printable(name));
    const DType dtype = dtype_of_name(entry(value, 3, of)[0], of);
    if (!value[1].is_array())
      throw_error(ErrorKind::format, "{}: found shape {}, a list expected", of,
                  printable(value[1].dump()));
    if (value[1].size() > Shape::kMostRank)
      throw_error(ErrorKind::format, "{}: {} dimensions, expected at most {}", of, value[1].size(),
                  Shape::kMostRank);
    Shape shape;
    int64_t numbers = 1;
    for (const Json& dim : value[1]) {
      const uint64_t n = whole(dim, of);
      if (n > uint64_t{1} << 40 ||
          __builtin_mul_overflow(numbers, static_cast<int64_t>(n), &numbers))
        throw_error(ErrorKind::format, "{}: shape {} is too large", of, value[1].dump());
      shape.push_back(static_cast<int64_t>(n));
    }
    if (numbers > int64_t{1} << 50 ||
        (dtype == DType::q8_0 && (shape.empty() || shape.back() % q8_0_t::kNumbers != 0)))
      throw_error(ErrorKind::format, "{}: shape {} does not fit its dtype {}", of,
                  shape_text(shape), dtype_name(dtype));
    const uint64_t at =
        place(held_->data, whole(value[2], of), storage_bytes(dtype, numbers), size, of);
    out[name] = mapped_tensor(file, at, std::move(shape), dtype);
  }
  return out;
}

StoredTensors PackedFile::list() const {
  StoredTensors out = stored_tensors(tensors());
  out.file_bytes = held_->map->size();
  return out;
}

std::optional<std::string> packed_member(const std::string& path) {
  namespace fs = std::filesystem;
  for (fs::path outer = fs::path(path).parent_path();
       !outer.empty() && outer != outer.parent_path(); outer = outer.parent_path()) {
    std::error_code ignored;
    const fs::file_status found = fs::status(outer, ignored);
    if (fs::is_directory(found)) return {};
    if (!fs::is_regular_file(found)) continue;
    if (RegularFile(outer.string()).start(kMagic.size()) != kMagic) return {};
    const PackedFile file = PackedFile::open(outer.string());
    const auto member = file.held_->files.find(fs::path(path).lexically_relative(outer).string());
    if (member == file.held_->files.end()) return {};
    return std::string(member->second);
  }
  return {};
}

}  // namespace halftone
