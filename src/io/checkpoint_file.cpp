#include "halftone/io/checkpoint_file.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/hdf5.h"
#include "halftone/io/sealed_file.h"
#include "halftone/io/stored_tensors.h"

namespace halftone {
namespace {

constexpr char kFormat[] = "halftone checkpoint";
constexpr int64_t kVersion = 2;  // 1 had no meta linear_forms
constexpr const char* kGroups[] = {"meta", "model", "optimizer", "state"};

bool is_tensor_name(const std::string& name) {
  return name.starts_with("model/") || name.starts_with("optimizer/") || name.starts_with("state/");
}

void write_content(const std::string& path, const CheckpointContent& content) {
  Hdf5Writer file(path);
  file.write_attribute("/", "format", std::string(kFormat));
  file.write_attribute("/", "version", kVersion);
  for (const char* group : kGroups) file.make_group(group);
  for (const auto& [key, text] : content.meta) file.write_text("meta/" + key, text);
  for (const auto& [name, tensor] : content.tensors) file.write(name, tensor);
  file.close();
}

// Compares what the disk gives back with what was meant, one tensor at a time.
void verify_content(const std::string& path, const CheckpointContent& content) {
  const Hdf5Reader file(path);
  const auto differs = [&](const std::string& name) {
    throw_error(ErrorKind::io, "{}: '{}' was read back other than it was written", path, name);
  };
  if (file.names().size() != content.meta.size() + content.tensors.size()) differs("/");
  for (const auto& [key, text] : content.meta)
    if (file.read_text("meta/" + key) != text) differs("meta/" + key);
  for (const auto& [name, tensor] : content.tensors) {
    const Tensor back = file.read(name);
    if (back.dtype() != tensor.dtype() || back.shape() != tensor.shape() ||
        (back.bytes() > 0 && std::memcmp(back.raw(), tensor.raw(), back.bytes()) != 0))
      differs(name);
  }
}

}  // namespace

void write_checkpoint_file(const std::string& path, const CheckpointContent& content) {
  for (const auto& [key, text] : content.meta)
    require(!key.empty() && key.find('/') == std::string::npos, "meta key '{}'", printable(key));
  for (const auto& [name, tensor] : content.tensors)
    require(is_tensor_name(name), "tensor '{}': model/, optimizer/ or state/ expected in front",
            printable(name));
  write_sealed_file(
      path, [&](const std::string& temporary) { write_content(temporary, content); },
      [&](const std::string& temporary) { verify_content(temporary, content); });
}

CheckpointContent read_checkpoint_file(const std::string& path) {
  const uint64_t content_bytes = check_seal(path).bytes;
  const Hdf5Reader file(path);
  const Hdf5Attribute format = file.attribute("/", "format");
  if (format != Hdf5Attribute(std::string(kFormat)))
    throw_error(ErrorKind::format, "{}: is sealed, but holds no checkpoint", path);
  const Hdf5Attribute version = file.attribute("/", "version");
  if (version != Hdf5Attribute(kVersion))
    throw_error(ErrorKind::format, "{}: checkpoint of another version, {} expected", path,
                kVersion);
  CheckpointContent content;
  uint64_t bytes = 0;
  for (const std::string& name : file.names()) {
    if (name.starts_with("meta/"))
      bytes += (content.meta[name.substr(5)] = file.read_text(name)).size();
    else if (is_tensor_name(name))
      bytes += (content.tensors[name] = file.read(name)).bytes();
    else
      throw_error(ErrorKind::format, "{}: dataset '{}' has no place in a checkpoint", path,
                  printable(name));
    if (bytes > content_bytes)
      throw_error(ErrorKind::format, "{}: '{}' lies where other datasets do", path,
                  printable(name));
  }
  return content;
}

std::string checkpoint_file(const std::string& directory, int64_t step) {
  return fmt::format("{}/step-{:08d}.h5", directory, step);
}

std::vector<std::string> checkpoint_files(const std::string& directory) {
  std::vector<std::string> files;
  if (!exists_at(directory)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("step-") && name.ends_with(".h5")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::optional<FoundCheckpoint> newest_checkpoint(const std::string& directory,
                                                 std::vector<std::string>& damaged) {
  std::vector<std::string> files = checkpoint_files(directory);
  for (; !files.empty(); files.pop_back()) {
    try {
      return FoundCheckpoint{files.back(), read_checkpoint_file(files.back())};
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::format) throw;
      damaged.push_back(error.what());
    }
  }
  return std::nullopt;
}

const std::string& meta_text(const CheckpointContent& content, const std::string& key) {
  const auto it = content.meta.find(key);
  if (it == content.meta.end())
    throw_error(ErrorKind::checkpoint, "checkpoint: meta '{}' is missing", key);
  return it->second;
}

int64_t meta_number(const CheckpointContent& content, const std::string& key) {
  const auto it = content.meta.find(key);
  const std::string text = it == content.meta.end() ? "" : it->second;
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    throw_error(ErrorKind::checkpoint, "checkpoint: meta '{}' is missing or not a number", key);
  return value;
}

std::string tensors_digest(const std::map<std::string, Tensor>& tensors) {
  return tensors_digest(stored_tensors(tensors));
}

}  // namespace halftone
