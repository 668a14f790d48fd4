// A cursor over the bytes of a file that never leaves them.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "halftone/base/error.h"

namespace halftone {

class ByteReader {
 public:
  ByteReader(std::span<const uint8_t> bytes, std::string path, uint64_t offset = 0)
      : bytes_(bytes), path_(std::move(path)), offset_(offset) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  template <class T>
  T number(const char* what) {
    T value;
    need(sizeof value, what);
    std::memcpy(&value, bytes_.data() + offset_, sizeof value);
    offset_ += sizeof value;
    return value;
  }

  // A u64 length and that many bytes.
  std::string_view string(const char* what, uint64_t max_bytes) {
    const uint64_t length = number<uint64_t>(what);
    if (length > max_bytes) fail("{} has {} bytes, at most {} expected", what, length, max_bytes);
    need(length, what);
    const char* text = reinterpret_cast<const char*>(bytes_.data() + offset_);
    offset_ += length;
    return {text, length};
  }

  void skip(uint64_t bytes, const char* what) {
    need(bytes, what);
    offset_ += bytes;
  }

  void need(uint64_t bytes, const char* what) const {
    if (bytes > remaining())
      fail("{} needs {} bytes, the file has {} left", what, bytes, remaining());
  }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) const {
    throw_error(ErrorKind::format, "{}: offset {}: {}", path_, offset_,
                fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  std::span<const uint8_t> bytes_;
  std::string path_;
  uint64_t offset_;
};

}  // namespace halftone
