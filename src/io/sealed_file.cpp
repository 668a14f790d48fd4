#include "halftone/io/sealed_file.h"

#include <fcntl.h>

#include <array>
#include <cstring>
#include <vector>

#include "descriptor.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/mapped_file.h"

namespace halftone {
namespace {

constexpr char kMagic[] = "HALFTONE";
constexpr uint64_t kVersion = 1;
using Seal = std::array<unsigned char, kSealBytes>;

void put(Seal& seal, size_t at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) seal[at + i] = static_cast<unsigned char>(value >> 8 * i);
}

uint64_t get(const Seal& seal, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(seal[at + i]) << 8 * i;
  return value;
}

Seal make_seal(uint64_t content_bytes, const std::string& sha256) {
  Seal seal{};
  std::memcpy(seal.data(), kMagic, 8);
  put(seal, 8, kVersion, 4);
  put(seal, 16, content_bytes, 8);
  for (size_t i = 0; i < 32; ++i)
    seal[24 + i] = static_cast<unsigned char>(std::stoi(sha256.substr(2 * i, 2), nullptr, 16));
  return seal;
}

void read_at(const RegularFile& file, uint64_t offset, unsigned char* out, size_t bytes) {
  if (file.read(offset, out, bytes) < bytes)
    throw_error(ErrorKind::format, "{}: became shorter while it was read", file.path());
}

std::string digest_of(const RegularFile& file, uint64_t bytes) {
  Sha256 digest;
  std::vector<unsigned char> buffer(std::min<uint64_t>(bytes, 1 << 20));
  for (uint64_t at = 0; at < bytes;) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(buffer.size(), bytes - at));
    read_at(file, at, buffer.data(), n);
    digest.update(buffer.data(), n);
    at += n;
  }
  return digest.hex();
}

}  // namespace

void seal_file(const std::string& path) {
  const RegularFile file(path);
  const Seal seal = make_seal(file.size(), digest_of(file, file.size()));
  Descriptor out(path, O_WRONLY | O_APPEND, path, "open to seal");
  out.write(seal.data(), seal.size());
  out.close();
}

void write_sealed_file(const std::string& path,
                       const std::function<void(const std::string&)>& write,
                       const std::function<void(const std::string&)>& verify) {
  write_file_durably(path, [&](const std::string& temporary) {
    write(temporary);
    // Reading back reports faults of the disk as malformed input; here they are failed writes.
    try {
      seal_file(temporary);
      io_step(IoStep::verify);
      check_seal(temporary);
      verify(temporary);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::format) throw;
      throw Error(ErrorKind::io, error.what());
    }
  });
}

void write_sealed_file(const std::string& path, std::string_view content) {
  write_sealed_file(
      path, [&](const std::string& temporary) { write_bytes(temporary, content, path); },
      [&](const std::string& temporary) {
        const auto file = MappedFile::open(temporary);
        if (file->size() != content.size() + kSealBytes ||
            std::memcmp(file->data(), content.data(), content.size()) != 0)
          throw_error(ErrorKind::io, "{}: was read back other than it was written", path);
      });
}

SealedContent read_seal(const std::string& path) {
  const RegularFile file(path);
  const auto damaged = [&](const std::string& what) {
    throw_error(ErrorKind::format, "{}: damaged: {}", path, what);
  };
  if (file.size() < kSealBytes)
    damaged(fmt::format("{} bytes, at least {} expected", file.size(), kSealBytes));
  const uint64_t content = file.size() - kSealBytes;
  Seal seal;
  read_at(file, content, seal.data(), seal.size());
  if (std::memcmp(seal.data(), kMagic, 8) != 0) damaged("no seal at its end");
  if (get(seal, 8, 4) != kVersion)
    damaged(fmt::format("seal of version {}, {} expected", get(seal, 8, 4), kVersion));
  if (get(seal, 16, 8) != content)
    damaged(fmt::format("{} bytes of content, {} expected", content, get(seal, 16, 8)));
  SealedContent out{content, {}};
  for (size_t i = 0; i < 32; ++i) out.sha256 += fmt::format("{:02x}", seal[24 + i]);
  if (seal != make_seal(content, out.sha256)) damaged("bytes of its seal that are not zero");
  return out;
}

SealedContent check_seal(const std::string& path) {
  const RegularFile file(path);
  SealedContent out = read_seal(path);
  if (out.sha256 != digest_of(file, out.bytes))
    throw_error(ErrorKind::format, "{}: damaged: its SHA-256 is not the one in its seal", path);
  file.expect_unchanged();
  return out;
}

}  // namespace halftone
