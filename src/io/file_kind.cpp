#include "halftone/io/file_kind.h"

#include <filesystem>
#include <string_view>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/mapped_file.h"
#include "halftone/io/packed_file.h"

namespace halftone {
namespace {

using namespace std::string_view_literals;

constexpr std::pair<std::string_view, FileKind> kMagic[] = {
    {"GGUF"sv, FileKind::gguf},       {"\x89HDF\r\n\x1a\n"sv, FileKind::hdf5},
    {"\x1f\x8b"sv, FileKind::gzip},   {"HTTOKENS"sv, FileKind::tokens},
    {"HTPACKED"sv, FileKind::packed}, {"PK\x03\x04"sv, FileKind::pickle},
    {"\x80\x02"sv, FileKind::pickle},
};

// Eight bytes of a length, then a JSON object.
bool is_safetensors(std::string_view start, uint64_t file_bytes) {
  if (start.size() < 9 || start[8] != '{') return false;
  uint64_t header = 0;
  for (int i = 7; i >= 0; --i) header = header << 8 | static_cast<unsigned char>(start[i]);
  return header <= file_bytes - 8;
}

}  // namespace

std::filesystem::file_status status_at(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status found = std::filesystem::status(path, error);
  if (error && read_failure(error.value()) == ErrorKind::io)
    throw_io(path, "examine", error.value());
  if (found.type() == std::filesystem::file_type::not_found && packed_member(path))
    return std::filesystem::file_status(std::filesystem::file_type::regular);
  return found;
}

bool exists_at(const std::string& path) {
  return std::filesystem::exists(status_at(path));
}

FileKind file_kind(const std::string& path) {
  if (is_directory(status_at(path))) return FileKind::directory;
  const RegularFile file(path);
  const std::string start = file.start(16);
  for (const auto& [magic, kind] : kMagic)
    if (start.starts_with(magic)) return kind;
  return is_safetensors(start, file.size()) ? FileKind::safetensors : FileKind::other;
}

const char* file_kind_name(FileKind kind) {
  switch (kind) {
    case FileKind::directory:
      return "a directory";
    case FileKind::gguf:
      return "a GGUF file";
    case FileKind::safetensors:
      return "a safetensors file";
    case FileKind::hdf5:
      return "an HDF5 file";
    case FileKind::gzip:
      return "a gzip file";
    case FileKind::tokens:
      return "a token file";
    case FileKind::packed:
      return "a packed model";
    case FileKind::pickle:
      return "a pickled PyTorch file";
    case FileKind::other:
      return "another file";
  }
  return "";
}

}  // namespace halftone
