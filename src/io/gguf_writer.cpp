// GGUF files: the header in memory, then each tensor's bytes as they are made.
#include "halftone/io/gguf_writer.h"

#include <fcntl.h>

#include <cstring>
#include <ranges>
#include <set>

#include "descriptor.h"
#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "halftone/io/gguf_metadata.h"

namespace halftone {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;  // a reader's default
constexpr size_t kMaxName = 64, kMaxDimensions = 4;

// Numbers little-endian, texts behind their length.
class Header {
 public:
  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& text) {
    number(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  void type(GgufType type) { number(static_cast<uint32_t>(type)); }

  void value(uint32_t v) { scalar(GgufType::u32, v); }
  void value(int32_t v) { scalar(GgufType::i32, v); }
  void value(uint64_t v) { scalar(GgufType::u64, v); }
  void value(float v) { scalar(GgufType::f32, v); }
  void value(double v) { scalar(GgufType::f64, v); }
  void value(bool v) { scalar(GgufType::boolean, static_cast<uint8_t>(v)); }
  void value(const std::string& v) {
    type(GgufType::string);
    text(v);
  }
  void value(const std::vector<int32_t>& v) { array(GgufType::i32, v); }
  void value(const std::vector<float>& v) { array(GgufType::f32, v); }
  void value(const std::vector<std::string>& v) {
    start_array(GgufType::string, v.size());
    for (const std::string& item : v) text(item);
  }
  void pad() { bytes_.resize(checked_align_up(bytes_.size(), kAlignment, "GGUF header"), '\0'); }
  const std::string& bytes() const { return bytes_; }

 private:
  template <class T>
  void scalar(GgufType of, T value) {
    type(of);
    number(value);
  }
  void start_array(GgufType of, size_t count) {
    type(GgufType::array);
    type(of);
    number(static_cast<uint64_t>(count));
  }
  template <class T>
  void array(GgufType of, const std::vector<T>& values) {
    start_array(of, values.size());
    for (const T item : values) number(item);
  }

  std::string bytes_;
};

void check_names(const std::vector<GgufKey>& keys, const std::vector<GgufTensorSource>& tensors) {
  std::set<std::string> seen;
  for (const GgufKey& key : keys)
    require(
        !key.name.empty() && key.name.find('\0') == key.name.npos && seen.insert(key.name).second,
        "write_gguf: key '{}' is empty, holds a zero byte or is given twice", printable(key.name));
  seen.clear();
  for (const GgufTensorSource& tensor : tensors) {
    const std::string& name = tensor.name;
    require(!name.empty() && name.find('\0') == name.npos && name.size() <= kMaxName &&
                seen.insert(name).second,
            "write_gguf: tensor '{}' is empty, holds a zero byte, has more than {} bytes or is "
            "given twice",
            printable(name), kMaxName);
    require(!tensor.shape.empty() && tensor.shape.size() <= kMaxDimensions,
            "write_gguf: tensor '{}' has {} dimensions, 1 to {} expected", name,
            tensor.shape.size(), kMaxDimensions);
  }
}

uint64_t padded(uint64_t bytes) {
  return checked_align_up(bytes, kAlignment, "GGUF tensor");
}

std::string make_header(const std::vector<GgufKey>& keys,
                        const std::vector<GgufTensorSource>& tensors) {
  Header out;
  for (const char c : {'G', 'G', 'U', 'F'}) out.number(c);
  out.number(kVersion);
  out.number(static_cast<uint64_t>(tensors.size()));
  out.number(static_cast<uint64_t>(keys.size()));
  for (const GgufKey& key : keys) {
    out.text(key.name);
    std::visit([&](const auto& value) { out.value(value); }, key.value);
  }
  uint64_t at = 0;
  for (const GgufTensorSource& tensor : tensors) {
    out.text(tensor.name);
    out.number(static_cast<uint32_t>(tensor.shape.size()));
    for (const int64_t size : std::views::reverse(tensor.shape))
      out.number(static_cast<uint64_t>(size));
    out.number(tensor.type->id);
    out.number(at);
    at = checked_add(at, padded(gguf_bytes(*tensor.type, tensor.shape)), "GGUF data");
  }
  out.pad();
  return out.bytes();
}

}  // namespace

uint64_t gguf_bytes(const GgmlType& type, const Shape& shape) {
  require(type.block > 0 && !shape.empty() && shape.back() % type.block == 0,
          "gguf_bytes: rows of {} are no whole blocks of {}", shape_text(shape), type.name);
  return static_cast<uint64_t>(numel(shape) / type.block) * static_cast<uint64_t>(type.block_bytes);
}

bool gguf_encode(const GgmlType& type, const Tensor& tensor, std::span<uint8_t> bytes) {
  require(bytes.size() == gguf_bytes(type, tensor.shape()), "gguf_encode: {} in {} bytes of {}",
          shape_text(tensor.shape()), bytes.size(), type.name);
  const std::string_view name = type.name;
  if (name == "F32" || name == "F16") {
    const Tensor stored = tensor.to(name == "F32" ? DType::f32 : DType::f16);
    std::memcpy(bytes.data(), stored.raw(), bytes.size());
    return true;
  }
  const Tensor numbers = tensor.to(DType::f32);
  if (type.quantize_exactly)
    return quantize_exactly(type, numbers.data<float>(), bytes.data(), numbers.numel());
  require(name == "Q8_0", "gguf_encode: type {} is not written", name);
  quantize_q8_0(numbers.data<float>(), bytes.data(), numbers.numel());
  return true;
}

void write_gguf(const std::string& path, const std::vector<GgufKey>& keys,
                const std::vector<GgufTensorSource>& tensors, const WrittenCheck& check) {
  check_names(keys, tensors);
  const std::string header = make_header(keys, tensors);
  write_file_durably(path, [&](const std::string& temporary) {
    Descriptor file(temporary, O_WRONLY | O_TRUNC, path, "create its temporary file");
    file.write(header.data(), header.size());
    std::vector<uint8_t> bytes;
    for (const GgufTensorSource& tensor : tensors) {
      const uint64_t used = gguf_bytes(*tensor.type, tensor.shape);
      bytes.assign(padded(used), 0);
      tensor.fill(std::span(bytes).first(used));
      file.write(bytes.data(), bytes.size());
    }
    file.close();
    if (check) check(temporary);
  });
}

}  // namespace halftone
