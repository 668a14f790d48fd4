#include "halftone/io/gguf_metadata.h"

#include <limits>

#include "byte_reader.h"
#include "halftone/base/checked.h"
#include "halftone/io/mapped_file.h"

namespace halftone {
namespace {

constexpr uint64_t kMaxKey = 65535;
constexpr uint64_t kMaxValueString = 1ull << 30;
// The least that a key (length, type, one byte) and a tensor's entry take.
constexpr uint64_t kLeastKeyBytes = 8 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8;

// Bytes of a scalar; 0 for strings and arrays.
uint64_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

GgufType read_type(ByteReader& in, const std::string& key) {
  const uint32_t type = in.number<uint32_t>("a value's type");
  if (type > static_cast<uint32_t>(GgufType::f64))
    in.fail("key '{}': value type {} is unknown, 0 to 12 expected", printable(key), type);
  return static_cast<GgufType>(type);
}

void check_bool(ByteReader& in, const std::string& key) {
  if (const uint8_t value = in.number<uint8_t>("a bool"); value > 1)
    in.fail("key '{}': a bool is {}, 0 or 1 expected", printable(key), value);
}

// Passes `count` values of a type, checking each.
void skip_values(ByteReader& in, const std::string& key, GgufType type, uint64_t count) {
  if (type == GgufType::string) {
    if (count > in.remaining() / 8)
      in.fail("key '{}': {} strings cannot be in the {} bytes left", printable(key), count,
              in.remaining());
    for (uint64_t i = 0; i < count; ++i) in.string("a string value", kMaxValueString);
  } else if (type == GgufType::boolean) {
    in.need(count, "an array of bools");
    for (uint64_t i = 0; i < count; ++i) check_bool(in, key);
  } else {
    if (count > in.remaining() / scalar_bytes(type))
      in.fail("key '{}': {} values of type {} cannot be in the {} bytes left", printable(key),
              count, gguf_type_name(type), in.remaining());
    in.skip(count * scalar_bytes(type), "a value");
  }
}

template <class T>
T load(const MappedFile& file, uint64_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

bool is_int(GgufType type) {
  return type != GgufType::f32 && type != GgufType::f64 && type != GgufType::boolean &&
         type != GgufType::string && type != GgufType::array;
}

bool is_float(GgufType type) {
  return type == GgufType::f32 || type == GgufType::f64;
}

double float_at(const MappedFile& file, GgufType type, uint64_t offset) {
  return type == GgufType::f32 ? load<float>(file, offset) : load<double>(file, offset);
}

std::string_view string_at(const MappedFile& file, uint64_t& offset) {
  const uint64_t length = load<uint64_t>(file, offset);
  const char* text = reinterpret_cast<const char*>(file.data()) + offset + sizeof length;
  offset += sizeof length + length;
  return {text, length};
}

void check_magic(ByteReader& in) {
  char magic[4];
  for (char& c : magic) c = in.number<char>("the magic");
  if (std::string_view(magic, 4) != "GGUF")
    in.fail("the file starts with '{}', 'GGUF' expected", printable({magic, 4}));
}

}  // namespace

const char* gguf_type_name(GgufType type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<uint32_t>(type)];
}

GgufMetadata GgufMetadata::read(const std::string& path) {
  return read(MappedFile::open(path));
}

GgufMetadata GgufMetadata::read(std::shared_ptr<const MappedFile> file) {
  ByteReader in(file->bytes(), file->path());
  GgufMetadata out;
  check_magic(in);
  out.version_ = in.number<uint32_t>("the version");
  if (out.version_ != 0 && (out.version_ & 0xffff) == 0)
    in.fail("version {} is a small number in big-endian order: only little-endian files are read",
            out.version_);
  if (out.version_ != 2 && out.version_ != 3)
    in.fail("version {} is not supported, 2 or 3 expected", out.version_);
  out.tensor_count_ = in.number<uint64_t>("the number of tensors");
  const uint64_t keys = in.number<uint64_t>("the number of keys");
  if (out.tensor_count_ > in.remaining() / kLeastTensorBytes)
    in.fail("{} tensors cannot be in the {} bytes left", out.tensor_count_, in.remaining());
  if (keys > in.remaining() / kLeastKeyBytes)
    in.fail("{} keys cannot be in the {} bytes left", keys, in.remaining());

  for (uint64_t i = 0; i < keys; ++i) {
    const std::string key(in.string("a key", kMaxKey));
    if (key.empty() || key.find('\0') != key.npos)
      in.fail("key {} ('{}') is empty or holds a zero byte", i, printable(key));
    Value value{};
    value.type = read_type(in, key);
    value.offset = in.offset();
    uint64_t count = 1;
    GgufType element = value.type;
    if (value.type == GgufType::array) {
      value.element = element = read_type(in, key);
      if (element == GgufType::array)
        in.fail("key '{}': an array of arrays is not supported", printable(key));
      value.count = count = in.number<uint64_t>("an array's length");
      value.offset = in.offset();
    }
    skip_values(in, key, element, count);
    if (!out.values_.emplace(key, value).second) in.fail("key '{}' is given twice", printable(key));
  }
  out.end_offset_ = in.offset();
  out.file_ = std::move(file);
  return out;
}

const std::string& GgufMetadata::path() const {
  return file_->path();
}

std::vector<std::string> GgufMetadata::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : values_) out.push_back(key);
  return out;
}

const GgufMetadata::Value& GgufMetadata::find(const std::string& key) const {
  const auto at = values_.find(key);
  if (at == values_.end())
    throw_error(ErrorKind::format, "{}: key '{}' is missing", path(), printable(key));
  return at->second;
}

std::string GgufMetadata::type_text(const std::string& key) const {
  const Value& value = find(key);
  if (value.type != GgufType::array) return gguf_type_name(value.type);
  return fmt::format("{}[{}]", gguf_type_name(value.element), value.count);
}

void GgufMetadata::throw_type(const std::string& key, const char* expected) const {
  throw_error(ErrorKind::format, "{}: key '{}' is of type {}, expected {}", path(), printable(key),
              type_text(key), expected);
}

const GgufMetadata::Value& GgufMetadata::find_array(const std::string& key,
                                                    const char* expected) const {
  const Value& value = find(key);
  if (value.type != GgufType::array) throw_type(key, expected);
  return value;
}

int64_t GgufMetadata::int_at(const std::string& key, GgufType type, uint64_t offset) const {
  switch (type) {
    case GgufType::u8:
      return load<uint8_t>(*file_, offset);
    case GgufType::i8:
      return load<int8_t>(*file_, offset);
    case GgufType::u16:
      return load<uint16_t>(*file_, offset);
    case GgufType::i16:
      return load<int16_t>(*file_, offset);
    case GgufType::u32:
      return load<uint32_t>(*file_, offset);
    case GgufType::i32:
      return load<int32_t>(*file_, offset);
    case GgufType::i64:
      return load<int64_t>(*file_, offset);
    default:
      break;
  }
  const uint64_t value = load<uint64_t>(*file_, offset);
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    throw_error(ErrorKind::format, "{}: key '{}' is {}, at most 2^63 - 1 expected", path(),
                printable(key), value);
  return static_cast<int64_t>(value);
}

int64_t GgufMetadata::get_int(const std::string& key) const {
  const Value& value = find(key);
  if (!is_int(value.type)) throw_type(key, "an integer");
  return int_at(key, value.type, value.offset);
}

double GgufMetadata::get_float(const std::string& key) const {
  const Value& value = find(key);
  if (!is_float(value.type)) throw_type(key, "f32 or f64");
  return float_at(*file_, value.type, value.offset);
}

bool GgufMetadata::get_bool(const std::string& key) const {
  const Value& value = find(key);
  if (value.type != GgufType::boolean) throw_type(key, "bool");
  return load<uint8_t>(*file_, value.offset) != 0;
}

std::string GgufMetadata::get_string(const std::string& key) const {
  const Value& value = find(key);
  if (value.type != GgufType::string) throw_type(key, "string");
  uint64_t offset = value.offset;
  return std::string(string_at(*file_, offset));
}

std::vector<int64_t> GgufMetadata::get_ints(const std::string& key) const {
  const Value& value = find_array(key, "an array of integers");
  if (!is_int(value.element)) throw_type(key, "an array of integers");
  std::vector<int64_t> out(value.count);
  for (uint64_t i = 0; i < value.count; ++i)
    out[i] = int_at(key, value.element, value.offset + i * scalar_bytes(value.element));
  return out;
}

std::vector<double> GgufMetadata::get_floats(const std::string& key) const {
  const Value& value = find_array(key, "an array of f32 or f64");
  if (!is_float(value.element)) throw_type(key, "an array of f32 or f64");
  std::vector<double> out(value.count);
  for (uint64_t i = 0; i < value.count; ++i)
    out[i] = float_at(*file_, value.element, value.offset + i * scalar_bytes(value.element));
  return out;
}

std::vector<std::string> GgufMetadata::get_strings(const std::string& key) const {
  const Value& value = find_array(key, "an array of strings");
  if (value.element != GgufType::string) throw_type(key, "an array of strings");
  std::vector<std::string> out;
  out.reserve(value.count);
  uint64_t offset = value.offset;
  for (uint64_t i = 0; i < value.count; ++i) out.emplace_back(string_at(*file_, offset));
  return out;
}

uint64_t GgufMetadata::array_size(const std::string& key) const {
  return find_array(key, "an array").count;
}

int64_t GgufMetadata::get_int(const std::string& key, int64_t fallback) const {
  return has(key) ? get_int(key) : fallback;
}

double GgufMetadata::get_float(const std::string& key, double fallback) const {
  return has(key) ? get_float(key) : fallback;
}

bool GgufMetadata::get_bool(const std::string& key, bool fallback) const {
  return has(key) ? get_bool(key) : fallback;
}

std::string GgufMetadata::get_string(const std::string& key, const std::string& fallback) const {
  return has(key) ? get_string(key) : fallback;
}

}  // namespace halftone
