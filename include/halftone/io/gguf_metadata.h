// The key-value part of a GGUF file (versions 2 and 3, little-endian), for models and tokenizers.
//
// Layout: "GGUF", u32 version, u64 tensors, u64 keys, then for each key: string key, u32 type,
// value; a string is u64 length and bytes; an array is u32 element type, u64 count, elements.
// Values stay in the map of the file: reading allocates in proportion to the number of keys, and
// every count and length is compared with what is left of the file before it is used.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace halftone {

class MappedFile;

enum class GgufType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

const char* gguf_type_name(GgufType type);

class GgufMetadata {
 public:
  // Throws Error(format) naming the file, the offset or key, what was found and what was expected.
  static GgufMetadata read(const std::string& path);
  static GgufMetadata read(std::shared_ptr<const MappedFile> file);

  bool has(const std::string& key) const { return values_.contains(key); }
  std::vector<std::string> keys() const;  // sorted
  // "u32", "string", "string[49152]".
  std::string type_text(const std::string& key) const;

  // Typed values; a missing key, another type or a number that does not fit throws Error(format)
  // naming the file, the key, the type found and the one expected. get_int takes any integer type,
  // get_float f32 and f64; get_ints and get_floats take arrays of these.
  int64_t get_int(const std::string& key) const;
  double get_float(const std::string& key) const;
  bool get_bool(const std::string& key) const;
  std::string get_string(const std::string& key) const;
  std::vector<int64_t> get_ints(const std::string& key) const;
  std::vector<double> get_floats(const std::string& key) const;
  std::vector<std::string> get_strings(const std::string& key) const;
  uint64_t array_size(const std::string& key) const;

  // The same, `fallback` where the key is missing.
  int64_t get_int(const std::string& key, int64_t fallback) const;
  double get_float(const std::string& key, double fallback) const;
  bool get_bool(const std::string& key, bool fallback) const;
  std::string get_string(const std::string& key, const std::string& fallback) const;

  const std::string& path() const;
  uint32_t version() const { return version_; }
  uint64_t tensor_count() const { return tensor_count_; }
  uint64_t end_offset() const { return end_offset_; }  // of the metadata in the file

 private:
  struct Value {
    GgufType type;
    GgufType element;  // of an array
    uint64_t count;    // of an array
    uint64_t offset;   // of the value, or an array's first element
  };
  const Value& find(const std::string& key) const;
  const Value& find_array(const std::string& key, const char* expected) const;
  [[noreturn]] void throw_type(const std::string& key, const char* expected) const;
  int64_t int_at(const std::string& key, GgufType type, uint64_t offset) const;

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Value> values_;
  uint32_t version_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t end_offset_ = 0;
};

}  // namespace halftone
