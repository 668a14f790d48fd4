#include "halftone/base/sha256.h"

#include <fcntl.h>
// OpenSSL's plain functions: its later door reads a configuration and builds tables of all that it
// knows, which takes longer than a small model takes to load.
#define OPENSSL_API_COMPAT 10100
#include <openssl/sha.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/uninterrupted.h"

namespace halftone {

struct Sha256::Context {
  SHA256_CTX state;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  SHA256_Init(&context_->state);
}

Sha256::~Sha256() = default;

void Sha256::update(const void* data, size_t bytes) {
  SHA256_Update(&context_->state, data, bytes);
}

std::string Sha256::hex() {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &context_->state);
  std::string out;
  for (const unsigned char byte : digest) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

std::string sha256_hex(std::string_view text) {
  Sha256 digest;
  digest.update(text);
  return digest.hex();
}

std::string sha256_file(const std::string& path) {
  const auto fail = [&](const char* what) {
    throw_error(read_failure(errno), "{}: {}: {}", path, what, std::strerror(errno));
  };
  struct File {
    int descriptor;
    ~File() {
      if (descriptor >= 0) ::close(descriptor);
    }
  };
  const File file{uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); })};
  if (file.descriptor < 0) fail("cannot be read");
  Sha256 digest;
  std::vector<char> buffer(1 << 20);
  for (;;) {
    const ssize_t n =
        uninterrupted([&] { return ::read(file.descriptor, buffer.data(), buffer.size()); });
    if (n < 0) fail("reading failed");
    if (n == 0) return digest.hex();
    digest.update(buffer.data(), static_cast<size_t>(n));
  }
}

}  // namespace halftone
