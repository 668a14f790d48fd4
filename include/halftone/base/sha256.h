// SHA-256, for digests of files, texts and tensors.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace halftone {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(const void* data, size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  std::string hex();  // ends the digest; 64 lower-case digits

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::string_view text);
std::string sha256_file(const std::string& path);  // throws Error(format) when it cannot be read

}  // namespace halftone
