#include "target.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace halftone::fuzz {

std::map<std::string, Target>& targets() {
  static std::map<std::string, Target> all;
  return all;
}

Scratch::Scratch() {
  std::error_code error;
  const bool in_memory = std::filesystem::is_directory("/dev/shm", error);
  path_ = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string();
  path_ += "/halftone-fuzz-XXXXXX";
  if (!mkdtemp(path_.data())) throw std::runtime_error("no folder for the files of a fuzz target");
}

Scratch::~Scratch() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string Scratch::write(const std::string& name, std::string_view bytes) const {
  const std::string path = file(name);
  // A new file each time: what an earlier input left mapped stays as it was.
  ::unlink(path.c_str());
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
  if (::close(descriptor) != 0 || written != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error(path + " cannot be written");
  return path;
}

void Scratch::remove(const std::string& name) const {
  ::unlink(file(name).c_str());
}

Scratch& scratch() {
  static Scratch folder;
  return folder;
}

std::vector<std::string_view> parts(std::string_view input, size_t most) {
  std::vector<std::string_view> out;
  while (out.size() + 1 < most) {
    const size_t end = input.find('\0');
    if (end == input.npos) break;
    out.push_back(input.substr(0, end));
    input.remove_prefix(end + 1);
  }
  out.push_back(input);
  return out;
}

void write_parts(std::string_view input, const std::vector<std::string>& names) {
  const std::vector<std::string_view> found = parts(input, names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    if (i < found.size() && !(i > 0 && found[i].empty()))
      scratch().write(names[i], found[i]);
    else
      scratch().remove(names[i]);
  }
}

void touch(const void* data, size_t bytes) {
  unsigned sum = 0;
  for (size_t i = 0; i < bytes; ++i) sum += static_cast<const unsigned char*>(data)[i];
  static volatile unsigned seen;
  seen = seen + sum;
}

}  // namespace halftone::fuzz
